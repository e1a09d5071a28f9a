"""What a row becomes: counts of a split, and rows token by token, what is learnt told apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from prereq.data.tokens import Cut, TokenRow

out = Console(highlight=False)
LEGEND = (
    "each token between bars; what is learnt is green and in [brackets]; ␣ is a space, ⏎ a line end"
)


@dataclass(frozen=True)
class Counted:
    """A split as tokens; `problem` says why training would stop at it."""

    name: str
    rows: Sequence[TokenRow]
    cut: Cut
    problem: str = ""


def show(splits: Sequence[Counted], tokenizer, count: int) -> None:
    """A table with a line a split, its problems, and the first `count` rows of each split."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("split", overflow="fold")
    for heading in ("rows", "tokens", "learnt", "longest", "cut", "dropped"):
        table.add_column(heading, justify="right", no_wrap=True)
    for split in splits:
        lengths = [len(row.ids) for row in split.rows]
        numbers = [len(lengths), sum(lengths), sum(row.labels for row in split.rows), max(lengths)]
        numbers += [split.cut.cut, split.cut.dropped]
        table.add_row(escape(split.name), *(f"{number:,}" for number in numbers))
    out.print(table)
    for split in splits:
        if split.problem:
            out.print(f"training stops here: {split.problem}", markup=False)
    if count:
        out.print(LEGEND, style="dim", markup=False)
    for split in splits if count else ():
        for row in split.rows[:count]:
            heading = f"{split.name}, row {row.number}: {len(row.ids)} tokens, {row.labels} learnt"
            out.print(f"\n{heading}", markup=False, style="bold")
            out.print(tokens(tokenizer, row), soft_wrap=True)


def tokens(tokenizer, row: TokenRow) -> Text:
    """The row's tokens as text, those that are learnt in green and in brackets."""
    text = Text()
    for place, token in enumerate(row.ids):
        shown = tokenizer.decode([token]).replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
        learnt = place >= row.start
        text.append("|" if place else "")
        text.append(f"[{shown}]" if learnt else shown, style="bold green" if learnt else "")
    return text
