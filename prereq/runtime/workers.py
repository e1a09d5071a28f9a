"""Jobs side by side: on a CPU, one process a core makes more of small models than one with all cores.

Each worker is a fresh process that runs whole jobs (makes artifacts); leases in the store keep two
of them from making the same one. What they would show is drawn by the process that started them.

Every worker has a pipe of its own, and the parent waits for messages and for ends of processes, never
for one worker alone: whatever becomes of a worker, the parent goes on or ends.
"""

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from rich.text import Text

from prereq.errors import Preempted, PrereqError, portable
from prereq.runtime import console, ranks
from prereq.runtime.signals import SIGNALS, handle, stop

GRACE = 60  # seconds that a worker has to save its checkpoint and end
LOOK_EVERY = 0.5  # seconds between two looks at whether a signal came


def processes(asked: int | None, memory: float | None) -> int:
    """How many jobs to run at once: as `asked`, else by cores and by the GiB that one takes.

    1 where `memory` is None: on a GPU, and for models that need all cores. Raises PrereqError for several
    within a command that runs as several processes already.
    """
    if asked and asked > 1 and ranks.world_size() > 1:
        raise PrereqError(
            f"stage.processes={asked}: this command runs as {ranks.world_size()} processes already, which "
            "share the work; leave it out"
        )
    if asked:
        return asked
    if ranks.world_size() > 1 or memory is None:
        return 1
    import psutil

    room = psutil.virtual_memory().available / 2**30 / memory
    return max(1, min(_cores(), int(room)))


@dataclass(eq=False)
class _Worker:
    """A worker as its parent sees it."""

    process: BaseProcess
    pipe: Connection
    making: str = ""  # the artifact that it began last
    bars: set[str] = field(default_factory=set)  # that it has opened in the display

    @classmethod
    def start(cls, threads: int) -> "_Worker":
        context = multiprocessing.get_context("spawn")
        mine, other = context.Pipe()
        process = context.Process(target=_serve, args=(other, threads))
        with _without_interrupts():  # which it inherits: Ctrl-C is for the parent, which tells it
            process.start()
        other.close()  # so that the pipe ends when the worker does
        return cls(process, mine)

    def send(self, job: Callable[[], object] | None) -> None:
        """Hand out a job; None: there are no more. That a worker has died shows elsewhere."""
        with suppress(OSError):
            self.pipe.send(job)

    def hear(self) -> tuple[str, Any] | None:
        """The next message that is no event to show, None where none will ever come.

        ("done", None) of a job, ("error", error) of the last one, ("nothing", None) as yet.
        """
        while (message := self._message()) and message[0] == "event":
            self._show(message[1])
        return message

    def _message(self) -> tuple[str, Any] | None:
        try:
            if self.pipe.poll():
                return self.pipe.recv()
        except (EOFError, OSError):
            self.pipe.close()
            return None
        return ("nothing", None) if self.process.is_alive() else None

    def _show(self, event: tuple) -> None:
        name, what, *_ = event
        if name == "making":
            self.making = Text.from_markup(what).plain
        elif name == "open":
            self.bars.add(what)
        elif name == "close":
            self.bars.discard(what)
        console.show(event)

    def kill(self) -> None:
        """End it for good, if it has not ended; show its last messages."""
        self.process.kill()
        self.process.join()
        while self.hear():
            pass
        self.pipe.close()
        for name in list(self.bars):
            self._show(("close", name))

    def error(self) -> BaseException:
        """What it means that the worker has ended, or closed its pipe, in the midst of a job."""
        self.process.join(GRACE)
        code = self.process.exitcode
        if code in (Preempted.CODE, *(-number for number in SIGNALS)):
            return Preempted(
                "a worker was stopped: the same command goes on from the last checkpoint"
            )
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = f"signal {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += ", often for want of memory: stage.processes=1 needs less"
        what = f"made {self.making}" if self.making else "had made nothing yet"
        return PrereqError(
            f"the worker process that {what} died without a word ({how}); the same command goes on "
            "from the last checkpoint"
        )


def parallel(jobs: Sequence[Callable[[], object]], count: int) -> None:
    """Run every job, `count` at a time; the first error stops the others, checkpoints saved.

    Jobs are picklable. What exists already is found here, so that workers start only for the rest.
    Raises a worker's error as it was, and PrereqError for a worker that died without a word.
    """
    count = min(count, len(jobs))
    if count <= 1:
        for job in jobs:
            job()
        return
    workers: list[_Worker] = []
    finished = False
    with _noting_signals() as signals:
        try:
            for _ in range(count):
                workers.append(_Worker.start(max(1, _cores() // count)))
            finished = _run(workers, jobs, signals)
        finally:
            _end(workers, stop=not finished)


def _run(
    workers: Sequence[_Worker], jobs: Sequence[Callable[[], object]], signals: Sequence[int]
) -> bool:
    """Hand out the jobs until all are done (then True), or a signal has come. Raises the first error."""
    waiting = iter(jobs)
    busy = set(workers)
    for worker in workers:
        worker.send(next(waiting))
    while busy and not signals:
        for worker in _ready(busy):
            message = worker.hear()
            if message is None:
                raise worker.error()
            name, content = message
            if name == "error":
                raise content
            if name == "done":
                job = next(waiting, None)
                worker.send(job)
                if job is None:
                    busy.remove(worker)
    return not busy


def _end(workers: Sequence[_Worker], stop: bool) -> None:
    """Wait until every worker has ended, at most `GRACE` seconds, then kill those that have not."""
    deadline = time.monotonic() + GRACE
    try:
        for worker in workers if stop else ():
            worker.process.terminate()  # SIGTERM: it saves its checkpoint
            worker.send(None)  # wakes one that waits for a job: a signal alone may not
        while time.monotonic() < deadline:
            alive = [worker for worker in workers if worker.process.is_alive()]
            if not alive:
                break
            for worker in _ready(alive):
                worker.hear()
    finally:
        for worker in workers:
            worker.kill()


def _ready(workers: Iterable[_Worker]) -> list[_Worker]:
    """The workers that have sent something or have ended; waits for one, but not for long."""
    owner = {worker.process.sentinel: worker for worker in workers}
    owner |= {worker.pipe: worker for worker in workers if not worker.pipe.closed}
    return list(dict.fromkeys(owner[thing] for thing in wait(list(owner), timeout=LOOK_EVERY)))


@contextmanager
def _noting_signals() -> Iterator[list[int]]:
    """Note what asks to stop, instead of unwinding in the midst of a message; raise it at the end.

    A second Ctrl-C does not wait for the workers.
    """
    noted: list[int] = []

    def note(number: int, _: object) -> None:
        noted.append(number)
        if noted.count(signal.SIGINT) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield noted  # signals come to the main thread alone
        return
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGINT)}
    before = {n: handler for n, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if noted:
        signal.raise_signal(noted[0])


@contextmanager
def _without_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(pipe: Connection, threads: int) -> None:
    """The life of a worker: jobs from its pipe until there are no more, or one fails."""
    outbox: queue.SimpleQueue = queue.SimpleQueue()
    # A thread sends, because no signal cuts its messages short.
    sender = threading.Thread(target=_send, args=(pipe, outbox), daemon=True)
    sender.start()
    try:
        handle(stop)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        console.send_to(lambda event: outbox.put(("event", event)))
        # Read when torch is imported, which takes seconds and is left to the job.
        os.environ |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        while (job := pipe.recv()) is not None:
            job()
            outbox.put(("done", None))
    except EOFError:
        pass  # the parent has gone
    except BaseException as error:
        outbox.put(("error", portable(error)))
    finally:
        handle(
            signal.SIG_IGN
        )  # nothing is left to save, and Python's own end is not to be disturbed
        outbox.put(None)
        sender.join()


def _send(pipe: Connection, outbox: queue.SimpleQueue) -> None:
    with suppress(OSError):  # the parent has gone
        for message in iter(outbox.get, None):
            pipe.send(message)


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)
