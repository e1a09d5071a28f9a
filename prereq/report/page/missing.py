"""What the page could show and cannot, with the command that makes it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prereq.report.collect import Line
from prereq.report.page.origins import Origins, settings, typed
from prereq.report.written import ANSWERS


@dataclass(frozen=True)
class Missing:
    what: str
    command: str = ""  # empty: nothing makes it for this data set


def of_group(
    lines: Sequence[Line], origins: Origins, has: dict[str, bool], lost: dict[str, list[str]]
) -> list[Missing]:
    """Of the lines of one data set and model. `has`: which parts of the page there are; `lost`: by
    experiment of the paper, its runs without scores."""
    runs = [run for line in lines for of_split in line.runs.values() for run in of_split.values()]
    config = origins.config(max(runs, key=lambda run: run.made).folder)
    found = [*_runs(lines, config, origins), *_parts(lines, config, has)]
    words = [*_place(lines), f"seed={_first_seed(lines)}", *_shared(lines, config)]
    for shows, names in lost.items():
        command = typed(f"experiment={shows}", *words)
        found.append(Missing(f"runs of experiment={shows}: {', '.join(names)}", command))
    if not has["published"] and not lost:
        command = typed("experiment=table1", *words)
        found.append(Missing("a table of the paper beside these numbers", command))
    return found


def _runs(lines: Sequence[Line], config: dict, origins: Origins) -> Iterator[Missing]:
    """Methods of the recipe, seeds, answers and adapters that are not here."""
    seeds = sorted({seed for line in lines for seed in line.runs})
    methods = {line.method for line in lines}
    absent = [m for m in config.get("dataset", {}).get("methods", []) if m not in methods]
    if absent:
        words = [*_place(lines), f"dataset.methods=[{','.join(absent)}]", *_shared(lines, config)]
        chosen = f"seed={','.join(map(str, seeds))}"
        command = typed(*(["-m"] if len(seeds) > 1 else []), "stage=pipeline", *words, chosen)
        yield Missing(f"methods of the recipe without scores: {', '.join(absent)}", command)
    for line in lines:
        any_run = next(run for of_split in line.runs.values() for run in of_split.values())
        for seed in seeds:
            if seed not in line.runs:
                command = origins.command(line, seed, any_run)
                yield Missing(f"{line.name} with seed {seed}", command)
                continue
            runs = list({run.folder: run for run in line.runs[seed].values()}.values())
            for run in runs:
                if run.rows and not run.verdicts and not (run.folder / ANSWERS).exists():
                    what = f"answers of {line.name}, seed {seed}: an earlier version scored them"
                    yield Missing(what, origins.command(line, seed, run, "eval"))
            kinds = {o.manifest["kind"] for run in runs for o in origins.chain(run.key)}
            trains = origins.config(runs[0].folder).get("method", {}).get("trains", False)
            if trains and "skill" not in kinds:
                what = f"training curve of {line.name}, seed {seed}: the adapter is not here"
                yield Missing(what, origins.command(line, seed, runs[0], "sft"))


def _parts(lines: Sequence[Line], config: dict, has: dict[str, bool]) -> Iterator[Missing]:
    """Sections of the page that there are no numbers for."""
    data, kind = config.get("dataset", {}), config.get("eval", {}).get("scoring")
    more = _shared(lines, config)
    words = [*_place(lines), f"seed={_first_seed(lines)}", *more]
    if not has["curves"]:
        yield Missing("accuracy by epoch: no test is of known facts (role: known) at epochs: all")
    if not has["coverage"]:
        yield Missing("accuracy by coverage: it is of short answers (eval=qa, eval=final_answer)")
    if not has["groups"]:
        yield Missing(
            "accuracy by relation or popularity: no question has prop, s_pop, type or told"
        )
    if not has["plugged"]:
        yield Missing("knowledge plugged in: no test split has plug_in: true")
    if not has["familiarity"]:
        what = "accuracy by familiarity: no probe asked the same rows"
        yield Missing(what, typed("stage=probe", *words))
    if not has["verdicts"] and (kind == "long_form" or data.get("task") == "biographies"):
        command = typed("stage=judge", *words, f"method={lines[0].method}")
        yield Missing("the answers judged fact by fact", command)
    if not has["scaling"]:
        what = "accuracy as fictitious data grows: runs with several dataset.fictitious_entities"
        made: Any = data.get(data.get("source"))  # the sizes of what is made here
        counts = [made["fictitious"] * part // 4 or 1 for part in (1, 2, 4)] if made else []
        grown = f"dataset.fictitious_entities={','.join(map(str, counts))}"
        chosen = [*_place(lines), "method=sft_fictitious,prereq_tune", grown, *more]
        yield Missing(what, typed("-m", "stage=pipeline", *chosen) if counts else "")


def _first_seed(lines: Sequence[Line]) -> int:
    return min(seed for line in lines for seed in line.runs)


def _place(lines: Sequence[Line]) -> list[str]:
    return [f"dataset={lines[0].dataset}", f"model={lines[0].model}"]


def _shared(lines: Sequence[Line], config: dict) -> list[str]:
    """The words for what all lines have off the recipe."""
    shared = {
        name: value
        for name, value in lines[0].changes.items()
        if all(line.changes.get(name, ...) == value for line in lines)
    }
    return settings(config, shared, "eval")
