"""The table in the terminal and as CSV, and how far its two halves can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prereq.report.collect import write_table
from prereq.report.published.beside import PRINTED, Beside, Cell, Ran, Setting

out = Console(highlight=False)
PAPER = "Liu et al., ICLR 2025"
COLUMNS = "experiment dataset model seeds here row column value low high rows published of".split()


def show(table: Beside, setting: Setting, ran: Sequence[Ran]) -> None:
    """The table, then what each half is of and whether it is the same task."""
    out.print(escape(table.title), style="italic")
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    named = any(row.published for row in table.rows)
    longest = max((len(word) for row in table.rows for word in row.here.split()), default=1)
    grid.add_column("here", overflow="fold", min_width=min(longest, 30))
    if named:
        grid.add_column("published", overflow="fold")
    for column in table.columns:
        name, _, unit = column.partition(", ")
        heading = f"{name}\n{unit}, here" if unit else f"{name}\nhere"
        grid.add_column(heading, justify="right", no_wrap=True)
        if named:
            grid.add_column("published", justify="right", no_wrap=True)
    for row in table.rows:
        cells = []
        for column, cell in zip(table.columns, row.cells, strict=True):
            cells.append(str(cell.here or "–"))
            cells += [printed(cell, column)] if named else []
        grid.add_row(
            escape(row.here or "–"), *([escape(row.published or "–")] if named else []), *cells
        )
    out.print(grid)
    for line in notes(table, setting, ran):
        out.print(escape(line), style="dim")


def notes(
    table: Beside, setting: Setting, ran: Sequence[Ran], bounds: str = "± half a 95 % interval"
) -> list[str]:
    """What was run here, what the paper ran, and how far the two can be compared.

    `bounds`: what stands beside a number.
    """
    split = {"table2": setting.plug_in, "table3": setting.invented}.get(
        setting.shows, setting.split
    )
    rows = max((cell.rows or 0 for row in table.rows for cell in row.cells), default=0)
    judge = f", judged by {setting.judge}" if setting.judge else ""
    found = [
        f"here: {setting.model} on {setting.dataset}, split {split} ({rows:,} rows), "
        f"seed {_seeds(ran)}{judge}; {bounds}"
    ]
    if setting.shows == "table3" and setting.long:
        found.append(
            "of biographies: here the facts that are told, published the entities memorised"
        )
    if setting.shows == "figure4":
        found.append(
            "the skill is learnt from fewer subjects; the knowledge LoRAs hold all of them"
        )
    tasks = [task for task in dict.fromkeys(table.tasks) if task]
    if not any(cell.published is not None for row in table.rows for cell in row.cells):
        return [*found, f"published: {PAPER}, has no numbers of this kind for such a task"]
    names = " and ".join(PRINTED["tasks"][task]["name"] for task in tasks)
    found.append(f"published: {PAPER}; {PRINTED['model']['name']} on {names}")
    found.append(f"→ {_compared(setting, tasks)}")
    missing = [row.published for row in table.rows if not row.here]
    if missing:
        found.append(
            f"published and not run here: {', '.join(missing)}; what is run: dataset.methods=[…]"
        )
    return found


def csv(table: Beside, setting: Setting, ran: Sequence[Ran], file: Path) -> None:
    """A line a number: this run's with its interval, and the paper's with what it is of."""
    place = [setting.shows, setting.dataset, setting.model, _seeds(ran)]
    lines = []
    for row in table.rows:
        for column, task, cell in zip(table.columns, table.tasks, row.cells, strict=True):
            here = [cell.here.value, cell.here.low, cell.here.high] if cell.here else [None] * 3
            of = PRINTED["tasks"][task]["name"] if task and cell.published is not None else ""
            name = column.replace("\n", " ")
            lines.append(
                [*place, row.here, row.published, name, *here, cell.rows, cell.published, of]
            )
    write_table(COLUMNS, lines, file)


def _compared(setting: Setting, tasks: Sequence[str]) -> str:
    """Whether it is the paper's task and model, as far as names can tell."""
    task = any(PRINTED["tasks"][name]["dataset"] == setting.dataset for name in tasks)
    model = setting.model == PRINTED["model"]["config"]
    if not task:
        other = "" if model else " and another model"
        return f"another task{other}: compare which is higher and which is lower, not the values"
    if not model:
        return "the paper's data set and another model: compare the order, not the values"
    if setting.judge:
        return "the paper's data set and model; another judge scores otherwise"
    return "the paper's data set and model"


def printed(cell: Cell, column: str) -> str:
    """As the paper has it: shares with two decimals, counts with one."""
    digits = 1 if column == "claims" else 2
    return "–" if cell.published is None else f"{cell.published:.{digits}f}"


def _seeds(ran: Sequence[Ran]) -> str:
    return ", ".join(str(seed) for seed in sorted({s for one in ran for s in one.line.runs}))
