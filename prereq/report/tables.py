"""Tables in the terminal: the comparison of methods, and what it says in a sentence."""

from collections.abc import Sequence
from statistics import fmean

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prereq.artifacts.spec import Artifact
from prereq.config.shape import spelt
from prereq.evaluation.scoring import SURENESS
from prereq.report.collect import Line, named, scored
from prereq.report.comparisons import (
    Comparison,
    against_the_best_plain,
    best,
    between,
    p_value,
    reported,
)
from prereq.report.estimates import estimate

out = Console(highlight=False)
SHARES = "shares in percent, ± half a 95 % interval over rows (and seeds)"
LEGEND = f"{SHARES}: docs/statistics.md"
ROLES = {
    "selection": "chooses the epoch",
    "known": "facts the base model knows, in no training row",
    "unseen": "facts in no text",
    "unknown": "real training facts the base model does not hold",
    "fictitious": "invented training facts",
}


def comparison(lines: Sequence[Line], pairs: Sequence[Comparison]) -> None:
    """For each data set and model: the scores, the differences, and what they say in a sentence.

    `pairs`: the comparisons that `comparisons.every` found.
    """
    for dataset, model in dict.fromkeys((line.dataset, line.model) for line in lines):
        mine = [line for line in lines if (line.dataset, line.model) == (dataset, model)]
        _show(f"{dataset} · {model}", mine)
        for base in dict.fromkeys(line.base for line in mine):
            of_base = [line for line in mine if line.base == base]
            _show_differences(of_base, pairs)
            for sentence in sentences(of_base, pairs):
                out.print(f"[bold]→[/bold] {escape(sentence)}")
        for note in notes(mine):
            out.print(escape(note))
        out.print()


def _show(title: str, lines: Sequence[Line]) -> None:
    """The table, in as many blocks as fit the terminal; no number is cut."""
    shared = named(lines)
    columns = columns_of(lines)
    seeds = ", ".join(str(seed) for seed in sorted({seed for line in lines for seed in line.runs}))
    out.print(escape(f"{title} · mean over seeds {seeds}"), style="italic")
    if shared:
        out.print(escape(f"off the recipe: {spelt(shared)}"), style="dim")
    first = max(len(line.name) for line in lines)
    blocks: list[list[tuple[str, list[str]]]] = [[]]
    room = out.width - first
    for heading, cells in columns:
        width = 2 + max(len(part) for part in (*heading.split("\n"), *cells))
        if width > room and blocks[-1]:
            blocks.append([])
            room = out.width - first
        blocks[-1].append((heading, cells))
        room -= width
    for block in blocks:
        table = Table(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
        )
        table.add_column("method", no_wrap=first < out.width - 20, overflow="fold")
        for heading, _ in block:
            table.add_column(heading, justify="right", no_wrap=True)
        for place, line in enumerate(lines):
            table.add_row(escape(line.name), *(cells[place] for _, cells in block))
        out.print(table)
    roles = {split: role for line in lines for split, role in line.roles.items() if role in ROLES}
    legend = [LEGEND, *(f"{words(split)}: {ROLES[role]}" for split, role in roles.items())]
    if any("not tried" in heading for heading, _ in columns):
        legend.append("not tried: who abstains (eval.abstentions) or says nothing; F1: SimpleQA's")
    if any("own/other" in heading for heading, _ in columns):
        legend.append("plugged in: by the plugged-in version, the other one, and without knowledge")
    out.print(escape("; ".join(legend)), style="dim")


def columns_of(lines: Sequence[Line]) -> list[tuple[str, list[str]]]:
    """(heading, a cell a line) of every split that any line was scored on, and of what it adds."""
    scores = [
        s for line in lines for run in line.runs.values() for r in run.values() for s in r.scores
    ]
    found = {(s.split, s.metric): None for s in scores if "/" not in s.split}
    declined = {s.split for s in scores if s.metric == "not_attempted" and s.value}
    columns = []

    def add(heading: str, split: str, metric: str) -> None:
        columns.append((heading, [_cell(line, split, metric) for line in lines]))

    for split in dict.fromkeys(split for split, _ in found):
        name = words(split)
        if (split, "accuracy") in found:
            add(name, split, "accuracy")
        if split in declined and not split.endswith("_last"):
            cells = [_three_way(line, split) for line in lines]
            columns.append((f"{name}: right/\nwrong/not tried, F1", cells))
        if (split, "certain") in found:
            cells = [_joined(line, split, [(m, False) for m in SURENESS]) for line in lines]
            columns.append((f"{name}: certain/\nunsure/unknown", cells))
            add(f"{name}: right\nof answered", split, "right_of_attempted")
        if (split, "tokens") in found:
            add(f"{name},\ntokens", split, "tokens")
        if (split, "supported") in found:  # by a judge
            add(f"{name},\nsupported", split, "supported")
        if (split, "own") in found:
            cells = [_plugged(line, split) for line in lines]
            columns.append((f"{name}:\nown/other/alone", cells))
        if (split, "confidence_auroc") in found and "_against_" in split:
            known, _, unseen = split.partition("_against_")
            heading = f"AUROC, {words(known)}\nagainst {words(unseen)}"
            add(heading, split, "confidence_auroc")
    return columns


def words(split: str) -> str:
    base = split.removesuffix("_last")
    return base.replace("_", " ") + (",\nlast epoch" if base != split else "")


def _cell(line: Line, split: str, metric: str) -> str:
    return str(estimate(line, split, metric) or "–")


def _three_way(line: Line, split: str) -> str:
    grades = _joined(line, split, [(m, False) for m in ("right", "wrong", "not_attempted")])
    found = estimate(line, split, "simpleqa_f1")
    return f"{grades}, {found.value:.1f}" if found else grades


def _plugged(line: Line, split: str) -> str:
    return _joined(line, split, [("own", True), ("other", True), ("own", False)])


def _joined(line: Line, split: str, parts: Sequence[tuple[str, bool]]) -> str:
    """Values of several metrics in one cell, as mean over seeds."""
    picked = [line.scores(split, metric, plugged) for metric, plugged in parts]
    return "/".join(f"{fmean(s.value for s in p):.1f}" if p else "–" for p in picked)


def differences(
    lines: Sequence[Line], pairs: Sequence[Comparison]
) -> tuple[str, list[str], list[list[str]]] | None:
    """Every method against the best plain one, on the same rows: a title, headings and cells."""
    reference, split, found = against_the_best_plain(lines, pairs)
    if not found:
        return None
    selects = words(reference.split_of("selection"))
    title = (
        f"{words(split)}: difference from {reference.name}, the best plain method on {selects}, on the "
        "same rows"
    )
    headings = ["method", "difference", "95 % interval", "p over\nrows"]
    exact = any(row.mcnemar_p is not None for rows in found for row in rows)
    headings += ["McNemar, exact\n(seed by seed)"] if exact else []
    cells = []
    for first, *others in found:
        values = [first.first, f"{first.difference:+.1f}", _bounds(first), p_value(first.p)]
        seeds = " ".join(p_value(row.mcnemar_p) for row in others or [first])
        cells.append([*values, *([seeds] if exact else [])])
    return title, headings, cells


def _show_differences(lines: Sequence[Line], pairs: Sequence[Comparison]) -> None:
    found = differences(lines, pairs)
    if found is None:
        if len(lines) > 1 and not any(line.split_of("selection") for line in lines):
            out.print(
                "no split selects, so no method is called the best; comparisons.csv has every pair"
            )
        return
    title, headings, cells = found
    out.print()
    out.print(escape(title), style="italic")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column(headings[0], overflow="fold")
    for place, heading in enumerate(headings[1:], 1):
        table.add_column(heading, justify="right", no_wrap=place < 4, overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))
    out.print(table)


def _bounds(row: Comparison) -> str:
    return f"{row.low:+.1f} to {row.high:+.1f}"


def _equal(p: float) -> str:
    return p_value(p).replace("<", "< 0") if p < 0.0001 else f"= {p:.4f}"


def sentences(lines: Sequence[Line], pairs: Sequence[Comparison]) -> list[str]:
    """The finding: the best prerequisite method against the best plain one, of the same base.

    Which is the best is chosen on the split that selects; what is reported comes from held-out rows.
    """
    ours, plain = best(lines, "prerequisite"), best(lines, "plain")
    split = reported(ours) if ours and plain else None
    rows = between(pairs, ours, plain, split) if split else []
    if not rows:
        return []
    found, known = rows[0], ours.split_of("known") == split
    where = "facts that the base model knows and was not trained on" if known else words(split)
    each = f"{found.n} rows" + (f" × {found.seeds} seeds" if found.seeds > 1 else "")
    exact = found.mcnemar_p is not None  # then the two tests are one
    test = f"{'exact McNemar' if exact else 'paired'} p over rows {_equal(found.p)}"
    told = [
        f"On {where}, {ours.name} answers {found.first_value:.1f} % right at its best epoch and "
        f"{plain.name} {found.second_value:.1f} % (difference {found.difference:+.1f}, 95 % interval "
        f"{_bounds(found)}, {test}, {each}). Each was chosen on "
        f"{ours.split_of('selection')} as the best of its kind."
    ]
    last = [line.scores(f"{split}_last", "accuracy") for line in (plain, ours)]
    if all(last):
        values = [fmean(s.value for s in scores) for scores in last]
        told.append(
            f"By the last epoch {plain.name} is at {values[0]:.1f} %, {ours.name} at {values[1]:.1f} %."
        )
    return told


def notes(lines: Sequence[Line]) -> list[str]:
    """What a reader must know of single lines: rows that were cut or left out, seeds that lack."""
    found = []
    for line in lines:
        cuts = {
            (key, run.trained_on.get(key, 0))
            for splits in line.runs.values()
            for run in splits.values()
            for key in ("cut", "dropped")
        }
        cut = [f"{count} {key}" for key, count in sorted(cuts) if count]
        if cut:
            found.append(
                f"{line.name}: of its training rows longer than max_length {', '.join(cut)}"
            )
        found += [f"{line.name}: {note}; not shown" for note in dict.fromkeys(line.notes)]
    seeds = {seed for line in lines for seed in line.runs}
    fewer = [f"{line.name} ({len(line.runs)})" for line in lines if len(line.runs) < len(seeds)]
    if fewer:
        found.append(f"fewer than {len(seeds)} seeds: {', '.join(fewer)}")
    return found


def show_scores(artifact: Artifact) -> None:
    """The scores of one adapter, as `stage=eval` prints them."""
    result = scored(artifact)
    changes = spelt(result.labels["changes"])
    title = f"{result.dataset} · {result.model} · {result.labels['method']}"
    out.print(escape(title + (f" ({changes})" if changes else "")), style="italic")
    plugs = any(score.knowledge for score in result.scores)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading in ("split", "metric", *(["knowledge"] if plugs else [])):
        table.add_column(heading, overflow="fold")
    for heading in ("value", "95 % interval", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for s in result.scores:
        place = [escape(s.split), s.metric, *([escape(s.knowledge)] if plugs else [])]
        value = f"{s.value:.1f}{' %' if s.unit == 'share' else ''}"
        bounds = "" if s.low is None else f"{s.low:.1f} – {s.high:.1f}"
        table.add_row(*place, value, bounds, str(s.n))
    out.print(table)
