"""What is installed: the same versions by pip and by uv, and `launchers/` as commands."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))


def test_uv_takes_the_versions_that_pip_takes():
    lines = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert PROJECT["tool"]["uv"]["constraint-dependencies"] == pinned


def test_every_python_that_is_promised_can_be_had():
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert "python_version" not in (REPOSITORY / "constraints.txt").read_text("utf-8")


def test_a_wheel_holds_the_configuration_and_the_launchers():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    for folder in ("conf", "launchers"):
        assert folder in wheel["only-include"] and wheel["sources"][folder] == f"prereq/{folder}"


def launch(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from prereq.launch import main; main()", *words]
    return subprocess.run(
        command, cwd=cwd, env={"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True
    )


def test_launchers_are_listed_found_and_run(tmp_path):
    assert "reproduce/popqa.sh" in launch(cwd=tmp_path).stdout
    found = launch("--path", "accelerate/fsdp.yaml", cwd=tmp_path).stdout.strip()
    assert Path(found) == REPOSITORY / "launchers/accelerate/fsdp.yaml"
    table = launch("estimate", "--check", ".", cwd=tmp_path)
    assert table.returncode == 0 and "GFLOP/s" in table.stdout, table.stderr


@pytest.mark.parametrize("words", [["estimat"], ["accelerate/ddp.yaml"]])
def test_what_is_no_command_is_one_line(tmp_path, words):
    result = launch(*words, cwd=tmp_path)
    assert result.returncode == 1 and words[0] in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_accelerate_reads_the_launch_configurations(name):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(REPOSITORY / "launchers" / "accelerate" / f"{name}.yaml"))
    kinds = {"ddp": "MULTI_GPU", "fsdp": "FSDP"}
    assert config.distributed_type.name == kinds[name] and config.mixed_precision == "no"
    if name == "fsdp":
        assert config.fsdp_config["fsdp_version"] == 2


def test_the_cost_of_an_experiment_is_known_before_it_runs(run_cli, small_world, tmp_path):
    script = REPOSITORY / "launchers" / "estimate.py"
    told = subprocess.run(
        [sys.executable, script, "--tflops", "0.001", "stage=cpt", *small_world],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"},
    )
    assert told.returncode == 0, told.stderr
    table = run_cli(*small_world, "stage=cpt", "stage.dry_run=true", cwd=tmp_path).stdout
    tokens = int(
        next(s for s in table.splitlines() if "base pre" in s).split()[-1].replace(",", "")
    )
    hours = tokens * 4 * 0.33e6 / 0.001e12 / 3600  # 4·N FLOP a token
    line = next(line for line in told.stdout.splitlines() if "base pre" in line)
    assert f"{hours:.2f}" in line
    wrong = subprocess.run(
        [sys.executable, script, "dataset=popq"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )
    assert wrong.returncode == 1 and "did you mean popqa" in wrong.stderr
