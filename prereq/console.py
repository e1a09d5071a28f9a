"""What a person sees while a command runs: one line an artifact, one progress bar a loop."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)
LOG_EVERY = 30  # seconds between lines where there is no terminal to draw a bar on


def say(verb: str, what: str) -> None:
    """One line: what happened to which artifact (`found`, `made`, …)."""
    console.print(f"[bold]{verb:>9}[/bold]  {what}", markup=True)


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator:
    """A bar with time left; yields `advance(steps, note)`. Without a terminal, a line now and then."""
    columns = (
        TextColumn("{task.description:>9}", style="bold"),
        TextColumn("{task.fields[what]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[note]}", style="dim"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=False),
    )
    bar = Progress(*columns, console=console, transient=True, refresh_per_second=4)
    verb, _, what = label.partition(" ")
    task = bar.add_task(verb, total=total, completed=done, what=what, note="")
    started = last = time.monotonic()
    reached = done

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal last, reached
        reached += steps
        bar.update(task, advance=steps, **({"note": note} if note else {}))
        now = time.monotonic()
        if not console.is_terminal and now - last > LOG_EVERY:
            last = now
            left = (now - started) / max(1, reached - done) * (total - reached)
            console.print(f"{verb:>9}  {what} {reached}/{total} {note}, {left:.0f} s left")

    if console.is_terminal:
        with bar:
            yield advance
    else:
        yield advance
