"""A user's own files and values: every fault named with file and key, nothing unsafe accepted."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.unit.test_command_line import answer

GOOD = """
defaults:
  - override /model@_global_.model: hf
  - override /method@_global_.method: sft
  - override /eval@_global_.eval: qa
name: mine
path: FOLDER
methods: [sft]
skill:
  subset: skill
  splits: [train]
  training:
    {epochs: 1, batch_size: 8, learning_rate: 3e-3, weight_decay: 0.1, beta2: 0.9, warmup: 0.1, max_length: 9}
tests:
  - {name: test, subset: skill, split: test}
"""


def own(folder, text: str | bytes, *more: str):
    """What a command says with this file as conf/dataset/mine.yaml of a user's own."""
    (folder / "dataset").mkdir(exist_ok=True)
    text = text.encode() if isinstance(text, str) else text
    (folder / "dataset" / "mine.yaml").write_bytes(text)
    chosen = ["dataset=mine", f"model.path={folder}", f"output_dir={folder / 'out'}", *more]
    return answer("--config-dir", str(folder), *chosen)


FAULTS = {
    "a misspelt key": (GOOD.replace("split: test", "splitt: test"), "tests.0.splitt: no such key"),
    "nearest": (GOOD.replace("splits:", "split:"), "did you mean dataset.skill.splits?"),
    "a missing key": (GOOD.replace("subset: skill, ", ""), "dataset.tests.0.subset: missing"),
    "a mistyped value": (GOOD.replace("epochs: 1", "epochs: many"), "epochs=many: must be a whole"),
    "no YAML": ("{{{{", "mine.yaml: not YAML (line 1"),
    "no UTF-8": (b"name: \xff\xfe\n", "mine.yaml: not UTF-8"),
    "a list": ("- a\n- b\n", "mine.yaml: must be keys with values"),
    "a scalar for a group": (GOOD.replace("skill:\n", "skill: 5\nx:\n"), "dataset.skill=5"),
    "a target": (GOOD + "_target_: os.system\n", "_target_: no such key"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_users_file_names_file_and_key(tmp_path, name):
    text, said = FAULTS[name]
    result = own(tmp_path, text, "stage=eval")
    assert result.returncode == 2 and said in result.stderr, result.stderr
    assert "mine.yaml" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_only_what_the_method_needs_is_required(tmp_path):
    """Plain fine-tuning: no draw_group, no knowledge; what nobody would know has a default."""
    result = own(tmp_path, GOOD, "stage=sft", "--cfg", "job", "-p", "dataset.name")
    assert result.returncode == 0 and "mine" in result.stdout, result.stderr
    knowledge = "  - {name: k, subset: k, split: k, form: passage, fictitious: false}\n"
    with_knowledge = GOOD + "knowledge:\n" + knowledge
    result = own(tmp_path, with_knowledge, "stage=sft", "method=prereq_real")
    assert "dataset.knowledge.0.training: no value for epochs, batch_size, learning_rate;" in (
        result.stderr
    )


@pytest.mark.parametrize(
    "override",
    [
        "dataset.name=../evil",
        "dataset.name=''",
        "model.name=a/b",
        "method.name='[/x]'",
        "dataset.knowledge.0.name=a/b",
        "dataset.knowledge.0.name=skill",
        "dataset.tests.0.name=../x",
        "dataset.skill.subset=../../etc",
        "dataset.skill.splits=[/etc/passwd]",
    ],
)
def test_names_are_one_safe_part_of_a_path(override):
    result = answer(override)
    assert result.returncode == 2 and override.split("=")[0] in result.stderr, result.stderr


@pytest.mark.parametrize(
    "override",
    [
        "stage.learning_rate=inf",
        "dataset.skill.real_weight=nan",
        "model.architecture.initializer_range=nan",
        "seed=18446744073709551616",
        "eval.bootstrap=1000000000000",
        "adapter.knowledge.r=100000000",
        "dataset.world.versions=500",
        "dataset.world.asked=100000",
        "dataset.world.question_share=3",
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(override):
    result = answer(override)
    assert result.returncode == 2 and override.split("=")[0] in result.stderr, result.stderr


def test_auto_tokens_are_for_packs_that_decide_nothing(tmp_path):
    auto = "stage.tokens_per_forward=auto"
    kept = answer("dataset=world", "stage=sft", auto, "--cfg", "job", "-p", "stage")
    assert kept.returncode == 0 and "tokens_per_forward: auto" in kept.stdout, kept.stderr
    dropping = answer("dataset=world", "stage=sft", auto, "dataset.dropout=0.05")
    assert dropping.returncode == 2 and "set dataset.dropout=0" in dropping.stderr
    wrong = answer("stage.tokens_per_forward=many")
    assert wrong.returncode == 2 and "must be a whole number or auto" in wrong.stderr


def test_no_secret_is_shown_or_written(tmp_path):
    for words in (
        ["eval.api_key=SECRET1"],
        ["eval.api_key=${oc.env:HOME}SECRET1"],
        ["eval.engine=server", "eval.served_as=m", "eval.server=http://u:SECRET1@localhost/v1"],
        ["-m", "dataset.path=https://u:SECRET1@host/rows", "seed=1,2"],
    ):
        result = answer(*words, f"output_dir={tmp_path}")
        assert result.returncode == 2 and "SECRET1" not in result.stdout + result.stderr
    assert "OPENAI_API_KEY" in answer("eval.api_key=x").stderr
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and b"SECRET1" in f.read_bytes()]


@pytest.mark.parametrize("value", ["a,b", "it's", "x[1]", "a(b)", "a{b}", 'say "hi"', "c:\\d"])
def test_what_the_message_says_to_type_works(tmp_path, value):
    result = answer(f"tracker.project={value}", "--cfg", "job", "-p", "tracker")
    if result.returncode:
        typed = result.stderr.split(" type ")[1].strip().splitlines()[0]
        result = answer(*shlex.split(typed), "--cfg", "job", "-p", "tracker")
    assert result.returncode == 0, result.stderr
    import yaml

    assert yaml.safe_load(result.stdout)["project"] == value


@pytest.mark.parametrize("value", ["/x/epoch=3", "~/data", "with space", "100%", "a#b", "é"])
def test_a_value_that_can_only_be_text_needs_no_quotes(value):
    result = answer(f"tracker.project={value}", "--cfg", "job", "-p", "tracker")
    assert result.returncode == 0 and value in result.stdout.replace("'", ""), result.stderr


def test_the_output_folder_is_tried_first(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "out", "/proc/nope"):
        result = answer("stage=report", f"output_dir={folder}")
        assert result.returncode == 2 and f"output_dir={folder}" in result.stderr


def test_hydra_calls_nothing_but_its_plugins(tmp_path):
    (tmp_path / "hydra" / "launcher").mkdir(parents=True)
    mark = tmp_path / "called"
    (tmp_path / "hydra" / "launcher" / "evil.yaml").write_text(
        f"_target_: os.system\ncommand: touch {mark}\n"
    )
    result = answer("--config-dir", str(tmp_path), "-m", "hydra/launcher=evil", "seed=1,2")
    assert result.returncode == 2 and "os.system" in result.stderr and not mark.exists()


def test_version_and_a_reader_that_has_seen_enough():
    from prereq import __version__

    assert answer("--version").stdout.startswith(f"prereq {__version__} ")
    command = f"{sys.executable} -m prereq --help | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert result.stdout.startswith("prereq:") and result.stderr == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
@pytest.mark.parametrize("seconds", [0, 0.15, 0.4, 1.2])
def test_a_signal_at_any_moment_ends_in_one_line(tmp_path, number, code, seconds):
    process = subprocess.Popen(
        [sys.executable, "-m", "prereq", "stage=pretrain", f"output_dir={tmp_path}"],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # The moment is one of the command's own, however busy the processor is: from its first lines on
    # (before them a signal is the interpreter's), and once it has computed for so many seconds.
    seen = psutil.Process(process.pid)
    while not catches(process.pid) or sum(seen.cpu_times()[:2]) < seconds:
        time.sleep(0.001)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert said.count("same command") == 1 and "Traceback" not in said


def catches(process: int) -> bool:
    """Whether our handlers of both signals are there: Python has none of its own for SIGTERM."""
    (mask,) = re.findall(r"^SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text(), re.M)
    wanted = sum(1 << number - 1 for number in (signal.SIGTERM, signal.SIGINT))
    return int(mask, 16) & wanted == wanted
