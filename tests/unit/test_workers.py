"""Worker processes: whatever becomes of them, the process that started them goes on or ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from prereq.artifacts import store
from prereq.artifacts.spec import Spec
from prereq.config import Config
from prereq.errors import ConfigError, Preempted, PrereqError
from prereq.runtime import workers
from prereq.runtime.console import progress
from tests.conftest import REPOSITORY

# Jobs, as workers import them from here. -----------------------------------------------------


def job(root: Path, name: str, what=None) -> None:
    """Make an artifact, and in the middle do `what`."""

    def make(folder: Path) -> None:
        (folder / "process").write_text(str(os.getpid()))
        if what is not None:
            what(root, name)

    store.obtain(Spec(root, "data", "model", "skill", name, {}), Config(), make)


def fail(kind: str, root: Path, name: str) -> None:
    if kind == "error":
        raise PrereqError(f"{name}: no such split; there is train")
    if kind == "configuration":
        raise ConfigError(["a: is wrong", "b: is wrong"])
    if kind == "traceback":
        return {}["key"]
    if kind == "unpicklable":
        raise type("Odd", (Exception,), {})("odd")
    if kind == "exit":
        os._exit(3)
    if kind == "preempted":
        os._exit(Preempted.CODE)
    os.kill(os.getpid(), getattr(signal, kind))
    time.sleep(60)


def wait_for_sigterm(root: Path, name: str) -> None:
    """Like training: on being told to stop it leaves a note (the checkpoint) and unwinds."""
    try:
        (root / f"{name} began").touch()  # within: the signal may come as soon as this is seen
        time.sleep(60)
    finally:
        (root / f"{name} saved").touch()


def deaf(root: Path, name: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (root / f"{name} began").touch()
    time.sleep(60)


def draw(root: Path, name: str) -> None:
    with progress(f"skill {name}", 3000) as advance:
        for _ in range(3000):
            advance(1, "x" * 100)


def wait_until(root: Path, *names: str) -> None:
    deadline = time.monotonic() + 40
    while not all((root / name).exists() for name in names):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def fail_beside(kind: str, root: Path, name: str) -> None:
    wait_until(root, "good began")
    time.sleep(0.2)
    fail(kind, root, name)


# ---------------------------------------------------------------------------------------------


def made(root: Path) -> dict[str, str]:
    """Which process made each artifact."""
    found = store.every(root, "skill")
    return {a.manifest["name"]: (a.path / "process").read_text() for a in found}


def test_every_job_runs_once_in_as_many_processes_as_asked_for(tmp_path):
    job(tmp_path, "there")
    jobs = [partial(job, tmp_path, name) for name in ("there", "one", "two", "three", "four")]
    workers.parallel(jobs, 2)
    by = made(tmp_path)
    assert by.keys() == {"there", "one", "two", "three", "four"}
    others = {process for name, process in by.items() if name != "there"}
    assert by["there"] == str(os.getpid()) not in others and len(others) <= 2
    workers.parallel(jobs, 2)  # all found; no process starts
    assert made(tmp_path) == by


def test_processes_that_share_the_work_start_no_workers(monkeypatch):
    monkeypatch.setattr(workers.ranks, "world_size", lambda: 2)
    assert workers.processes(None, 1.0) == workers.processes(1, 1.0) == 1
    with pytest.raises(PrereqError, match=r"stage.processes=3: .* as 2 processes already"):
        workers.processes(3, 1.0)


def test_what_workers_show_is_shown_to_the_last_line(tmp_path, capsys):
    jobs = [partial(job, tmp_path, f"n{number}", draw) for number in range(4)]
    workers.parallel(jobs, 2)
    said = capsys.readouterr().err
    assert said.count(" made ") == 4 and all(f"n{number}-" in said for number in range(4))
    assert workers.console._bars == {}


KINDS = {
    "error": (PrereqError, "bad: no such split; there is train"),
    "configuration": (PrereqError, "  - a: is wrong\n  - b: is wrong"),
    "traceback": (KeyError, "key"),
    "unpicklable": (RuntimeError, "Odd: odd"),
    "exit": (PrereqError, r"made skill data/model bad-\w+ died without a word \(exit code 3\)"),
    "SIGKILL": (PrereqError, r"made skill data/model bad-\w+ died .*SIGKILL, often for want of mem"),
    "SIGSEGV": (PrereqError, r"made skill data/model bad-\w+ died without a word \(signal SIGSEGV"),
    "preempted": (Preempted, "75"),
    "SIGTERM": (Preempted, "stopped"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_error_arrives_as_what_it_is_and_the_others_save_and_end(tmp_path, kind):
    jobs = [
        partial(job, tmp_path, "good", wait_for_sigterm),
        partial(job, tmp_path, "bad", partial(fail_beside, kind)),
        partial(job, tmp_path, "never"),
    ]
    error, text = KINDS[kind]
    started = time.monotonic()
    with pytest.raises(error, match=text if error is not Preempted else None) as raised:
        workers.parallel(jobs, 2)
    assert time.monotonic() - started < 40
    assert (tmp_path / "good saved").exists() and made(tmp_path) == {}
    notes = "".join(getattr(raised.value, "__notes__", []))
    assert ('{}["key"]' in notes) == (kind == "traceback")
    assert not any(process.is_alive() for process in workers.multiprocessing.active_children())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_worker_that_hears_nothing_is_killed_at_the_deadline(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "GRACE", 2)
    jobs = [partial(job, tmp_path, "good", deaf)]
    jobs += [partial(job, tmp_path, "bad", partial(fail_beside, "error"))]
    with pytest.raises(PrereqError, match="no such split"):
        workers.parallel(jobs, 2)
    assert not workers.multiprocessing.active_children()


def test_a_job_that_cannot_be_sent_is_an_error_and_no_process_is_left(tmp_path):
    with pytest.raises(TypeError, match="pickle"):
        jobs = [partial(job, tmp_path, "a", threading.Lock()), lambda: job(tmp_path, "b")]
        workers.parallel(jobs, 2)
    assert not workers.multiprocessing.active_children()


PARENT = """
import sys
from functools import partial
from pathlib import Path
from prereq.runtime import workers
from prereq.errors import Preempted
from prereq.runtime.signals import handle, stop
from tests.unit.test_workers import job, wait_for_sigterm

if __name__ == "__main__":
    handle(stop)
    root = Path(sys.argv[1])
    workers.parallel([partial(job, root, name, wait_for_sigterm) for name in ("one", "two")], 2)
"""


@pytest.fixture
def parent(tmp_path):
    """A process with two workers that both are in the middle of a job."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, script, tmp_path],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    wait_until(tmp_path, "one began", "two began")
    yield process
    process.kill()


def wait_until_all_ended(session: int) -> None:
    """Until no process of a session runs any more; Python's own resource tracker ends last."""
    deadline = time.monotonic() + 20
    with suppress(ProcessLookupError):
        while True:
            os.killpg(session, 0)
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize("number, whole", [("SIGTERM", False), ("SIGTERM", True), ("SIGINT", True)])
def test_a_signal_stops_the_workers_whoever_gets_it(parent, tmp_path, number, whole):
    (os.killpg if whole else os.kill)(parent.pid, getattr(signal, number))
    _, said = parent.communicate(timeout=30)
    assert parent.returncode == (75 if number == "SIGTERM" else -signal.SIGINT)
    assert (tmp_path / "one saved").exists() and (tmp_path / "two saved").exists()
    assert said.count("Traceback") == (number == "SIGINT")  # the script's own
    wait_until_all_ended(parent.pid)


def test_workers_end_with_a_parent_that_is_killed(parent, tmp_path):
    parent.kill()
    parent.wait()
    wait_until(tmp_path, "one saved", "two saved")
    wait_until_all_ended(parent.pid)
