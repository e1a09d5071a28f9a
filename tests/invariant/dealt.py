"""Deals work out to all processes, and has one of them fail in every way: see `test_dealing.py`.

Each prints one line of JSON.

torchrun --nproc-per-node 3 -m tests.invariant.dealt
"""

import errno
import json
import os
import signal
import time
from collections.abc import Callable

from prereq.errors import Preempted, PrereqError
from prereq.runtime import ranks, signals
from prereq.runtime.dealing import Processes, every_process

COSTS = [5, 1, 9, 2, 8, 3, 7, 4, 6, 10]


def results(costs: list[int]) -> list:
    """Of each number its double and who did it; and how many `done` was told of."""
    told = []

    def work(numbers, done):
        done(len(numbers))
        return [(2 * number, ranks.rank()) for number in numbers]

    with every_process() as processes:
        return [processes.deal(costs, work, told.append), sum(told)]


def raised(what: Callable[[Processes], None]) -> list:
    """What ends the context in this process, and after how many seconds."""
    started = time.monotonic()
    try:
        with every_process() as processes:
            what(processes)
    except (Exception, Preempted) as error:
        kind, notes = type(error).__name__, "".join(getattr(error, "__notes__", ()))
        return [kind, str(error), notes, time.monotonic() - started]
    return []


def failing(error: Exception, busy: bool) -> Callable[[Processes], None]:
    """Process 1 raises in its share; the others are at work for a minute, or have nothing to do."""

    def work(numbers, done):
        if ranks.rank() == 1:
            time.sleep(0.5)
            raise error
        for _ in range(600 if busy else 0):
            time.sleep(0.1)
            done(0)
        return [None] * len(numbers)

    return lambda processes: processes.deal(COSTS, work, lambda more: None)


def before_its_share(processes: Processes) -> None:
    if ranks.rank() == 2:
        raise ZeroDivisionError("a bug")
    processes.deal(COSTS, lambda numbers, done: numbers, lambda more: None)


def told_to_stop(processes: Processes) -> None:
    def work(numbers, done):
        if ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(600 if ranks.rank() == 2 else 0):
            time.sleep(0.1)
            done(0)
        return [None] * len(numbers)

    processes.deal(COSTS, work, lambda more: None)


def main() -> None:
    ranks.state()
    full = OSError(errno.ENOSPC, "No space left on device", "/disk")
    found = {
        "dealt": results(COSTS),
        "few": results([1]),
        "none": results([]),
        "busy": raised(failing(PrereqError("process 1 has no model"), busy=True)),
        "waiting": raised(failing(full, busy=False)),
        "bug": raised(before_its_share),
        "after": results(COSTS),
    }
    signals.unwind()
    found["stopped"] = raised(told_to_stop)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    ranks.run(main)
