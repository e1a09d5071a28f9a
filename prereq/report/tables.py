"""Tables in the terminal: the comparison of methods, and one sentence that says what happened."""

from collections.abc import Sequence
from statistics import fmean

from rich import box
from rich.console import Console
from rich.table import Table

from prereq.artifacts.spec import Artifact
from prereq.evaluation.statistics import interval, paired
from prereq.report.collect import Score, Scored, scored

out = Console(highlight=False)
RESAMPLES = 2000

# What a cell holds: split, metric, and whether a knowledge LoRA is plugged in.
BEST = ("held_out", "accuracy", False)
LAST = ("held_out_last", "accuracy", False)
# Heading and the values of its cells, written one after the other.
COLUMNS = (
    ("test", (("test", "accuracy", False),)),
    ("test,\nabstained", (("test", "abstained", False),)),
    ("tokens\nan answer", (("topics", "tokens", False),)),
    ("held out,\nbest epoch", (BEST,)),
    ("held out,\nlast epoch", (LAST,)),
    (
        "plugged in:\nown/other/alone",
        (("plug_in", "own", True), ("plug_in", "other", True), ("plug_in", "own", False)),
    ),
    (
        "memorised:\nfict./unknown",
        (("memorised", "accuracy", False), ("unknown", "accuracy", False)),
    ),
    ("AUROC", (("held_out_against_unseen", "confidence_auroc", False),)),
)
LEGEND = "percent right, ± half a 95 % interval over rows"
EXPLAINED = {
    "held out": "facts the base model knows, in no training row",
    "plugged in": "invented people by their own version, the other one, and without knowledge",
    "memorised": "training facts the base model does not hold",
    "AUROC": "confidence, known against never seen",
}


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
    seeds = ", ".join(str(seed) for seed in sorted({r.seed for r in results}))
    methods = list(dict.fromkeys(r.method for r in results))
    columns = [c for c in COLUMNS if any(_pick(results, m, c[1][0]) for m in methods)]
    shown = " ".join(heading for heading, _ in columns)
    legend = [LEGEND] + [f"{word}: {text}" for word, text in EXPLAINED.items() if word in shown]
    table = Table(
        title=f"{title} · mean over seeds {seeds}",
        caption="; ".join(legend),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
        min_width=70,
    )
    table.add_column("method", no_wrap=True)
    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for method in methods:
        table.add_row(method, *(_cell(results, method, parts) for _, parts in columns))
    return table


def _pick(results: Sequence[Scored], method: str, part: tuple[str, str, bool]) -> list[Score]:
    split, metric, plugged = part
    return [
        score
        for r in results
        if r.method == method
        for score in r.scores
        if (score.split, score.metric, bool(score.knowledge)) == (split, metric, plugged)
    ]


def _cell(results: Sequence[Scored], method: str, parts: tuple) -> str:
    picked = [_pick(results, method, part) for part in parts]
    values = [f"{fmean(s.value for s in scores):.1f}" if scores else "–" for scores in picked]
    if len(parts) > 1 or not picked[0] or picked[0][0].low is None:
        return "/".join(values)
    # Seeds are independent, so the half-widths of their intervals add in squares.
    halves = [(score.high - score.low) / 2 for score in picked[0]]
    return f"{values[0]} ± {sum(h * h for h in halves) ** 0.5 / len(halves):.1f}"


def _sentences(results: Sequence[Scored]) -> list[str]:
    """The finding: the best Prereq method against the best plain one, each at its best epoch."""

    def best(prefix: tuple[str, ...]) -> tuple[str, float] | None:
        methods = {r.method for r in results if r.method.split(" ")[0] in prefix}
        picked = {m: _pick(results, m, BEST) for m in sorted(methods)}
        values = {m: fmean(s.value for s in scores) for m, scores in picked.items() if scores}
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
    last = {m: [s.value for s in _pick(results, m, LAST)] for m in (ours[0], plain[0])}
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
