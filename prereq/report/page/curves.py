"""The lines of the page's pictures: accuracy by epoch, by coverage, by fictitious data; training losses."""

from collections.abc import Sequence
from statistics import fmean

from prereq.artifacts import audit
from prereq.config.shape import spelt
from prereq.errors import PrereqError
from prereq.report import picture
from prereq.report.collect import Line
from prereq.report.estimates import estimate
from prereq.report.page.charts import Axes, Series, thinned
from prereq.report.page.origins import Origin, Origins
from prereq.runtime import files

SCALED = "fictitious_entities"  # the setting of the scaling study
TRAINED = {"base": "base model", "knowledge": "knowledge", "skill": "skill"}
EPOCHS = Axes("accuracy on held-out known facts by epoch, %", "epoch of skill training")
COVERAGE = Axes(
    "accuracy of the most confident answers, %", "% of the questions answered", unit=" %"
)
SCALING = Axes("accuracy by fictitious subjects, %", "fictitious subjects", log_x=True)


def losses(kind: str) -> Axes:
    return Axes(
        f"training loss, {TRAINED[kind]}",
        "optimizer step",
        log=True,
        percent=False,
        unit="",
        digits=2,
    )


def by_epoch(lines: Sequence[Line]) -> list[Series]:
    """Accuracy at every epoch that was kept, a line a method; those without epochs have one point."""
    series = []
    for line in lines:
        if runs := picture.by_epoch(line):
            epochs = sorted(set.intersection(*(set(run) for run in runs)))
            mean = [(float(e), fmean(run[e] for run in runs)) for e in epochs]
            each = [[(float(e), run[e]) for e in sorted(run)] for run in runs]
            series.append(Series(line.name, mean, each))
    return series


def by_coverage(lines: Sequence[Line]) -> list[Series]:
    series = []
    for line in lines:
        if points := picture.by_coverage(line):
            series.append(Series(line.name, list(zip(*points, strict=True)), []))
    return series


def by_fictitious_data(lines: Sequence[Line], split: str | None) -> list[Series]:
    """Accuracy by the number of fictitious subjects: one line for each method with several."""
    if split is None:
        return []
    found: dict[str, dict[float, Line]] = {}
    for line in sorted(lines, key=lambda line: SCALED not in line.changes):
        rest = {key: value for key, value in line.changes.items() if key != SCALED}
        name = f"{line.method} ({spelt(rest)})" if rest else line.method
        count = line.changes.get(SCALED) or _all_of_them(line, found.get(name, {}), split)
        if count and line.scores(split, "accuracy"):
            found.setdefault(name, {})[float(count)] = line
    return [_scaled(name, of, split) for name, of in found.items() if len(of) > 1]


def _all_of_them(line: Line, fewer: dict[float, Line], split: str) -> float | None:
    """How many fictitious subjects a line has that learns from all: as many more as it has more subjects
    than one of those that learn from fewer. None where these do not tell."""
    mine = _subjects(line, split)
    for count, other in fewer.items():
        if mine and (its := _subjects(other, split)) and mine > its:
            return count + mine - its
    return None


def _subjects(line: Line, split: str) -> int | None:
    """What the skill learnt from, real subjects too; None where rows were dropped, or nothing is known."""
    told = next((run.trained_on for run in line.of(split).values()), {})
    return None if told.get("dropped") else told.get("subjects")


def _scaled(name: str, by_count: dict[float, Line], split: str) -> Series:
    counts = sorted(by_count)
    scores = {x: by_count[x].scores(split, "accuracy") for x in counts}
    seeds = sorted({score.seed for of in scores.values() for score in of})
    runs = [[(x, s.value) for x in counts for s in scores[x] if s.seed == seed] for seed in seeds]
    found = [(x, estimate(by_count[x], split, "accuracy")) for x in counts]
    mean = [(x, one.value) for x, one in found]
    return Series(name, mean, runs, [(x, e.low, e.high) for x, e in found if e.low is not None])


def by_step(origins: Origins, kind: str, dataset: str, model: str) -> list[Series]:
    """The training loss of every adapter of a kind: a line for those that differ in their seed alone."""
    groups: dict[str, list[Origin]] = {}
    for one in origins.of(kind, dataset, model):
        if "metrics.jsonl" in one.manifest["files"]:
            groups.setdefault(one.manifest["experiment"], []).append(one)
    series, names = [], []
    for group in groups.values():
        runs = [run for one in group if (run := _loss(one))]
        if not runs:
            continue
        length = min(map(len, runs))
        mean = [
            (runs[0][place][0], fmean(run[place][1] for run in runs)) for place in range(length)
        ]
        changes = group[0].manifest["labels"].get("changes")
        name = group[0].manifest["name"] + (f" ({spelt(changes)})" if changes else "")
        names.append(name)
        if names.count(name) > 1:
            name = f"{name} #{group[0].manifest['experiment'][:4]}"
        series.append(Series(name, mean, runs if len(runs) > 1 else []))
    return series


def _loss(one: Origin) -> list[tuple[float, float]]:
    """(step, loss), neighbours averaged."""
    file = audit.verified_file(one.artifact, "metrics.jsonl")
    remedy = f"remove the folder {file.parent}, and the same command makes it anew"
    try:
        points = [
            (float(line["step"]), float(line["loss"]))
            for line in files.read_lines(file, remedy)
            if "loss" in line
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise PrereqError(f"{file}: no log of losses ({error}); {remedy}") from None
    return thinned(points)
