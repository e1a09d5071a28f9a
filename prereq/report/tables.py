"""Tables in the terminal: the comparison of methods, and what it says in a sentence."""

from collections.abc import Sequence
from statistics import fmean

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prereq.artifacts.spec import Artifact
from prereq.config.shape import spelt
from prereq.evaluation.statistics import interval, paired
from prereq.report.collect import Line, Score, named, scored

out = Console(highlight=False)
RESAMPLES = 2000
LEGEND = "shares in percent, ± half a 95 % interval over rows"
ROLES = {
    "selection": "chooses the epoch",
    "known": "facts the base model knows, in no training row",
    "unseen": "facts in no text",
    "unknown": "real training facts the base model does not hold",
    "fictitious": "invented training facts",
}


def comparison(lines: Sequence[Line]) -> None:
    """One table for each data set and model, and what it says in a sentence."""
    for dataset, model in dict.fromkeys((line.dataset, line.model) for line in lines):
        mine = [line for line in lines if (line.dataset, line.model) == (dataset, model)]
        _show(f"{dataset} · {model}", mine)
        for base in dict.fromkeys(line.base for line in mine):
            for sentence in _sentences([line for line in mine if line.base == base]):
                out.print(f"[bold]→[/bold] {escape(sentence)}")
        for note in _notes(mine):
            out.print(escape(note))
        out.print()


def _show(title: str, lines: Sequence[Line]) -> None:
    """The table, in as many blocks as fit the terminal; no number is cut."""
    shared = named(lines)
    columns = _columns(lines)
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
    legend = [LEGEND, *(f"{_words(split)}: {ROLES[role]}" for split, role in roles.items())]
    if any("own/other" in heading for heading, _ in columns):
        legend.append("plugged in: by the plugged-in version, the other one, and without knowledge")
    out.print(escape("; ".join(legend)), style="dim")


def _columns(lines: Sequence[Line]) -> list[tuple[str, list[str]]]:
    """(heading, a cell a line) of every split that any line was scored on, and of what it adds."""
    scores = [
        s for line in lines for run in line.runs.values() for r in run.values() for s in r.scores
    ]
    found = {(s.split, s.metric): None for s in scores if "/" not in s.split}
    columns = []
    for split in dict.fromkeys(split for split, _ in found):
        name = _words(split)
        if (split, "accuracy") in found:
            columns.append((name, [_cell(line.scores(split, "accuracy")) for line in lines]))
        if (split, "abstained") in found and any(
            s.value for s in scores if s.metric == "abstained"
        ):
            heading = f"{name},\nabstained"
            columns.append((heading, [_cell(line.scores(split, "abstained")) for line in lines]))
        if (split, "tokens") in found:
            heading = f"{name},\ntokens"
            columns.append((heading, [_cell(line.scores(split, "tokens")) for line in lines]))
        if (split, "supported") in found:  # by a judge
            heading = f"{name},\nsupported"
            columns.append((heading, [_cell(line.scores(split, "supported")) for line in lines]))
        if (split, "own") in found:
            heading = f"{name}:\nown/other/alone"
            columns.append((heading, [_plugged(line, split) for line in lines]))
        if (split, "confidence_auroc") in found:
            known, _, unseen = split.partition("_against_")
            heading = f"AUROC, {_words(known)}\nagainst {_words(unseen)}"
            columns.append(
                (heading, [_cell(line.scores(split, "confidence_auroc")) for line in lines])
            )
    return columns


def _words(split: str) -> str:
    base = split.removesuffix("_last")
    return base.replace("_", " ") + (",\nlast epoch" if base != split else "")


def _cell(scores: Sequence[Score]) -> str:
    """Mean over seeds, with half of its interval: seeds are independent, so halves add in squares."""
    if not scores:
        return "–"
    value = f"{fmean(s.value for s in scores):.1f}"
    if any(s.low is None for s in scores):
        return value
    halves = [(score.high - score.low) / 2 for score in scores]
    return f"{value} ± {sum(h * h for h in halves) ** 0.5 / len(halves):.1f}"


def _plugged(line: Line, split: str) -> str:
    parts = (("own", True), ("other", True), ("own", False))
    picked = [line.scores(split, metric, plugged) for metric, plugged in parts]
    return "/".join(f"{fmean(s.value for s in p):.1f}" if p else "–" for p in picked)


def _sentences(lines: Sequence[Line]) -> list[str]:
    """The finding: the best prerequisite method against the best plain one, of the same base.

    Which is the best is chosen on the split that selects; what is reported comes from held-out rows.
    """

    def best(family: str) -> Line | None:
        selected = {
            line.who: (fmean(s.value for s in scores), line)
            for line in lines
            if line.family == family
            and (split := line.split_of("selection"))
            and (scores := line.scores(split, "accuracy"))
        }
        return max(selected.values(), key=lambda pair: pair[0])[1] if selected else None

    ours, plain = best("prerequisite"), best("plain")
    if not ours or not plain:
        return []
    known = ours.split_of("known")
    if known is None or ours.splits.get(known) != plain.splits.get(known):
        return []
    pairs, seeds = _pairs(ours, plain, known)
    if not pairs:
        return []
    first, second = zip(*pairs, strict=True)
    low, high = interval([a - b for a, b in pairs], RESAMPLES)
    each = f"{len(pairs) // len(seeds)} rows" + (f" × {len(seeds)} seeds" if len(seeds) > 1 else "")
    sentences = [
        f"On facts that the base model knows and was not trained on, {ours.name} answers "
        f"{100 * fmean(first):.1f} % right at its best epoch and {plain.name} {100 * fmean(second):.1f} % "
        f"(difference {100 * (fmean(first) - fmean(second)):+.1f}, 95 % interval {100 * low:+.1f} to "
        f"{100 * high:+.1f}, paired p = {paired(first, second):.4f}, {each}). Each was chosen on "
        f"{ours.split_of('selection')} as the best of its kind."
    ]
    last = [line.scores(f"{known}_last", "accuracy") for line in (plain, ours)]
    if all(last):
        values = [fmean(s.value for s in scores) for scores in last]
        sentences.append(
            f"By the last epoch {plain.name} is at {values[0]:.1f} %, {ours.name} at {values[1]:.1f} %."
        )
    return sentences


def _pairs(first: Line, second: Line, split: str) -> tuple[list[tuple[float, float]], list[int]]:
    """What two lines score on each row of a split, over the seeds that both have."""
    pairs: list[tuple[float, float]] = []
    seeds = []
    for seed in sorted(set(first.runs) & set(second.runs)):
        runs = first.runs[seed].get(split), second.runs[seed].get(split)
        if all(runs):
            seeds.append(seed)
            pairs += zip(runs[0].rows[split], runs[1].rows[split], strict=True)
    return pairs, seeds


def _notes(lines: Sequence[Line]) -> list[str]:
    """What a reader must know of single lines: rows that were cut or left out, seeds that lack."""
    notes = []
    for line in lines:
        cuts = {
            (key, run.trained_on.get(key, 0))
            for splits in line.runs.values()
            for run in splits.values()
            for key in ("cut", "dropped")
        }
        cut = [f"{count} {key}" for key, count in sorted(cuts) if count]
        if cut:
            notes.append(
                f"{line.name}: of its training rows longer than max_length {', '.join(cut)}"
            )
        notes += [f"{line.name}: {note}; not shown" for note in dict.fromkeys(line.notes)]
    seeds = {seed for line in lines for seed in line.runs}
    fewer = [f"{line.name} ({len(line.runs)})" for line in lines if len(line.runs) < len(seeds)]
    if fewer:
        notes.append(f"fewer than {len(seeds)} seeds: {', '.join(fewer)}")
    return notes


def show_scores(artifact: Artifact) -> None:
    """The scores of one adapter, as `stage=eval` prints them."""
    result = scored(artifact)
    changes = spelt(result.labels["changes"])
    title = f"{result.dataset} · {result.model} · {result.labels['method']}"
    table = Table(
        title=escape(title + (f" ({changes})" if changes else "")),
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("split", "metric", "knowledge"):
        table.add_column(heading, overflow="fold")
    for heading in ("value", "95 % interval", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for s in result.scores:
        bounds = "" if s.low is None else f"{s.low:.1f} – {s.high:.1f}"
        table.add_row(
            escape(s.split),
            s.metric,
            s.knowledge,
            f"{s.value:.1f}{' %' if s.unit == 'share' else ''}",
            bounds,
            str(s.n),
        )
    out.print(table)
