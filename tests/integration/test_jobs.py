"""Several jobs by one command, in a sweep or in worker processes: what is told, what a signal leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.integration.test_command import scores

ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY)}


@pytest.mark.slow
def test_a_sweep_over_questions_in_one_command(run_cli, small_world, tmp_path):
    """Multirun, another data set, another seed, W&B's records kept offline."""
    result = run_cli(
        "-m",
        *[o for o in small_world if "knowledge_training" not in o],
        "dataset=world_qa",
        "method=sft",
        "stage.learning_rate=1e-3,2e-3",
        "seed=3",
        "tracker=offline",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    rows = scores(tmp_path / "outputs")
    assert {(row["method"], row["seed"]) for row in rows} == {("sft", "3")}
    slower = ["learning_rate=0.001" in row["changes"] for row in rows]
    assert any(slower) and not all(slower)  # 2e-3 is the recipe's
    records = list((tmp_path / "outputs" / "wandb").rglob("*.wandb"))
    assert len(records) == 1 + 2 * 4  # base model; each skill, its generations, scores and report
    assert list((tmp_path / "outputs").glob("**/.*.partial")) == []


def test_a_sweep_ends_with_a_table_of_every_job_also_of_those_that_failed(
    run_cli, small_world, tmp_path
):
    overrides = ["-m", *small_world, "stage=sft", "method=sft", "dataset.skill.splits=[train],[no]"]
    result = run_cli(*overrides, cwd=tmp_path)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    good, bad = (
        json.loads(file.read_text())
        for file in sorted(tmp_path.glob("outputs/sweeps/*/[01]/job.json"))
    )
    assert good["state"] == "done" and good["measure"] == "loss" and good["score"] > 0
    assert Path(good["artifact"], "manifest.json").exists()
    assert bad["state"] == "failed" and bad["error"].startswith("BadRows: ")
    table = result.stdout
    assert Path(good["artifact"]).name in table and f"{good['score']:.4g} loss" in table
    assert "skill.splits=['no']" in table and "all jobs: stage=sft dataset=world" in table
    assert "skill.splits=(recipe)" in table  # what the first job sets is what the recipe says
    assert "job 1 failed: BadRows: " in table and "job 1" in result.stderr


def _stopped(command: list[str], cwd: Path, artifacts: Path, checkpoints: int) -> str:
    """What a command says that SIGTERM stops once so many unfinished artifacts have a checkpoint."""
    process = subprocess.Popen(command, cwd=cwd, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    deadline = time.time() + 120
    while time.time() < deadline:
        if len(list(artifacts.glob(".*.partial/checkpoint"))) >= checkpoints:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75
    return said


@pytest.mark.slow
def test_sigterm_asks_to_be_resumed_and_the_same_command_goes_on(small_world, tmp_path):
    command = [sys.executable, "-m", "prereq", "stage=pretrain", *small_world]
    command += ["dataset.world.often=80", "stage.checkpoint_seconds=0"]
    base = tmp_path / "outputs" / "world" / "tiny" / "base"
    assert "checkpoint saved" in _stopped(command, tmp_path, base, checkpoints=1)
    assert list(base.glob("pretrained-*")) == []
    resumed = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=ENVIRONMENT
    )
    assert resumed.returncode == 0, resumed.stderr
    (artifact,) = base.glob("pretrained-*")
    steps = json.loads((artifact / "manifest.json").read_text())["summary"]["steps"]
    logged = [
        json.loads(line)["step"] for line in (artifact / "metrics.jsonl").read_text().splitlines()
    ]
    assert logged == list(range(steps))


def test_sigterm_stops_every_worker_and_the_same_command_goes_on(run_cli, small_world, tmp_path):
    overrides = [*small_world, "stage.processes=2", "stage.checkpoint_seconds=0"]
    overrides += [
        "dataset.skill.training.epochs=40",
        "dataset.skill.keep_epochs=false",
        "dataset.methods=[sft,sft_fictitious]",
    ]
    skill = tmp_path / "outputs" / "world" / "tiny" / "skill"
    command = [sys.executable, "-m", "prereq", *overrides]
    assert "the same command goes on" in _stopped(command, tmp_path, skill, checkpoints=2)
    assert list(skill.glob(".*.partial/checkpoint")) and not list(skill.glob("*/manifest.json"))
    assert list(skill.glob(".*.lock")) == []
    resumed = run_cli(*overrides, "stage.checkpoint_seconds=60", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert not any("method." in row["changes"] for row in scores(tmp_path / "outputs"))
    for artifact in skill.glob("sft*"):
        lines = (artifact / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(len(lines)))


def test_an_error_in_a_worker_is_told_like_any_other(run_cli, small_world, tmp_path):
    overrides = [*small_world, "stage.processes=2", "dataset.methods=[sft,sft_known]"]
    result = run_cli(*overrides, "dataset.skill.splits=[nothing]", cwd=tmp_path)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "nothing" in result.stderr
