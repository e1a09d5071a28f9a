"""What a person sees while a command runs: one line an artifact, one progress bar a loop.

One process draws. A worker process (`prereq.runtime.workers`) sends what it would show to the one that
started it, so the loops of all workers stand under each other as bars of one display.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from prereq.runtime import ranks, signals

console = Console(stderr=True, highlight=False, soft_wrap=True)
LOG_EVERY = 30  # seconds between lines where there is no terminal to draw a bar on
MOVE_EVERY = 0.2  # seconds between two movements of a bar


def say(verb: str, what: str, how: str = "") -> None:
    """One line: what happened to which artifact (`found`, `made`, …)."""
    _emit(("say", verb, what, how))


def at_the_end(verb: str, what: str) -> None:
    """A line for the end of the command, however many processes want it: see `end`."""
    _emit(("at the end", verb, what))


def end() -> None:
    """Show what was kept for the end, each line once."""
    for verb, what in _kept:
        show(("say", verb, what, ""))
    _kept.clear()


def making(what: str) -> None:
    """Let the process that shows the events know what is being made; it shows nothing of that."""
    _emit(("making", what))


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Callable]:
    """A bar with time left; yields `advance(steps, note)`. Without a terminal, a line now and then."""
    name = f"{os.getpid()} {next(_numbers)}"
    reached, moved = done, time.monotonic()
    _emit(("open", name, label, total, done))

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal reached, moved
        signals.look()
        reached += steps
        now = time.monotonic()
        if now - moved > MOVE_EVERY:
            moved = now
            _emit(("move", name, reached, note))

    try:
        yield advance
    finally:
        _emit(("close", name))


def show(event: tuple) -> None:
    """Draw one event, of this process or of a worker (of processes that train together: the first)."""
    if not ranks.is_main():
        return
    name, *rest = event
    shows = {"say": _say, "at the end": _keep, "open": _open, "move": _move, "close": _close}
    if name in shows:
        shows[name](*rest)


def send_to(put: Callable[[tuple], None]) -> None:
    """From now on this process draws nothing itself: `put` hands its events on."""
    global _emit
    _emit = put


_emit = show
_numbers = itertools.count()
_named: set[str] = set()  # already spoken of: stages and workers share inputs
_kept: dict[tuple[str, str], None] = {}  # what `end` shows, in order


def _say(verb: str, what: str, how: str) -> None:
    if verb in ("found", "using", "noted", "loading") and what in _named:
        return
    _named.add(what)
    console.print(f"[bold]{verb:>9}[/bold]  {what} {how}".rstrip(), markup=True)


def _keep(verb: str, what: str) -> None:
    _kept[verb, what] = None


@dataclass
class _Bar:
    task: int
    verb: str
    what: str
    total: int
    start: int
    started: float
    logged: float


_bars: dict[str, _Bar] = {}
_display = Progress(
    TextColumn("{task.fields[verb]:>9}", style="bold"),
    TextColumn("{task.fields[what]}"),
    BarColumn(bar_width=24),
    TextColumn("{task.completed:.0f}/{task.total:.0f}"),
    TextColumn("{task.fields[note]}", style="dim"),
    TimeElapsedColumn(),
    TimeRemainingColumn(compact=True, elapsed_when_finished=False),
    console=console,
    transient=True,
    refresh_per_second=4,
)


def _open(name: str, label: str, total: int, done: int) -> None:
    verb, _, what = label.partition(" ")
    task = _display.add_task("", total=total, completed=done, verb=verb, what=what, note="")
    if console.is_terminal and not _bars:
        _display.start()
    now = time.monotonic()
    _bars[name] = _Bar(task, verb, what, total, done, now, now)


def _move(name: str, reached: int, note: str) -> None:
    bar = _bars[name]
    _display.update(bar.task, completed=reached, **({"note": note} if note else {}))
    now = time.monotonic()
    if not console.is_terminal and now - bar.logged > LOG_EVERY:
        bar.logged = now
        left = (now - bar.started) / max(1, reached - bar.start) * (bar.total - reached)
        console.print(
            f"{bar.verb:>9}  {bar.what} {reached}/{bar.total} {note}, {left:.0f} s left",
            markup=False,
        )


def _close(name: str) -> None:
    _display.remove_task(_bars.pop(name).task)
    if console.is_terminal and not _bars:
        _display.stop()
