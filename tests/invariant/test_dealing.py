"""Several processes answer as one does, and whatever ends one of them ends all."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from prereq.model import adapters
from tests import published
from tests.conftest import REPOSITORY, cli
from tests.invariant import dealt, oracle


def start(processes: int, *module: str, cwd: Path = REPOSITORY, **environment: str) -> list:
    """`python -m MODULE` that many times as one job, as `srun` does: nobody stops those that are left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    shared |= environment
    return [
        subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=cwd,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]


def ended(job: list, seconds: float = 240) -> list[tuple[int, str, str]]:
    """Code, output and errors of each process; none is left behind."""
    try:
        said = [process.communicate(timeout=seconds) for process in job]
        return [(process.returncode, *texts) for process, texts in zip(job, said, strict=True)]
    finally:
        for process in job:
            process.kill()


@pytest.fixture(scope="module")
def three():
    """What each of three processes says of `tests.invariant.dealt`."""
    said = ended(start(3, "tests.invariant.dealt"), 120)
    assert [code for code, *_ in said] == [0, 0, 0], said
    return [json.loads(out) for _, out, _ in said]


def test_results_come_in_order_to_all_and_shares_are_about_equal(three):
    for found in three:
        for results, told in (found["dealt"], found["after"]):
            assert results == three[0]["dealt"][0]
            assert [double for double, _ in results] == [2 * n for n in range(len(dealt.COSTS))]
            assert told == len(dealt.COSTS)  # the bar counts the work of all
    doers = [doer for _, doer in three[0]["dealt"][0]]
    shares = [
        sum(c for c, doer in zip(dealt.COSTS, doers, strict=True) if doer == p) for p in range(3)
    ]
    assert max(shares) - min(shares) < max(dealt.COSTS)


def test_a_process_without_work_takes_part(three):
    for found in three:
        assert found["few"] == [[[0, 0]], 1] and found["none"] == [[], 0]


def test_an_error_in_one_process_is_that_of_all_and_at_once(three):
    for process, found in enumerate(three):
        kind, text, _, seconds = found["busy"]
        assert (kind, text) == ("PrereqError", "process 1 has no model") and seconds < 15
        kind, text, _, seconds = found["waiting"]
        assert "No space left on device" in text and "/disk" in text and seconds < 15
        kind, text, notes, seconds = found["bug"]
        assert "a bug" in text and seconds < 15
        assert process == 2 or "before_its_share" in notes  # where it happened
        kind, text, _, seconds = found["stopped"]
        assert kind == "Preempted" and seconds < 15


@pytest.fixture(scope="module")
def alone(tmp_path_factory, small_world):
    """The small world, evaluated by one process; its folder and the command."""
    folder = tmp_path_factory.mktemp("alone")
    command = [*small_world, "stage=eval", "method=prereq_fictitious"]
    command += ["dataset.world.validation=1", "model.dtype=float32"]  # 1: fewer than processes
    result = cli(*command, cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, command


@pytest.mark.parametrize(
    ("processes", "environment"),
    [
        (2, {}),
        # Training would share the base out by this; each process generates with a whole one.
        pytest.param(
            3,
            {"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_several_processes_write_the_answers_of_one(alone, tmp_path, processes, environment):
    folder, command = alone
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (expected,) = (file.read_text().splitlines() for file in answers(tmp_path))
    for kind in ("generations", "scores"):
        shutil.rmtree(tmp_path / "outputs" / "world" / "tiny" / kind)
    said = ended(start(processes, "prereq", *command, cwd=tmp_path, **environment))
    assert [code for code, *_ in said] == [0] * processes, said
    assert said[0][2].count(" made  generations") == 1
    assert not any(out + err.replace("\n", "") for _, out, err in said[1:]), said[1:]
    (found,) = (file.read_text().splitlines() for file in answers(tmp_path))
    assert len(expected) == len(found) > 30
    for lines in zip(expected, found, strict=True):
        one, several = map(json.loads, lines)
        # A matrix product of other rows may round otherwise, and so may the sixth digit.
        assert abs(one.pop("confidence") - several.pop("confidence")) < 2e-6
        assert one == several
    manifests = (tmp_path / "outputs").glob("world/tiny/*/*/manifest.json")
    assert {"generations", "scores"} <= {file.parent.parent.name for file in manifests}


def answers(folder: Path) -> list[Path]:
    return list(folder.glob("outputs/*/*/generations/*/generations.jsonl"))


@pytest.fixture(scope="module")
def biographies(place) -> list[str]:
    """The command that asks a random Llama with a random skill about the topics of a file."""
    skill = place / "skill"
    model = AutoModelForCausalLM.from_pretrained(place / "llama")
    adapters.save(oracle.peft_model(model, {"skill": 4}, 1), "skill", skill, 0.0)
    command = ["stage=eval", "dataset=bio", "method=sft", "model=hf", "model.dtype=float32"]
    return [
        *command,
        f"model.path={place / 'llama'}",
        f"dataset.path={place / 'data'}",
        f"skill={skill}",
    ]


def asked(folder: Path, topics: list[str], new_tokens: int) -> list[str]:
    (folder / "topics.json").write_text(json.dumps(topics))
    return [f"dataset.topics={folder / 'topics.json'}", f"eval.max_new_tokens={new_tokens}"]


@pytest.mark.slow
def test_a_prompt_that_one_process_cannot_answer_ends_the_command(biographies, tmp_path):
    topics = [*published.NAMES, "Ada " * 600]  # as long as the model has positions, in bytes
    command = [*biographies, *asked(tmp_path, topics, 1500)]
    said = ended(start(2, "prereq", *command, cwd=tmp_path))
    assert [code for code, *_ in said] == [2, 2], said
    assert said[0][2].count("error") == 1 and "lower eval.max_new_tokens" in said[0][2]
    assert not any("Traceback" in err for _, _, err in said)
    assert not list((tmp_path / "outputs").rglob("*.partial"))
    assert not answers(tmp_path)


@pytest.mark.slow
def test_a_process_told_to_stop_stops_the_others(biographies, tmp_path):
    command = [*biographies, *asked(tmp_path, published.NAMES * 200, 1900)]
    job = start(2, "prereq", *command, cwd=tmp_path)
    while "using" not in (line := job[0].stderr.readline()):
        assert line, ended(job)
    time.sleep(2)
    job[1].send_signal(signal.SIGTERM)
    said = ended(job, 60)
    assert [code for code, *_ in said] == [75, 75], said
    assert "stopped" in said[0][2] and not any("Traceback" in err for _, _, err in said)
    assert not list((tmp_path / "outputs").rglob("*.partial"))
    assert not answers(tmp_path)
