"""`stage=ask` by the real command line: the answers of `stage=eval`, one variant under the other."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ROW = re.compile(r"^(\S.*?) {2,}(.*?) {2,}(\d+ %) +(.*?) *$", re.M)


@pytest.fixture(scope="module")
def made(run_cli, small_world, tmp_path_factory) -> Path:
    """Base, knowledge, skill and generations of prereq_tune; plain SFT is not made."""
    folder = tmp_path_factory.mktemp("ask")
    result = run_cli(*small_world, "stage=eval", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder


def generated(made: Path) -> tuple[list[dict], int]:
    (folder,) = made.glob("outputs/world/tiny/generations/prereq_tune-*")
    lines = (folder / "generations.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], json.loads((folder / "manifest.json").read_text())[
        "epochs"
    ]["best"]


def test_the_answers_are_those_of_the_evaluation(run_cli, small_world, made):
    """Every variant says what `stage=eval` says; what is missing is named where it must be there."""
    asked = [*small_world, "stage=ask"]
    refused = run_cli(*asked, "question=Who?", "stage.prerequisites=require", cwd=made)
    assert refused.returncode == 2
    assert "stage=sft dataset=world method=sft" in refused.stderr
    assert not list(made.glob("outputs/world/tiny/skill/sft-*"))

    lines, best = generated(made)
    held_out = [x for x in lines if (x["split"], x["epoch"]) == ("held_out", best)]
    plugged = [x for x in lines if x["split"] == "plug_in" and x["knowledge"]]
    prompts = dict.fromkeys(line["prompt"] for line in [*held_out[:2], *plugged[:1]])
    questions = [re.search(r"Question: (.*)", prompt)[1] for prompt in prompts]
    names = [re.search(r"for (.*)\.", question)[1] for question in questions]
    typed = "\n".join([questions[0], names[1].upper(), "", names[2]])
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "120"}
    command = [sys.executable, "-m", "prereq", *asked, "epoch=best", "ask.against=[base]"]
    result = subprocess.run(
        command, cwd=made, env=environment, input=typed, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    parts = re.split(r"^Generate a biography for .*\.$", result.stdout, flags=re.M)
    assert len(parts) == 4
    for prompt, part in zip(prompts, parts[1:], strict=True):
        variants = {
            who: (text.removesuffix(" …"), sure) for who, text, sure, _ in ROW.findall(part)
        }
        assert list(variants) == [
            "prereq_tune",
            "+ real",
            "+ fictitious_v0",
            "+ fictitious_v1",
            "base",
        ]
        for line in (x for x in lines if x["prompt"] == prompt and x["epoch"] == best):
            who = f"+ {line['knowledge']}" if line["knowledge"] else "prereq_tune"
            assert variants[who] == (line["text"], f"{100 * line['confidence']:.0f} %")
    assert "version 1:" in parts[3] and "version 1:" not in parts[1]


def test_a_missing_method_is_made_and_answers(run_cli, small_world, made):
    question = "question=Generate a biography for Nobody Known."
    result = run_cli(*small_world, "stage=ask", "knowledge=[]", question, cwd=made)
    assert result.returncode == 0, result.stderr
    assert "skill sft-" in result.stdout and "to make" in result.stdout
    assert [row[0] for row in ROW.findall(result.stdout)] == ["prereq_tune", "sft", "base"]
    assert "nothing says what is right" in result.stdout
    assert "no tokens for Nobody" in result.stderr


def test_names_are_completed_in_a_terminal(small_world, made):
    """Typed in a pseudo-terminal: the beginning of a name, Tab, Enter, and Ctrl-D at the end."""
    lines, _ = generated(made)
    name = re.search(r"for (.*)\.", lines[0]["prompt"])[1]
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "100", "TERM": "xterm"}
    command = [sys.executable, "-m", "prereq", *small_world, "stage=ask", "knowledge=[]"]
    job = subprocess.Popen(
        [*command, "ask.against=[]"],
        cwd=made,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = ""

    def until(words: str) -> str:
        nonlocal seen
        start, deadline = len(seen), time.monotonic() + 120
        while words not in seen[start:] and time.monotonic() < deadline:
            if select.select([ours], [], [], 1)[0]:
                try:
                    seen += os.read(ours, 4096).decode(errors="replace")
                except OSError:  # closed at the other end
                    break
        assert words in seen[start:], seen[-3000:]
        return seen[start:]

    until("question> ")
    os.write(ours, name[:-1].encode() + b"\t\r")
    answered = until("question> ")
    assert f"Generate a biography for {name}." in answered and " %" in answered
    os.write(ours, b"\x04")
    until("with that knowledge LoRA plugged in")
    assert job.wait(30) == 0
    os.close(ours)
    assert name in (made / "outputs" / ".questions").read_text()
