"""The race that every benchmark runs: contestants take turns in one process; medians are compared."""

import contextlib
import ctypes
import gc
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

console = Console(width=120)


@dataclass
class Record:
    """What a contestant did: seconds for each thousand useful tokens, and memory above its start."""

    seconds: list[float] = field(default_factory=list)
    megabytes: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def race(contestants: dict[str, Callable[[], int]], repeats: int) -> dict[str, Record]:
    """`repeats` turns each, after one that measures memory only; a step returns its useful tokens."""
    gc.collect()  # models of the contest before
    records = {name: Record() for name in contestants}
    for name, step in contestants.items():
        with _Memory() as memory:
            step()
        records[name].megabytes = memory.peak
    for _ in range(repeats):
        for name, step in contestants.items():
            started = time.perf_counter()
            tokens = step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds = time.perf_counter() - started
            records[name].seconds.append(1000 * seconds / tokens)
    return records


class _Memory:
    """Peak memory above that at the start, in MB: allocated on CUDA, else resident, every 2 ms."""

    def __enter__(self) -> "_Memory":
        self.cuda = torch.cuda.is_available()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_allocated()
            return self
        with contextlib.suppress(OSError):  # not on every system
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # give back what the last turn freed
        self.process, self.done = psutil.Process(), threading.Event()
        self.before = self.highest = self.process.memory_info().rss
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.002):
            self.highest = max(self.highest, self.process.memory_info().rss)

    def __exit__(self, *_) -> None:
        if self.cuda:
            self.highest = torch.cuda.max_memory_allocated()
        else:
            self.done.set()
            self.thread.join()
        self.peak = (self.highest - self.before) / 2**20


def machine() -> str:
    """What the figures are of."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads"


def show(title: str, results: dict[str, dict[str, Record]]) -> None:
    """One line a rival: useful tokens a second with their range, memory, and the ratio."""
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for heading in ("contest", "against"):
        table.add_column(heading)
    for heading in ("tokens/s", "slowest–fastest", "theirs", "faster", "peak MB", "theirs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for contest, records in results.items():
        mine = records["prereq"]
        slow, fast = (1000 / f(mine.seconds) for f in (max, min))
        for name, other in records.items():
            if name == "prereq":
                continue
            speeds = (
                f"{1000 / mine.median:,.0f}",
                f"{slow:,.0f}–{fast:,.0f}",
                f"{1000 / other.median:,.0f}",
            )
            memory = f"{mine.megabytes:,.0f}", f"{other.megabytes:,.0f}"
            times = f"{other.median / mine.median:.2f}×"
            table.add_row(contest, name, *speeds, times, *memory)
    console.print(table)


def ratio(name: str, records: dict[str, Record], other: str) -> None:
    """The line that tools read: above 1, this project is faster."""
    print(f"ratio {name} {records[other].median / records['prereq'].median:.2f}", flush=True)
