"""Sweeps on a real SLURM (`launchers/slurm/local-cluster` starts one where none answers)."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.slurm

LAUNCHER = [
    "-m",
    "hydra/launcher=slurm",
    "hydra.launcher.gpus_per_node=null",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=2",
    "hydra.launcher.timeout_min=30",
]


@pytest.fixture
def sweep(slurm, small_world, tmp_path):
    """`sweep(…)` starts `python -m prereq -m hydra/launcher=slurm …` in `tmp_path`."""
    started = []

    def start(*overrides: str, launcher: list[str] = LAUNCHER) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}
        process = subprocess.Popen(
            [sys.executable, "-m", "prereq", *launcher, *small_world, *overrides],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
    subprocess.run(["scancel", "--me"], check=True)


def jobs(folder: Path) -> list[dict]:
    """The records of the newest sweep."""
    newest = max((folder / "outputs" / "sweeps").iterdir())
    files = sorted(newest.glob("[0-9]*/job.json"), key=lambda file: int(file.parent.name))
    return [json.loads(file.read_text()) for file in files]


def until(holds, seconds: float = 120):
    """Wait for something to hold (be true), and return it."""
    deadline = time.time() + seconds
    while not (value := holds()):
        assert time.time() < deadline, "waited in vain"
        time.sleep(0.1)
    return value


def slurm_id(process: subprocess.Popen) -> str:
    line = until(process.stderr.readline)
    return re.search(r"SLURM job (\d+)", line).group(1)


def made(folder: Path, kind: str) -> Counter:
    """How often each artifact of a kind was made, as the logs of all jobs say."""
    logs = [f.read_text() for f in folder.glob("outputs/sweeps/*/slurm/*_log.out")]
    return Counter(name for log in logs for name in re.findall(rf"\bmade  {kind} \S+ (\S+) ", log))


def test_six_jobs_share_what_they_need_and_a_second_sweep_finds_it(sweep, tmp_path):
    overrides = ["stage=eval", "method=sft,prereq_plain", "stage.learning_rate=1e-3,2e-3,3e-3"]
    process = sweep(*overrides)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    records = jobs(tmp_path)
    assert [job["state"] for job in records] == ["done"] * 6
    assert len({job["artifact"] for job in records}) == 6
    for job in records:
        assert job["measure"] == "validation accuracy" and 0 <= job["score"] <= 100
        assert Path(job["artifact"], "manifest.json").exists() and Path(job["log"]).exists()
        name = Path(job["artifact"]).name
        (row,) = [line for line in out.splitlines() if name in line]
        own = dict(setting.split("=", 1) for setting in job["settings"])
        rate = own.get(
            "skill.learning_rate", "(recipe)"
        )  # one of the three is what the recipe says
        assert f"method={own['method']}" in row and f"skill.learning_rate={rate}" in row
        assert Path(job["log"]).name in row
    assert made(tmp_path, "base").total() == made(tmp_path, "knowledge").total() // 3 == 1
    assert set(made(tmp_path, "skill").values()) == {1} and made(tmp_path, "skill").total() == 6

    again = sweep("stage=eval", "method=sft", "stage.learning_rate=1e-3,3e-3")
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    logs = [Path(job["log"]).read_text() for job in jobs(tmp_path)]
    assert len(logs) == 2 and all("found  scores" in log and " made " not in log for log in logs)


def test_jobs_that_fail_or_are_cancelled_leave_the_others_running(sweep, tmp_path):
    process = sweep("stage=pretrain", "stage.max_length=64,4,65", "dataset.world.often=200")
    array = slurm_id(process)
    until(lambda: jobs(tmp_path)[0]["state"] == "running")
    base = tmp_path / "outputs" / "world" / "tiny" / "base"
    until(lambda: list(base.glob(".*.partial/metrics.jsonl")))
    subprocess.run(["scancel", f"{array}_0"], check=True)  # and it must not come back
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "Traceback" not in err
    cancelled, bad, good = jobs(tmp_path)
    assert (good["state"], good["measure"]) == ("done", "loss")
    assert bad["state"] == "failed" and "longer than max_length=4" in bad["error"]
    assert "longer than max_length=4" in Path(bad["log"]).read_text()
    assert (cancelled["state"], cancelled["error"]) == ("lost", "SLURM says CANCELLED")
    for job in (good, bad, cancelled):
        assert re.search(rf"^ +{job['number']} .*max_length.* {job['state']} ", out, re.MULTILINE)
    assert "job 1 failed: PrereqError" in out and "job 0 lost: SLURM says CANCELLED" in out


def test_a_job_told_to_stop_is_queued_again_and_ends_with_the_same_weights(sweep, tmp_path):
    """By SIGTERM, by the signal before a time-out, and by SLURM itself, which queues it again."""
    sources = {
        "real": ["scancel", "--signal=TERM"],
        "fictitious_v0": ["scancel", "--signal=USR2"],
        "fictitious_v1": ["scontrol", "requeue"],
    }
    overrides = ["stage=cpt", "stage.epochs=12", "adapter.knowledge.dropout=0.1"]
    process = sweep(*overrides, "knowledge=" + ",".join(f"[{name}]" for name in sources))
    undisturbed = sweep(*overrides, "output_dir=undisturbed", launcher=[])
    array = slurm_id(process)
    outputs = tmp_path / "outputs" / "world" / "tiny" / "knowledge"

    def in_training(name: str) -> bool:
        logs = outputs.glob(f".{name}-*.partial/metrics.jsonl")
        return any(log.read_bytes().count(b"\n") > 20 for log in logs)

    waiting = dict(enumerate(sources.items()))
    while waiting:
        number = until(lambda: next((n for n in waiting if in_training(waiting[n][0])), -1) + 1) - 1
        _, command = waiting.pop(number)
        subprocess.run([*command, f"{array}_{number}"], check=True)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert [(job["state"], job["restarts"]) for job in jobs(tmp_path)] == [("done", 1)] * 3
    _, err = undisturbed.communicate(timeout=120)
    assert undisturbed.returncode == 0, err
    for name in sources:
        (adapter,) = outputs.glob(f"{name}-*")
        same = tmp_path / "undisturbed" / adapter.relative_to(tmp_path / "outputs")
        weights = "adapter_model.safetensors"
        assert (adapter / weights).read_bytes() == (same / weights).read_bytes()
        summary, whole = (
            json.loads((folder / "manifest.json").read_text())["summary"]
            for folder in (adapter, same)
        )
        assert summary["steps"] == whole["steps"]
        if name != "fictitious_v1":  # which SLURM may have killed before it saved a checkpoint
            assert summary["tokens"] < whole["tokens"]  # trained since the checkpoint
        logged = (adapter / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in logged] == list(range(whole["steps"]))
    for job in jobs(tmp_path)[:2]:
        assert "checkpoint saved" in Path(job["log"]).read_text()


def test_two_sweeps_at_once_make_what_they_share_once(sweep, tmp_path):
    both = [
        sweep("stage=sft", "method=prereq_tune", f"stage.learning_rate={rate}")
        for rate in ("1e-3", "2e-3")
    ]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert len(list((tmp_path / "outputs" / "sweeps").iterdir())) == 2
    assert made(tmp_path, "data").total() == made(tmp_path, "base").total() == 1
    assert sorted(made(tmp_path, "knowledge").values()) == [1, 1, 1]
    assert sorted(made(tmp_path, "skill").values()) == [1, 1]


def test_two_tasks_of_a_job_train_one_adapter_as_one_process_does(
    run_cli, slurm, small_world, tmp_path
):
    # A small learning rate: the sums of two processes differ in the last bit, and Adam's first steps
    # have the size of the learning rate, however small a gradient is.
    overrides = [*small_world, "stage=sft", "method=prereq_tune", "stage.learning_rate=1e-4"]
    alone = run_cli(
        "stage=pretrain", *small_world, f"output_dir={tmp_path / 'alone'}", cwd=tmp_path
    )
    assert alone.returncode == 0, alone.stderr
    alone = run_cli(*overrides, f"output_dir={tmp_path / 'alone'}", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    # The same base model and knowledge, so that only the skill's training is compared.
    shutil.copytree(tmp_path / "alone", tmp_path / "two")
    for skill in (tmp_path / "two").glob("world/tiny/skill/*"):
        shutil.rmtree(skill)
    command = ["srun", "--ntasks=2", "--overlap", "--mem=4G", sys.executable, "-m", "prereq"]
    result = subprocess.run(
        [*command, *overrides, f"output_dir={tmp_path / 'two'}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(" made  skill") == 1
    place = "world/tiny/skill/*/adapter_model.safetensors"
    (expected,), (found,) = (list((tmp_path / n).glob(place)) for n in ("alone", "two"))
    one, two = load_file(expected), load_file(found)
    assert max((one[key] - two[key]).abs().max() for key in one) < 1e-5
