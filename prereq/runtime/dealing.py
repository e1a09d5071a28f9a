"""Work dealt out to all processes, each of which does its share for as long as that takes.

Meanwhile nobody waits in a collective, which could time out and would hear no signal: in the store of
the process group each process counts what it has done, and looks whether another has failed.
"""

import itertools
import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from prereq.errors import Preempted, PrereqError, explained
from prereq.runtime import ranks, signals

T = TypeVar("T")
Done = Callable[[int], None]  # told how many more are done

LOOK_EVERY = 0.1  # seconds between two looks at what the others do
PATIENCE = 20  # seconds that a process which failed waits for the others to end; torchrun grants 30

_numbers = itertools.count()  # of the contexts, the same in every process


class Processes:
    """All processes of the command, in a context of `every_process`."""

    def __init__(self, store: Any = None):
        self.store = store  # None: there is one process
        self.deals = 0

    def deal(
        self, costs: Sequence[float], work: Callable[[Sequence[int], Done], Sequence[T]], done: Done
    ) -> list[T]:
        """The results of numbers 0 to len(costs) - 1, in order, in every process; each does a share.

        `work(numbers, done)` gives the result of each number, and calls `done(n)` for n more of them;
        where there is nothing for a process it is not called. `costs` say in any unit how much work
        each is, so that all have about as much. `done` hears of the work of all processes.
        """
        everything = range(len(costs))
        if self.store is None:
            return list(work(everything, done)) if everything else []
        from accelerate.utils import gather_object

        self.deals += 1
        told = looked = pending = 0

        def count(more: int) -> None:
            nonlocal told, looked, pending
            pending += more
            if time.monotonic() - looked >= LOOK_EVERY:
                self._look()
                total = self.store.add(f"done {self.deals}", pending)
                done(total - told)
                told, looked, pending = total, time.monotonic(), 0

        # From the most work to the least in turn, so that shares differ by less than one number's.
        by_cost = sorted(everything, key=costs.__getitem__, reverse=True)
        mine = sorted(by_cost[ranks.rank() :: ranks.world_size()])
        results = work(mine, count) if mine else []
        self._meet(f"ready {self.deals}", lambda: count(0))
        pairs = gather_object(list(zip(mine, results, strict=True)))
        done(len(costs) - told)
        return [result for _, result in sorted(pairs, key=lambda pair: pair[0])]

    def _meet(self, name: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Wait until all processes are here, or raise what one of them raised."""
        self.store.add(name, 1)
        while self.store.add(name, 0) < ranks.world_size():
            time.sleep(LOOK_EVERY)
            signals.look()
            self._look()
            meanwhile()

    def _look(self) -> None:
        if self.store.check(["error"]):
            raise _heard(self.store.get("error").decode())

    def _fail(self, error: BaseException) -> BaseException | None:
        """Tell the others; what another said before, None where this is the first error.

        Waits a while for the others, since `torchrun` stops all when one has ended, with a signal
        that could come before the first process has the message.
        """
        from torch.distributed import DistError

        mine = _told(error)
        try:
            first = self.store.compare_set("error", "", mine).decode()
            self.store.add("gone", 1)
            until = time.monotonic() + PATIENCE
            with suppress(Preempted, KeyboardInterrupt):
                while self.store.add("gone", 0) < ranks.world_size() and time.monotonic() < until:
                    time.sleep(LOOK_EVERY)
        except DistError:  # the store ends with the first process, or with torchrun
            if not isinstance(error, DistError):
                return None
            return PrereqError("the first process has ended; see what it wrote")
        return None if first == mine else _heard(first)


@contextmanager
def every_process(alone: bool = False) -> Iterator[Processes]:
    """A context that all processes enter: what is raised in it in one of them is raised in all.

    Nothing else that the processes do together has a place in it. `alone`: only this process enters.
    """
    if alone or ranks.world_size() == 1:
        yield Processes()
        return
    ranks.state()
    # The store that the process group was made with; torch has no public name for it in all versions.
    from torch.distributed import PrefixStore
    from torch.distributed.distributed_c10d import _get_default_store

    processes = Processes(PrefixStore(f"prereq {next(_numbers)}", _get_default_store()))
    try:
        with signals.unaltered():
            yield processes
            processes._meet("end")
    except BaseException as error:
        first = processes._fail(error)
        if first or isinstance(error, Exception):
            signals.forget()  # one that was sent because a process has ended
        if first is None:
            raise
        raise first from None


def _told(error: BaseException) -> str:
    """An error as text for the other processes."""
    message = {"process": ranks.rank(), "kind": "bug", "text": f"{type(error).__name__}: {error}"}
    if isinstance(error, Preempted):
        message |= {"kind": "stopped", "text": error.message}
    elif isinstance(error, KeyboardInterrupt):
        message |= {"kind": "interrupted"}
    elif (text := explained(error)) is not None:
        message |= {"kind": "explained", "text": text}
    else:
        message |= {"trace": "".join(traceback.format_exception(error))}
    return json.dumps(message)


def _heard(told: str) -> BaseException:
    message = json.loads(told)
    match message["kind"]:
        case "stopped":
            return Preempted(message["text"])
        case "interrupted":
            return KeyboardInterrupt()
        case "explained":
            return PrereqError(message["text"])
    error = RuntimeError(message["text"])
    error.add_note(f"In process {message['process']}:\n{message['trace']}")
    return error
