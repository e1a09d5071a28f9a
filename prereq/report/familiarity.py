"""Answers by how familiar their facts were to the base model, where a probe of it is there (`stage=probe`).

Nothing is asked here. A probe belongs to scores when both say that they are of the same base model and of
the very same rows; of several the newest counts. The categories are those of Gekhman et al. 2024.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prereq.artifacts import audit, store
from prereq.artifacts.spec import Artifact
from prereq.config.schema.probe import CATEGORIES
from prereq.evaluation import statistics
from prereq.evaluation.score import views
from prereq.report.collect import Line, Score, Scored, write_table
from prereq.report.comparisons import reported
from prereq.report.estimates import RESAMPLES, estimate
from prereq.runtime import files
from prereq.runtime.console import say

FILE = "probe.jsonl"  # in each probe artifact


def of(split: str, category: str) -> str:
    """What the rows of a split in one category are called in the long table."""
    return f"{split}/familiarity={category}"


def told(root: Path, results: Sequence[Scored]) -> list[Scored]:
    """The same, with the accuracy of every split by familiarity, wherever a probe under `root` says that."""
    probes = _probes(root)
    if not probes:
        return list(results)
    answered = {a.manifest["key"]: a.manifest["content"] for a in store.every(root, "generations")}
    asked = {
        _place(content["base"], test["rows"])
        for content in answered.values()
        for test in content["tests"]
    }
    lines = {place: _lines(found) for place, found in probes.items() if place in asked}
    return [_with(result, answered.get(result.generations), lines) for result in results]


def _with(
    result: Scored, answered: Mapping[str, Any] | None, lines: Mapping[str, list[dict] | None]
) -> Scored:
    """One scores artifact with its accuracy by familiarity; `answered`: what made its answers."""
    if result.generations is None:  # a judge's
        return result
    if answered is None:
        what = f"familiarity of {result.folder.name}: the answers that were scored are gone"
        say("left out", escape(what))
        return result
    scores, rows, told = list(result.scores), dict(result.rows), {}
    for test in answered["tests"]:
        known, name = lines.get(_place(answered["base"], test["rows"])), test["test"]["name"]
        for split in (name, f"{name}_last") if known else ():
            values, _ = rows.get(("", split, "accuracy"), ([], None))
            if len(values) == len(known):
                told[name] = known
                whole = next(s for s in scores if (s.split, s.metric) == (split, "accuracy"))
                for score, own in _by_category(whole, values, known):
                    scores.append(score)
                    rows["", score.split, "accuracy"] = own, None
    return replace(result, scores=scores, rows=rows, known=told)


def _by_category(
    whole: Score, values: Sequence[float], known: Sequence[dict]
) -> Iterator[tuple[Score, list[float]]]:
    for category in CATEGORIES:
        mine = (line["category"] == category for line in known)
        own = [value for value, its in zip(values, mine, strict=True) if its]
        if own:
            low, high = statistics.interval(own, RESAMPLES, shares=True, out_of=[1.0] * len(own))
            shares = {"value": 100 * fmean(own), "low": 100 * low, "high": 100 * high}
            yield replace(whole, split=of(whole.split, category), n=len(own), **shares), own


def _probes(root: Path) -> dict[str, Artifact]:
    """Base and rows → the newest probe of them."""
    found: dict[str, list[Artifact]] = {}
    for probe in store.every(root, "probe"):
        content = probe.manifest["content"]
        found.setdefault(_place(content["base"], content["rows"]), []).append(probe)
    for same in found.values():
        if len(same) > 1:
            newest = Path(same[-1].path).name
            say("noted", escape(f"probe {newest}, the newest of {len(same)} of the same rows"))
    return {place: same[-1] for place, same in found.items()}


def _place(base: Any, rows: Any) -> str:
    return json.dumps([base, rows], sort_keys=True)


def _lines(probe: Artifact) -> list[dict] | None:
    """What a probe says of every row of the split in order; None where fictitious rows are among them."""
    remedy = f"remove the folder {probe.path}, and stage=probe makes it anew"
    lines = files.read_lines(Path(audit.verify(probe).path) / FILE, remedy)
    if [line["row"] for line in lines] == list(range(len(lines))):
        return lines
    # Answers are numbered by subject, and the probe's rows by line.
    what = (
        f"familiarity by {Path(probe.path).name}: its split has fictitious rows among the real ones"
    )
    say("left out", escape(what))
    return None


def write(lines: Sequence[Line], file: Path) -> Path | None:
    """`familiarity.csv`: rows of each split by category and page views; None where nothing was probed."""
    counts: Counter[tuple] = Counter()
    seen = set()
    for line in lines:
        for seed, splits in line.runs.items():
            for split, run in splits.items():
                place = (line.dataset, line.model, line.base, seed, split)
                if place not in seen and split in run.known:  # the same of every method
                    seen.add(place)
                    counts.update((*place, *_group(told)) for told in run.known[split])
    if not counts:
        file.unlink(missing_ok=True)  # an earlier report's
        return None
    columns = "dataset model base_experiment seed split popularity category rows".split()
    write_table(columns, [[*place, rows] for place, rows in counts.items()], file)
    return file


def _group(told: Mapping[str, Any]) -> tuple[str, str]:
    known = told.get("popularity")
    return "" if known is None else views(known), told["category"]


def by_popularity(line: Line) -> dict[str, dict[str, float]]:
    """Page views → category → percent of the rows (of all seeds), on the split that is compared."""
    split = reported(line)
    runs = line.of(split).values() if split else ()
    counts = Counter(_group(told) for run in runs for told in run.known.get(split, ()))
    buckets = sorted({views for views, _ in counts if views}, key=lowest)
    return {
        bucket: {
            category: 100 * counts[bucket, category] / sum(counts[bucket, c] for c in CATEGORIES)
            for category in CATEGORIES
        }
        for bucket in buckets
    }


def lowest(bucket: str) -> int:
    """The fewest page views of a bucket."""
    return int(bucket.partition("-")[0])


def columns(lines: Sequence[Line]) -> tuple[str, list[tuple[str, list[str]]]] | None:
    """The split that is compared, and (heading, a cell a line) of every category; None without a probe."""
    for split in dict.fromkeys(filter(None, map(reported, lines))):
        found = []
        for category in CATEGORIES:
            cells = [estimate(line, of(split, category), "accuracy") for line in lines]
            if any(cells):
                heading = f"{category}\n{_counted(lines, of(split, category))} rows"
                found.append((heading, [str(cell or "–") for cell in cells]))
        if found:
            return split, found
    return None


def _counted(lines: Sequence[Line], split: str) -> str:
    """Rows of a seed: a number, or the fewest and the most."""
    counts = sorted({s.n for line in lines for s in line.scores(split, "accuracy")})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"


def show(lines: Sequence[Line]) -> None:
    """For each data set and model that was probed: the methods, by what the base model knew."""
    out = Console(highlight=False)
    for place in dict.fromkeys((line.dataset, line.model) for line in lines):
        mine = [line for line in lines if (line.dataset, line.model) == place]
        if (found := columns(mine)) is None:
            continue
        split, parts = found
        title = f"{' · '.join(place)} · {split.replace('_', ' ')}, by what the base model knew"
        out.print(escape(f"{title} (stage=probe)"), style="italic")
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        table.add_column("method", overflow="fold")
        for heading, _ in parts:
            table.add_column(heading, justify="right", no_wrap=True)
        for number, line in enumerate(mine):
            table.add_row(escape(line.name), *(cells[number] for _, cells in parts))
        out.print(table)
        out.print()
