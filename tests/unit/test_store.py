"""Artifacts: keys, atomic publication, one maker among many, resuming what was half made."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from prereq import store
from prereq.config import Config
from prereq.errors import PrereqError
from tests.conftest import REPOSITORY


def spec(root, content=None, labels=None):
    return store.Spec(root, "data", "model", "skill", "sft", content or {"epochs": 3}, labels or {})


def payload(folder):
    (folder / "weights.txt").write_text("w")
    return {"summary": {"steps": 3}}


def test_the_key_follows_from_the_content_alone(tmp_path):
    one = spec(tmp_path)
    assert one.key == spec(tmp_path / "elsewhere", labels={"colour": "blue"}).key
    assert one.key != spec(tmp_path, {"epochs": 4}).key
    assert one.path.name == f"sft-{one.key}"


def test_a_made_artifact_says_what_it_is_and_is_found_again(tmp_path):
    made = store.obtain(spec(tmp_path), Config(), payload)
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest["summary"] == {"steps": 3} and manifest["key"] == made.reference
    assert manifest["files"]["weights.txt"]["bytes"] == 1
    assert len(manifest["files"]["weights.txt"]["sha256"]) == 64
    assert manifest["packages"]["torch"]
    assert (made.path / "config.yaml").exists()
    again = store.obtain(spec(tmp_path), Config(), lambda folder: pytest.fail("made twice"))
    assert again.path == made.path


def test_a_failed_maker_publishes_nothing_and_the_next_goes_on_in_its_scratch(tmp_path):
    def fail(folder):
        (folder / "half.txt").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        store.obtain(spec(tmp_path), Config(), fail)
    assert store.find(spec(tmp_path)) is None
    assert store.every(tmp_path, "skill") == []

    def resume(folder):
        assert (folder / "half.txt").read_text() == "half"

    assert store.obtain(spec(tmp_path), Config(), resume).path.exists()
    assert [p.name for p in spec(tmp_path).path.parent.iterdir()] == [spec(tmp_path).path.name]


def test_many_at_once_make_it_once(tmp_path):
    made = []

    def slow(folder):
        made.append(folder)
        threading.Event().wait(0.3)

    threads = [
        threading.Thread(target=store.obtain, args=(spec(tmp_path), Config(), slow))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and store.find(spec(tmp_path))


def test_a_broken_manifest_is_named(tmp_path):
    made = store.obtain(spec(tmp_path), Config(), payload)
    (made.path / "manifest.json").write_text("{")
    with pytest.raises(PrereqError, match="not JSON"):
        store.every(tmp_path, "skill")


HOLD = """
import sys, time
from pathlib import Path
from prereq import store
from prereq.config import Config

store.LEASE, store.HEARTBEAT = 3, 0.5
spec = store.Spec(Path(sys.argv[1]), "data", "model", "skill", "sft", {"epochs": 3}, {})

def make(folder):
    (folder / "half.txt").write_text("half")
    print("holds", flush=True)
    time.sleep(float(sys.argv[2]))

store.obtain(spec, Config(), make)
"""


def holder(root, seconds: float) -> subprocess.Popen:
    """Another process that is making the artifact, and takes so long."""
    command = [sys.executable, "-c", HOLD, str(root), str(seconds)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "holds\n"
    return process


def say_elsewhere(lock: Path) -> None:
    """The lease as a process on another node leaves it, which nobody here can look for."""
    text = lock.read_text()
    assert "\nhost=" in text
    with open(lock, "r+") as stream:
        stream.write(re.sub(r"host=.*", "host=another-node", text))
        stream.truncate()


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr(store, "LEASE", 3)
    monkeypatch.setattr(store, "HEARTBEAT", 0.5)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_killed_maker_on_this_node_or_another_does_not_block_for_ever(
    tmp_path, short_lease, elsewhere
):
    process = holder(tmp_path, 60)
    process.kill()
    process.wait()
    place = spec(tmp_path).path
    lock = place.with_name(f".{place.name}.lock")
    if elsewhere:
        say_elsewhere(lock)
    started = time.monotonic()
    made = store.obtain(spec(tmp_path), Config(), lambda folder: None)
    assert (made.path / "half.txt").exists() and not lock.exists()
    assert (time.monotonic() - started > 2) == elsewhere


def test_a_maker_that_lives_is_waited_for_longer_than_its_lease(tmp_path, short_lease):
    process = holder(tmp_path, 5)
    place = spec(tmp_path).path
    lock = place.with_name(f".{place.name}.lock")
    say_elsewhere(lock)  # so that only the signs of life tell that the maker lives
    store.obtain(spec(tmp_path), Config(), lambda folder: pytest.fail("made twice"))
    assert process.wait() == 0


def test_a_maker_that_was_halted_for_longer_than_its_lease_leaves(tmp_path, short_lease):
    process = holder(tmp_path, 60)
    place = spec(tmp_path).path
    say_elsewhere(place.with_name(f".{place.name}.lock"))
    process.send_signal(signal.SIGSTOP)
    made = store.obtain(spec(tmp_path), Config(), lambda folder: None)
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=20) == 75
    assert store.find(spec(tmp_path)).path == made.path


def test_what_another_process_is_making_comes_last(tmp_path, short_lease):
    order = []

    def job(name):
        def obtain():
            wanted = store.Spec(tmp_path, "data", "model", "skill", name, {"epochs": 3})
            return store.obtain(wanted, Config(), lambda folder: order.append(name))

        return obtain

    process = holder(tmp_path, 2)
    found = store.in_any_order([job("sft"), job("other"), job("third")])
    assert [artifact.path.name.split("-")[0] for artifact in found] == ["sft", "other", "third"]
    assert order == ["other", "third"] and process.wait() == 0
