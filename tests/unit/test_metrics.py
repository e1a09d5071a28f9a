"""`metrics.jsonl` of a resumed run: cut to the checkpoint's step, without what an interruption tore."""

import json

import pytest

from prereq.tracking.metrics import Tracker


@pytest.fixture
def tracker(tmp_path):
    tracker = Tracker(folder=tmp_path)
    for step in range(6):
        tracker.log(step, {"loss": 1 / (1 + step), "name": "a\u2028b\u0085c"})
    return tracker


def rows(tracker) -> list[dict]:
    return [json.loads(line) for line in tracker.file.read_text("utf-8").split("\n") if line]


def test_what_was_logged_after_the_checkpoint_is_dropped(tracker, capsys):
    before = tracker.file.read_bytes()
    tracker.resume(4)
    assert before.startswith(tracker.file.read_bytes())
    assert [row["step"] for row in rows(tracker)] == [0, 1, 2, 3]
    tracker.log(4, {"loss": 0.2})
    assert [row["step"] for row in rows(tracker)] == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "tail",
    [
        b'{"step": 6, "lo',
        b"\0" * 50,
        b"5\n",
        b'{"old": 1}\n',
        b'{"step": "3"}\n',
        b'{"step": true}\n',
        b'{"step": 2, "loss": NaN}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
)
def test_damaged_lines_are_dropped_with_one_line(tracker, tail, capsys):
    with open(tracker.file, "ab") as stream:
        stream.write(tail)
    tracker.resume(6)
    assert [row["step"] for row in rows(tracker)] == [0, 1, 2, 3, 4, 5]
    said = capsys.readouterr().err
    assert said.count("dropped  1 line of") == 1 and str(tracker.file) in said
    assert len(said.splitlines()) == 1


def test_a_fresh_start_keeps_nothing_and_says_nothing_of_it(tracker, capsys):
    with open(tracker.file, "ab") as stream:
        stream.write(b'{"old": 1}\n')
    tracker.resume(0)
    assert rows(tracker) == [] and capsys.readouterr().err == ""
