"""What is installed: the same versions by pip and by uv, and `launchers/` as commands."""

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
