"""The lease on making an artifact: one maker among many, dead and halted ones, files that are none."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from prereq.artifacts import lease, store
from prereq.artifacts.spec import Spec
from prereq.errors import PrereqError
from tests.conftest import REPOSITORY
from tests.unit.test_store import spec

HOLD = """
import sys, time
from pathlib import Path
from prereq.artifacts import lease, store
from prereq.artifacts.spec import Spec

lease.LEASE, lease.HEARTBEAT = 3, 0.5
spec = Spec(Path(sys.argv[1]), "data", "model", "skill", "sft", {"epochs": 3}, {})

def make(folder):
    (folder / "half.txt").write_text("half")
    print("holds", flush=True)
    time.sleep(float(sys.argv[2]))

store.obtain(spec, {}, make)
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
    monkeypatch.setattr(lease, "LEASE", 3)
    monkeypatch.setattr(lease, "HEARTBEAT", 0.5)


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
    made = store.obtain(spec(tmp_path), {}, lambda folder: None)
    assert not (made.path / "half.txt").exists() and not lock.exists()
    assert (time.monotonic() - started > 2) == elsewhere


def test_a_maker_that_lives_is_waited_for_longer_than_its_lease(tmp_path, short_lease):
    process = holder(tmp_path, 5)
    place = spec(tmp_path).path
    lock = place.with_name(f".{place.name}.lock")
    say_elsewhere(lock)  # so that only the signs of life tell that the maker lives
    store.obtain(spec(tmp_path), {}, lambda folder: pytest.fail("made twice"))
    assert process.wait() == 0


def test_a_maker_that_was_halted_for_longer_than_its_lease_leaves(tmp_path, short_lease):
    process = holder(tmp_path, 60)
    place = spec(tmp_path).path
    say_elsewhere(place.with_name(f".{place.name}.lock"))
    process.send_signal(signal.SIGSTOP)
    made = store.obtain(spec(tmp_path), {}, lambda folder: None)
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=20) == 75
    assert store.find(spec(tmp_path)).path == made.path


def test_what_another_process_is_making_comes_last(tmp_path, short_lease):
    order = []

    def job(name):
        def obtain():
            wanted = Spec(tmp_path, "data", "model", "skill", name, {"epochs": 3})
            return store.obtain(wanted, {}, lambda folder: order.append(name))

        return obtain

    process = holder(tmp_path, 2)
    found = store.in_any_order([job("sft"), job("other"), job("third")])
    assert [artifact.path.name.split("-")[0] for artifact in found] == ["sft", "other", "third"]
    assert order == ["other", "third"] and process.wait() == 0


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """Where the lock file stands; a foreign one may stand for a second."""
    monkeypatch.setattr(lease, "FOREIGN", 1)
    place = spec(tmp_path).path
    place.parent.mkdir(parents=True)
    return place.with_name(f".{place.name}.lock")


FOREIGN = {
    "empty": b"",
    "text": b"garbage\n",
    "bytes": bytes(range(256)) * 20,
    "torn": b"filelock/2\npid=12\nhost=a",
    "older": b"12\nanother-node\n",
    "exclusive": b"filelock/2\npid=12\nhost=another-node\nmode=exclusive\n",
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_lock_file_that_is_no_lease_is_removed_by_its_age(tmp_path, lock, content, capsys):
    lock.write_bytes(content)
    started = time.monotonic()
    made = store.obtain(spec(tmp_path), {}, lambda folder: None)
    assert 1 <= time.monotonic() - started < 10
    assert [p.name for p in made.path.parent.iterdir()] == [made.path.name]
    said = capsys.readouterr().err
    assert said.count("removed") == 1 and str(lock) in said


def test_a_lock_file_that_becomes_a_lease_in_time_is_waited_for(tmp_path, lock):
    """As one looks between being created and being written, on a slow file system."""
    lock.write_bytes(b"")
    made = []

    def become() -> None:
        taken = lease.beside(spec(tmp_path).path.with_name("other"))
        taken.acquire()
        os.rename(taken.lock_file, lock)
        time.sleep(2)
        assert not made
        lock.unlink()
        taken.release()

    thread = threading.Thread(target=become)
    thread.start()
    store.obtain(spec(tmp_path), {}, lambda folder: made.append(folder))
    thread.join()
    assert len(made) == 1


def test_a_new_lease_in_the_place_of_the_foreign_file_stays(tmp_path, lock):
    lock.write_bytes(b"")
    watched = lease._foreign(lease.beside(spec(tmp_path).path))
    lock.unlink()
    with lease.beside(spec(tmp_path).path):
        owned = lock.read_bytes()
        lease._remove(lock, watched)
        assert lock.read_bytes() == owned and owned
        assert [p.name for p in lock.parent.iterdir()] == [lock.name]


def test_a_folder_in_the_place_of_the_lock_file_is_refused(tmp_path, lock):
    lock.mkdir()
    with pytest.raises(PrereqError, match="a folder stands there") as raised:
        store.obtain(spec(tmp_path), {}, lambda folder: None)
    assert str(lock) in str(raised.value)


def test_a_lease_of_other_length_is_explained(tmp_path, short_lease, monkeypatch):
    process = holder(tmp_path, 60)
    place = spec(tmp_path).path
    say_elsewhere(place.with_name(f".{place.name}.lock"))
    monkeypatch.setattr(lease, "LEASE", 4)
    with pytest.raises(PrereqError, match="another version of prereq"):
        store.obtain(spec(tmp_path), {}, lambda folder: None)
    process.kill()
    process.wait()


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "data").write_text("a file where a folder belongs")
    with pytest.raises(PrereqError, match="output_dir"):
        store.obtain(spec(tmp_path), {}, lambda folder: None)
