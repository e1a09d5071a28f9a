"""Signals that ask a command to stop, and what they do.

Before and after its work a command ends at once. While it works, a signal unwinds what runs, so that
every lock is released; while a model trains, the loop looks at a flag between steps and saves a
checkpoint. Either way a command ends without a traceback: after Ctrl-C with the code 130, else with
that of `Preempted`, on which a SLURM job is queued again (`hydra_plugins.prereq_slurm`).
"""

import gc
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prereq.errors import Preempted

# SLURM sends SIGTERM when it preempts; submitit has it send SIGUSR2 before the time is up.
SIGNALS = tuple(getattr(signal, n) for n in ("SIGTERM", "SIGUSR2") if hasattr(signal, n))
INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it

_received: BaseException | None = None  # what a signal was turned into


def handle(handler: Any) -> list[Any]:
    """Set the handler of every such signal; the ones before. Raises ValueError off the main thread."""
    return [signal.signal(number, handler) for number in SIGNALS]


def at_once() -> None:
    """From here on a signal ends the process where it is: nothing is under way that could be lost."""
    handle(_end)
    _handle_interrupt(_end)


def unwind() -> None:
    """From here on a signal unwinds what runs; a second Ctrl-C does not wait for that."""
    handle(stop)
    _handle_interrupt(_interrupt)


def stop(*_) -> None:
    """The handler outside of training: unwind, once."""
    global _received
    handle(signal.SIG_IGN)
    _received = Preempted("stopped: the same command goes on from the last checkpoint")
    raise _received


def _interrupt(*_) -> None:
    global _received
    _handle_interrupt(_end)
    _received = KeyboardInterrupt()
    raise _received


def _end(number: int, _: Any) -> None:
    interrupted = number == signal.SIGINT
    if os.environ.get("RANK", "0") == "0":  # of processes that train together, the first
        what = b"\ninterrupted" if interrupted else b"stopped"
        os.write(2, what + b": the same command goes on from what is finished\n")
    os._exit(INTERRUPTED if interrupted else Preempted.CODE)


def _handle_interrupt(handler: Any) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in the background of a script
        signal.signal(signal.SIGINT, handler)


@contextmanager
def imports() -> Iterator[None]:
    """While modules are imported: a signal waits, because an import may swallow what it raises.

    So does the garbage collector, which would take a sixth of the time: it would go through the same
    hundred thousands of objects again and again, and afterwards at each of its full collections.
    """
    with _uncollected():
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        with _waiting():
            yield


@contextmanager
def _uncollected() -> Iterator[None]:
    collects = gc.isenabled()
    gc.collect()  # what is garbage now must not be kept
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # modules stay as long as the process
        if collects:
            gc.enable()


@contextmanager
def _waiting() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *SIGNALS)}
    before = {n: handler for n, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    arrived: list[int] = []

    def wait(number: int, frame: Any) -> None:
        if arrived and number == signal.SIGINT:
            _end(number, frame)
        arrived.append(number)

    for number in before:
        signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        signal.raise_signal(arrived[0])


@contextmanager
def unaltered() -> Iterator[None]:
    """A signal comes out as what it is, whatever error the code that it interrupted made of it."""
    try:
        yield
    except Exception:
        if _received is None:
            raise
        raise _received from None


def look() -> None:
    """Raise what a signal was turned into if it was swallowed on its way, as some imports do."""
    if _received is not None:
        raise _received


def forget() -> None:
    """Take no notice of the signal that came: an error that explains it is on its way."""
    global _received
    _received = None


class Asked:
    """The handler while a model trains, as a context: a flag that the loop looks at."""

    asked = False

    def __enter__(self) -> "Asked":
        def ask(*_):
            self.asked = True

        try:
            self.before = handle(ask)
        except ValueError:  # not in the main thread: nobody sends signals here
            self.before = None
        return self

    def __exit__(self, kind, *_) -> None:
        if self.before is None:
            return
        # While it unwinds and releases locks, a second signal must not disturb it.
        unwinding = self.asked and kind is not None
        for number, before in zip(SIGNALS, self.before, strict=True):
            signal.signal(number, signal.SIG_IGN if unwinding else before)
        if self.asked and not unwinding:  # after the last look at the flag: for whoever came before
            signal.raise_signal(SIGNALS[0])
