"""Tables in the terminal: the comparison of methods, and one sentence that says what happened."""

from collections.abc import Sequence
from statistics import fmean

from rich.console import Console
from rich.table import Table

from prereq.evaluation.statistics import interval, paired
from prereq.report.collect import Score, Scored, scored
from prereq.store import Artifact

out = Console(highlight=False)
RESAMPLES = 2000

# Heading, split, metric, which knowledge is plugged in: each a column where it has values.
COLUMNS = (
    ("held out, best epoch", "held_out", "accuracy", "alone"),
    ("held out, last epoch", "held_out_last", "accuracy", "alone"),
    ("plugged in: own version", "plug_in", "own", "plugged"),
    ("other version", "plug_in", "other", "plugged"),
    ("skill alone", "plug_in", "own", "alone"),
    ("fictitious facts memorised", "memorised", "accuracy", "alone"),
    ("unknown facts memorised", "unknown", "accuracy", "alone"),
    ("tells known from unseen (AUROC)", "held_out_against_unseen", "confidence_auroc", "alone"),
)


def comparison(results: Sequence[Scored]) -> None:
    """One table for each data set and model, and what it says in a sentence."""
    places = sorted({(r.dataset, r.model) for r in results})
    for dataset, model in places:
        mine = [r for r in results if (r.dataset, r.model) == (dataset, model)]
        out.print(_table(f"{dataset} · {model}", mine))
        for sentence in _sentences(mine):
            out.print(f"[bold]→[/bold] {sentence}")
        out.print()


def _table(title: str, results: Sequence[Scored]) -> Table:
    seeds = sorted({r.seed for r in results})
    caption = (
        f"percent, mean over seeds {', '.join(map(str, seeds))}; ± half a 95 % interval over rows"
    )
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("method", no_wrap=True)
    columns = [c for c in COLUMNS if any(_cell(results, m, c) for m in _methods(results))]
    for heading, *_ in columns:
        table.add_column(heading, justify="right")
    for method in _methods(results):
        table.add_row(method, *(_cell(results, method, column) or "–" for column in columns))
    return table


def _methods(results: Sequence[Scored]) -> list[str]:
    return list(dict.fromkeys(r.method for r in results))


def _pick(results: Sequence[Scored], method: str, column: tuple) -> list[Score]:
    _, split, metric, plugged = column
    return [
        score
        for r in results
        if r.method == method
        for score in r.scores
        if (score.split, score.metric) == (split, metric)
        and bool(score.knowledge) == (plugged == "plugged")
    ]


def _cell(results: Sequence[Scored], method: str, column: tuple) -> str | None:
    scores = _pick(results, method, column)
    if not scores:
        return None
    value = fmean(score.value for score in scores)
    halves = [(s.high - s.low) / 2 for s in scores if s.low is not None]
    if not halves:
        return f"{value:.1f}"
    # Seeds are independent, so the half-widths of their intervals add in squares.
    half = sum(h * h for h in halves) ** 0.5 / len(halves)
    return f"{value:.1f} ± {half:.1f}"


def _sentences(results: Sequence[Scored]) -> list[str]:
    """The finding: the best Prereq method against the best plain one, each at its best epoch."""

    def best(prefix: tuple[str, ...]) -> tuple[str, float] | None:
        methods = [m for m in _methods(results) if m.split(" ")[0] in prefix]
        values = {m: [s.value for s in _pick(results, m, COLUMNS[0])] for m in methods}
        values = {m: fmean(v) for m, v in values.items() if v}
        return max(values.items(), key=lambda item: item[1]) if values else None

    ours = best(("prereq_tune", "prereq_fictitious", "prereq_plain"))
    plain = best(("sft", "sft_fictitious"))
    if not ours or not plain:
        return []
    difference = _difference(results, ours[0], plain[0])
    said = [
        f"On facts the model knows and was not trained on, {ours[0]} answers {ours[1]:.1f} % right at "
        f"its best epoch, {plain[0]}, the better plain fine-tuning, {plain[1]:.1f} %{difference}."
    ]
    last = {m: [s.value for s in _pick(results, m, COLUMNS[1])] for m in (ours[0], plain[0])}
    if all(last.values()):
        said.append(
            f"By the last epoch plain fine-tuning has gone to {fmean(last[plain[0]]):.1f} %, "
            f"Prereq-Tune to {fmean(last[ours[0]]):.1f} %."
        )
    return said


def _difference(results: Sequence[Scored], first: str, second: str) -> str:
    """The paired difference over the rows that both answered, with interval and p-value."""
    pairs: list[tuple[float, float]] = []
    for a in (r for r in results if r.method == first):
        for b in (r for r in results if r.method == second and r.seed == a.seed):
            pairs += zip(a.rows.get("held_out", []), b.rows.get("held_out", []), strict=True)
    if not pairs:
        return ""
    ours, theirs = zip(*pairs, strict=True)
    low, high = interval([a - b for a, b in pairs], RESAMPLES)
    return (
        f" (difference {100 * (fmean(ours) - fmean(theirs)):+.1f}, 95 % interval {100 * low:+.1f} to "
        f"{100 * high:+.1f}, paired p = {paired(ours, theirs):.4f}, {len(pairs)} rows)"
    )


def show_scores(artifact: Artifact) -> None:
    """The scores of one adapter, as `stage=eval` prints them."""
    result = scored(artifact)
    table = Table(
        title=f"{result.dataset} · {result.model} · {result.method}", title_justify="left"
    )
    for heading in ("split", "metric", "knowledge"):
        table.add_column(heading)
    for heading in ("value", "95 % interval", "rows"):
        table.add_column(heading, justify="right")
    for s in result.scores:
        bounds = "" if s.low is None else f"{s.low:.1f} – {s.high:.1f}"
        table.add_row(s.split, s.metric, s.knowledge, f"{s.value:.1f}", bounds, str(s.n))
    out.print(table)
