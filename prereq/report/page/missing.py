"""What the page could show and cannot, with the command that makes it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from prereq.report.collect import Line
from prereq.report.page.origins import Origins
from prereq.report.written import ANSWERS


@dataclass(frozen=True)
class Missing:
    what: str
    command: str = ""  # empty: nothing makes it for this data set


def of_group(lines: Sequence[Line], origins: Origins, has: dict[str, bool]) -> list[Missing]:
    """Of the lines of one data set and model. `has`: which parts of the page there are."""
    newest = max(
        (r for line in lines for run in line.runs.values() for r in run.values()), key=_made
    )
    config = origins.config(newest.folder)
    data, kind = config.get("dataset", {}), config.get("eval", {}).get("scoring")
    place = [f"dataset={lines[0].dataset}", f"model={lines[0].model}"]
    seeds = sorted({seed for line in lines for seed in line.runs})
    each = ["-m", f"seed={','.join(map(str, seeds))}"] if len(seeds) > 1 else [f"seed={seeds[0]}"]
    found = []
    absent = [m for m in data.get("methods", []) if m not in {line.method for line in lines}]
    if absent:
        what = f"methods of the recipe without scores: {', '.join(absent)}"
        words = ["stage=pipeline", *place, f"dataset.methods=[{','.join(absent)}]"]
        found.append(Missing(what, _command(*each, *words)))
    for line in lines:
        seed, run = next((s, r) for s, runs in sorted(line.runs.items()) for r in runs.values())
        for lacking in (seed for seed in seeds if seed not in line.runs):
            command = origins.command(line, lacking, run)
            found.append(Missing(f"{line.name} with seed {lacking}", command))
        for seed, run in sorted({(s, id(r)): (s, r) for s, r in _runs(line)}.values(), key=_seed):
            if run.rows and not (run.folder / ANSWERS).exists():
                what = f"the answers of {line.name}, seed {seed}: an earlier version scored them"
                found.append(Missing(what, origins.command(line, seed, run, "eval")))
    if not has["curves"]:
        found.append(
            Missing("accuracy by epoch: no test is of known facts (role: known) at epochs: all")
        )
    if not has["coverage"]:
        why = "" if kind in ("qa", "final_answer") else "; it is of short answers (eval=qa)"
        found.append(Missing(f"accuracy by coverage{why}"))
    if not has["groups"]:
        found.append(
            Missing(
                "accuracy by relation or popularity: no question has the columns prop, s_pop or type"
            )
        )
    if not has["familiarity"]:
        what = "accuracy by familiarity: no probe graded questions that were asked"
        found.append(Missing(what, _command("stage=probe", *place, f"seed={seeds[0]}")))
    if not has["plugged"]:
        found.append(Missing("knowledge plugged in: no test split has plug_in: true"))
    if not has["verdicts"] and (kind == "long_form" or data.get("task") == "biographies"):
        words = ["stage=judge", *place, f"method={lines[0].method}", f"seed={seeds[0]}"]
        found.append(Missing("the answers judged fact by fact", _command(*words)))
    if not has["scaling"]:
        counts = ",".join(map(str, _counts(data)))
        words = ["-m", "stage=pipeline", *place, "method=sft_fictitious,prereq_tune"]
        command = _command(*words, f"dataset.fictitious_entities={counts}")
        found.append(Missing("accuracy as fictitious data grows", command))
    return found


def _counts(data: dict) -> list[int]:
    """Quarters of the fictitious subjects that the data set has."""
    made = data.get(data.get("source"))  # sizes of what is made here
    most = made["fictitious"] if isinstance(made, dict) and "fictitious" in made else 20_000
    return [max(1, most * quarter // 4) for quarter in (1, 2, 4)]


def _runs(line: Line) -> list[tuple]:
    return [(seed, run) for seed, runs in line.runs.items() for run in runs.values()]


def _seed(pair: tuple) -> int:
    return pair[0]


def _made(run) -> str:
    return run.made


def _command(*words: str) -> str:
    return shlex.join(["python", "-m", "prereq", *words])
