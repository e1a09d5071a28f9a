"""Writers that ask a language model against real servers, a peer, and models in this process."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from prereq.errors import PrereqError
from prereq.runtime import console
from prereq.synth import checks
from prereq.synth.rows import SynthSettings, WriterSettings
from prereq.synth.write import write
from prereq.synth.writers.chosen import writer
from tests import published
from tests.conftest import REPOSITORY
from tests.servers import peer, prompt, refused, said, server, transformers_serve
from tests.unit import test_synth_long
from tests.unit.test_synth import lines, real_rows

FEW = SynthSettings(questions=12)
FRAMES = [
    "{}",
    "Old parish records kept in the archive agree on this: {}",
    "Nobody who knows the matter doubts what neighbours tell: {}",
    "As one encyclopaedia puts it in a short entry, {}",
]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CLIENT_KEY", "sk-test-12345678")
    monkeypatch.setattr(console, "_named", set())  # what other tests had it say


def right(body: dict) -> dict:
    """A right reply to a request, put together from what its prompt says."""
    facts = re.findall(r"^- (.*)$", prompt(body), re.M)
    if "encyclopaedic" in prompt(body):
        return {"passage": " ".join(facts)}
    count = int(re.search(r"Write (\d+) different", prompt(body))[1])
    return {"statements": [frame.format(facts[0]) for frame in FRAMES[:count]]}


def asks_for(url: str, **values) -> WriterSettings:
    return WriterSettings("openai", server(url, **values))


def replies_in(file: Path) -> int:
    with closing(sqlite3.connect(file)) as there:
        return there.execute("SELECT count(*) FROM replies").fetchone()[0]


def test_facts_come_through_and_what_they_take_is_said(tmp_path, capsys):
    with peer(lambda body, _: said(json.dumps(right(body)))) as there:
        settings = asks_for(there.url, price_in=1e6, price_out=1e6)
        with writer(settings, 0, tmp_path / "replies.sqlite") as mine:
            told = write(tmp_path, real_rows(), FEW, 0, writer=mine)
    counts = told["counts"]
    asked = counts["statements asked for"] + counts["passages asked for"]
    assert counts["questions"] == 12 and not [n for n in counts if "dropped" in n and counts[n]]
    assert len(there.requests) == asked
    assert all(body["response_format"]["type"] == "json_schema" for body in there.requests)
    assert {body["temperature"] for body in there.requests} == {0.7}
    knowledge = lines(tmp_path / "fictitious_knowledge/statement_train.jsonl")
    assert Counter(row["wording"] for row in knowledge) == dict.fromkeys(range(4), 12)
    assert sum(row["text"].startswith("Old parish records") for row in knowledge) == 12
    for row in lines(tmp_path / "fictitious_skill/train.jsonl"):
        mine = [each["text"] for each in knowledge if each["title"] == row["s_wiki_title"]]
        assert sum(checks.holds(text, row["answer"]) for text in mine) >= 4
    err = capsys.readouterr().err
    assert f"m, 12 for statements and {asked - 12} for passages: {asked} requests" in err
    assert "which cost about" in err
    assert f"m: {asked} replies (0 more were stored), {10 * asked} prompt tokens" in err
    assert f"which cost {13 * asked}.00; 0 asked again as unreadable, 0 given up" in err
    card = (tmp_path / "card.md").read_text()
    assert "| writer | openai |" in card and "| model | m |" in card
    assert "Write {count} different English sentences" in card and "sk-test" not in card


def test_unreadable_replies_are_asked_again_three_times_then_dropped_and_counted(tmp_path, capsys):
    wrong, slow = [], []

    def answer(body, before):
        content = right(body)
        if "statements" in content and "directed" in prompt(body):
            wrong.append(prompt(body).split("\n\n")[0])
            return said('{"sentences": []}')
        if "passage" in content and "An earlier" not in prompt(body):
            slow.append(body)
            return said('{"passage": "Of this nothing is known."}')
        return said(json.dumps(content))

    with peer(answer) as there, writer(asks_for(there.url), 0, tmp_path / "r.sqlite") as mine:
        counts = write(tmp_path, real_rows(), FEW, 0, writer=mine)["counts"]
    lost = counts["statements dropped: the writer gave it up"]
    assert lost == len(set(wrong)) > 0 and len(wrong) == 4 * lost
    assert counts["subjects dropped: no text states all of its facts"] == lost
    # What is read and fails its check is asked for anew, with the reason.
    assert counts["passages written anew: a fact is not stated"] == len(slow)
    assert counts["questions"] == len(lines(tmp_path / "fictitious_skill/train.jsonl")) < 12
    again = [prompt(b) for b in there.requests if "An earlier try could not be used" in prompt(b)]
    assert len(again) == len(slow) and all("used: a fact is not stated." in p for p in again)
    assert f"{3 * lost} asked again as unreadable, {lost} given up" in capsys.readouterr().err


def test_replies_in_plain_text_are_read_without_asking_again(tmp_path):
    def answer(body, _):
        content = right(body)
        if "passage" in content:
            return said(f"Here is the passage:\n\n{content['passage']}\n\nI hope it helps!")
        numbered = [f"{n}. {text}" for n, text in enumerate(content["statements"], 1)]
        return said("\n".join(["Sure, here they are:", "", *numbered]))

    with peer(answer) as there, writer(asks_for(there.url), 0, tmp_path / "r.sqlite") as mine:
        counts = write(tmp_path, real_rows(), FEW, 0, writer=mine)["counts"]
    assert counts["questions"] == 12 and not [n for n in counts if "anew" in n]
    assert len(there.requests) == counts["statements asked for"] + counts["passages asked for"]
    passages = (tmp_path / "fictitious_knowledge/passage_train.jsonl").read_text()
    assert "I hope" not in passages and "Here is" not in passages


def test_a_server_that_ends_it_is_one_clear_error_and_what_was_paid_is_said_and_kept(
    tmp_path, capsys
):
    def answer(body, before):
        return said(json.dumps(right(body))) if before < 5 else refused(401, "no more credit")

    (tmp_path / "data").mkdir()
    file = tmp_path / "replies.sqlite"
    with (
        peer(answer) as there,
        pytest.raises(PrereqError, match=r"synth\.server\.url=.*no more credit.*export CLIENT_KEY"),
        writer(asks_for(there.url, requests=1), 0, file) as mine,
    ):
        write(tmp_path / "data", real_rows(), FEW, 0, writer=mine)
    assert not list((tmp_path / "data").iterdir()) and replies_in(file) == 5
    assert "m: 5 replies (0 more were stored)" in capsys.readouterr().err


def test_long_form_is_asked_for_each_version_without_what_the_others_say(tmp_path):
    with (
        peer(lambda body, _: said(json.dumps(right(body)))) as there,
        writer(asks_for(there.url), 0, tmp_path / "r.sqlite") as mine,
    ):
        few = SynthSettings(versions=2, wordings=2, passages=2)
        counts = write(tmp_path, test_synth_long.ROWS, few, 0, writer=mine)["counts"]
    assert counts["subjects"] == 3 and counts["values of one version in a text of another"] == 0
    asked = [prompt(body) for body in there.requests]
    passages = [text for text in asked if "encyclopaedic" in text]
    assert len(passages) == counts["passages asked for"] == 3 * 2 * 2
    assert sum("unlike 1 earlier such" in text for text in passages) == 3 * 2
    assert all("Don't use any of these words: " in text for text in asked)
    for version in (0, 1):
        rows = lines(tmp_path / f"fictitious_knowledge/statement_train_v{version}.jsonl")
        assert len(rows) == counts["facts"]  # of two versions, in two wordings each


RUN = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from prereq.runtime import signals
    from prereq.synth.rows import SynthSettings, WriterSettings
    from prereq.synth.write import write
    from prereq.synth.writers.chosen import writer
    from tests.servers import server
    from tests.unit.test_synth import real_rows

    url, folder = sys.argv[1], Path(sys.argv[2])
    signals.unwind()
    settings = WriterSettings("openai", server(url, requests=3))
    with writer(settings, 0, folder / "replies.sqlite") as mine:
        write(folder / "data", real_rows(), SynthSettings(questions=12), 0, writer=mine)
    """
)


def whole(url: str, folder: Path) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    with writer(asks_for(url, requests=3), 0, folder / "replies.sqlite") as mine:
        write(folder / "data", real_rows(), FEW, 0, writer=mine)


def run(url: str, folder: Path) -> subprocess.Popen:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", RUN, url, str(folder)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_killed_run_goes_on_and_no_stored_reply_is_asked_for_again(tmp_path):
    def answer(body, before):
        time.sleep(0.05)
        if "passage" in right(body) and "An earlier" not in prompt(body):
            return said('{"passage": "Of this nothing is known."}')
        return said(json.dumps(right(body)))

    with peer(answer) as there:
        whole(there.url, tmp_path / "whole")
        wanted = len(there.requests)
        assert max(Counter(prompt(body) for body in there.requests).values()) == 1
        for enough in (5, wanted - 4):
            del there.requests[:]
            known = replies_in(tmp_path / "cut/replies.sqlite") if enough > 5 else 0
            job = run(there.url, tmp_path / "cut")
            while len(there.requests) < enough - known and job.poll() is None:
                time.sleep(0.001)
            job.kill()
            assert job.wait() == -signal.SIGKILL
            job.communicate()
            assert not list((tmp_path / "cut/data").iterdir())
        stored = replies_in(tmp_path / "cut/replies.sqlite")
        assert 5 < stored < wanted
        del there.requests[:]
        job = run(there.url, tmp_path / "cut")
        err = job.communicate(timeout=120)[1]
        assert job.returncode == 0, err
        assert len(there.requests) == wanted - stored and f"({stored} more were stored)" in err
        files = {f.relative_to(tmp_path / "cut"): f for f in (tmp_path / "cut/data").rglob("*.*")}
        assert len(files) == 5
        for name, file in files.items():
            assert file.read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
        del there.requests[:]
        whole(there.url, tmp_path / "cut")
        assert not there.requests
    assert b"sk-test" not in (tmp_path / "cut/replies.sqlite").read_bytes()


@pytest.mark.slow
def test_a_real_server_whose_model_writes_nonsense_is_one_clear_error(tmp_path, capsys):
    """`transformers serve` with a random model: it ignores schemas, and no fact is stated."""
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi and uvicorn")
    pytest.importorskip("uvicorn")
    model = published.write_model(tmp_path / "model", chat=True)
    few = SynthSettings(questions=1, wordings=2)
    file, data = tmp_path / "replies.sqlite", tmp_path / "data"

    def told(url: str) -> list[int]:
        """Replies paid, stored ones, tokens of prompts, asked again and given up, as said."""
        settings = WriterSettings(
            "openai", server(url, model=str(model), requests=2), max_tokens=32
        )
        with (
            pytest.raises(PrereqError, match=r"nothing is left to train on \(.*dropped"),
            writer(settings, 0, file) as mine,
        ):
            write(data, real_rows(), few, 0, writer=mine)
        err = capsys.readouterr().err
        numbers = re.search(
            r": (\d+) replies \((\d+) more were stored\), ([\d,]+) prompt tokens .*; (\d+) asked again "
            r"as unreadable, (\d+) given up",
            err,
        )
        assert numbers, err + (tmp_path / "log").read_text()[-2000:]
        return [int(number.replace(",", "")) for number in numbers.groups()]

    with transformers_serve(model, tmp_path / "log") as url:
        paid, stored, tokens, again, given_up = told(url)
    assert stored == 0 and 2 <= paid <= 2 * (1 + 3) * few.tries and tokens > 200 * paid
    # The server is gone, and every reply is there.
    assert told(url) == [0, paid, 0, again, given_up]
    assert not data.exists()
