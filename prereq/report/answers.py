"""The screen of `stage=ask`: a row a variant, in which the answer grows while its tokens come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table as Grid
from rich.text import Text

out = Console(highlight=False)
EVERY = 0.1  # seconds between two looks at an answer that is coming
WIDEST = 24  # columns for who answers
SURE, RIGHT = 6, 11  # columns of the probability, and of what is right
OTHERS = SURE + RIGHT + 6  # columns beside who answers and the answer, with the space between
MORE = " …"  # ends an answer that ran out of tokens


@dataclass(frozen=True)
class Verdict:
    """The share of an answer's `facts` that are right (a question is one), and by whose version."""

    share: float
    facts: int
    version: int | None = None  # None: there is one only

    def __str__(self) -> str:
        words = f"{round(self.share * self.facts)} of {self.facts}"
        if self.facts == 1:
            words = "yes" if self.share else "no"
        return words if self.version is None or not self.share else f"{words}, v{self.version}"

    @property
    def colour(self) -> str:
        return "green" if self.share == 1 else "yellow" if self.share else "red"


class Row:
    """The answer that is coming: `text` shows it, a call shows the whole row for good."""

    def __init__(self, draw: Callable[..., None]):
        self._draw, self._drawn, self.final = draw, 0.0, ()

    def text(self, read: Callable[[], str]) -> None:
        now = time.monotonic()
        if now - self._drawn >= EVERY:
            self._drawn = now
            self._draw(read())

    def __call__(
        self, text: str, ended: bool, probability: float | None, verdict: Verdict | None
    ) -> None:
        sure = "" if probability is None else f"{100 * probability:.0f} %"
        self.final = (text if ended else text + MORE, sure, verdict)


class Table:
    """Rows of fixed columns, printed one by one, so that any number and length of answers fits."""

    def __init__(self, names: Sequence[str]):
        self.who = min(WIDEST, max(map(len, names)))
        self.width = min(out.width, 120)

    def head(self, question: str, says: Sequence[str]) -> None:
        """The question, where the data set asks it and what it says, and the columns' names."""
        out.print()
        out.print(escape(question), style="bold")
        for line in says:
            out.print(escape(line), style="dim")
        out.print()
        out.print(self._grid("who", Text("answer"), "prob.", Text("right"), style="bold"))
        out.print("─" * self.width)

    @contextmanager
    def answering(self, name: str) -> Iterator[Row]:
        """The row of one that answers; it stays once the answer is whole.

        Of an answer that the terminal has no room for the end is shown while it comes.
        """
        room = max(1, out.height - 3) * (self.width - self.who - OTHERS) // 2
        with Live(console=out, transient=True, auto_refresh=False) as live:

            def draw(text: str) -> None:
                text = text if len(text) <= room else f"… {text[-room:]}"
                live.update(self._grid(name, Text(text), "", Text()), refresh=True)

            row = Row(draw)
            draw("")
            yield row
        if row.final:
            text, sure, verdict = row.final
            mark = Text("–") if verdict is None else Text(str(verdict), style=verdict.colour)
            out.print(self._grid(name, Text(text), sure, mark))

    def _grid(self, who: str, answer: Text, sure: str, right: Text, style: str = "") -> Grid:
        grid = Grid.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=self.who, overflow="fold")
        grid.add_column(width=self.width - self.who - OTHERS, overflow="fold")
        grid.add_column(width=SURE, justify="right")
        grid.add_column(width=RIGHT)
        grid.add_row(escape(who), answer, sure, right, style=style)
        return grid


def legend(name: str, epoch: str, most: int) -> None:
    """What the columns mean."""
    adapters = (
        f"adapters of epoch {epoch}" if epoch.isdecimal() else f"adapters of the {epoch} epoch"
    )
    words = [
        f"{name}: base model and skill; + …: with that knowledge LoRA plugged in",
        "prob.: of a token, geometric mean over the answer",
        "v0, v1: the version of an invented subject that the answer agrees with",
        adapters,
        f"{MORE.strip()}: cut at eval.max_new_tokens={most}",
    ]
    out.print()
    out.print(escape("; ".join(words)), style="dim")


def plain(words: object) -> str:
    """Words of a user's, with nothing in them that rich would take for markup."""
    return escape(str(words))
