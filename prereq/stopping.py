"""Being told to stop: which signals say so, and what they do.

While a model trains, the loop looks at a flag between steps and saves a checkpoint. Everywhere else
the signal unwinds what runs, so that every lock is released. Either way `Preempted` comes out at
the top: a command exits with it, a SLURM job is queued again (`hydra_plugins.prereq_slurm`).
"""

import signal
from typing import Any

from prereq.errors import Preempted

# SLURM sends SIGTERM when it preempts; submitit has it send SIGUSR2 before the time is up.
SIGNALS = tuple(getattr(signal, n) for n in ("SIGTERM", "SIGUSR2") if hasattr(signal, n))


def handle(handler: Any) -> list[Any]:
    """Set the handler of every such signal; the ones before. Raises ValueError off the main thread."""
    return [signal.signal(number, handler) for number in SIGNALS]


def stop(*_) -> None:
    """The handler outside of training: unwind, once."""
    handle(signal.SIG_IGN)
    raise Preempted("stopped: the same command goes on from the last checkpoint")


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
