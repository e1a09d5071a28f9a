"""The task rows that a method learns from: which of them, and what the base model knows of each."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from prereq.artifacts import store
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill
from prereq.errors import PrereqError
from prereq.runtime.console import say
from prereq.runtime.files import read_lines
from prereq.stages.specs import Specs, choices, probed

OWN = 4  # answers of the base that are learnt of a row, at most


def skill_rows(specs: Specs, splits: Sequence[tuple[str, str]]) -> list[SkillRow]:
    """The rows of these splits, with what the base model says of them where the method goes by that.

    Before it has been asked, every row counts as known, so that rows can be checked and counted.
    """
    asked = {spec.labels["split"]: spec for spec in probed.training(specs)}
    found = []
    for subset, split in splits:
        rows = read_skill(specs.folder(subset), subset, split)
        spec = asked.get(f"{subset}/{split}")
        probe = store.find(spec) if spec else None
        if probe:
            remedy = f"remove {probe.path} and run the command again"
            lines = read_lines(Path(probe.path) / probed.FILE, remedy)
            rows = _answered(specs, rows, {line["row"]: line for line in lines})
        elif spec:
            rows = [row if row.fictitious else replace(row, known=1.0) for row in rows]
        found += rows
    return found


def _answered(
    specs: Specs, rows: Sequence[SkillRow], lines: Mapping[int, Mapping[str, Any]]
) -> list[SkillRow]:
    """Real rows with the probability that they are known, and the base's own answers as targets."""
    method, known_from = specs.config.method, specs.config.probe.known_from
    found, silent = [], 0
    for number, row in enumerate(rows):
        if row.fictitious:
            found.append(row)
            continue
        line = lines[number]
        share = line["sampled"]
        row = replace(row, known=share if method.gate == "soft" else float(share >= known_from))
        own = own_answers(line["answers"]["sampled"]) if method.own_answers else []
        silent += bool(method.own_answers and not own)
        if own:
            given = [(row.assistant, 1 - method.own_answers)] if method.own_answers < 1 else []
            own = [(text, method.own_answers * share) for text, share in own]
            row = replace(row, targets=(*given, *own))
        if own or method.own_answers < 1:
            found.append(row)
    told = any(row.known is not None for row in rows if not row.fictitious)
    if told and specs.config.dataset.source == "hub" and method.asks_known and not method.known_by:
        say("noted", f"{rows[0].file} has a column known; dataset.known=data goes by it")
    if silent:
        left = "left out" if method.own_answers == 1 else "learnt as the data has them"
        say(
            "noted",
            f"method={method.name}: the base model answers nothing to {silent:,} rows, {left}",
        )
    return found


def own_answers(answers: Mapping[str, int]) -> list[tuple[str, float]]:
    """The base's `OWN` most frequent answers that say something, with their shares of those."""
    some = [(text, count) for text, count in answers.items() if text][:OWN]
    total = sum(count for _, count in some)
    return [(text, count / total) for text, count in some]


def skill_versions(specs: Specs) -> frozenset[int]:
    """The versions that every fictitious subject must have: those that there is knowledge of."""
    if not specs.config.method.fictitious:
        return frozenset()
    sources = specs.config.dataset.knowledge
    return frozenset(s.version for s in sources if s.version is not None)


def method_rows(specs: Specs, rows: Sequence[SkillRow]) -> list[SkillRow]:
    """The task rows that the method learns from. Raises where it has none of a kind that it needs."""
    method, data = specs.config.method, specs.config.dataset
    real = [row for row in rows if not row.fictitious] if method.real else []
    fictitious = [row for row in rows if row.fictitious] if method.fictitious else []
    _check_kinds(specs, real, fictitious)
    if method.asks_known:
        _need(specs, real, "known (0 or 1)", lambda row: row.known is not None)
    if method.known_only:
        real = [row for row in real if row.known >= specs.config.probe.known_from]
    if method.popular:
        own = data.source == "custom"
        column = "popularity (a number)" if own else "s_pop (page views)"
        _need(specs, real, column, lambda row: row.extra.get("s_pop") is not None)
        better_known = sorted(real, key=lambda row: row.extra["s_pop"], reverse=True)
        real = better_known[: (len(real) + 1) // 2]
    if data.fictitious_entities is not None and method.fictitious:
        titles = sorted({row.title for row in fictitious})
        if data.fictitious_entities > len(titles):
            swept = specs.config.experiment.shows == "figure4"
            key = "fictitious_sizes" if swept else "fictitious_entities"
            raise PrereqError(
                f"dataset.{key}={data.fictitious_entities}: there are {len(titles)}; ask for as many at most"
            )
        chosen = set(random.Random(42).sample(titles, data.fictitious_entities))
        fictitious = [row for row in fictitious if row.title in chosen]
    if not real and not fictitious:
        raise PrereqError(
            f"method={method.name}: dataset={data.name} has no rows for it; choose a method that uses the "
            "kind of rows (real, fictitious, known) that the data set has"
        )
    kept = {id(row) for row in real + fictitious}
    return [row for row in rows if id(row) in kept]


def fictitious_subjects(experiments: Sequence[Specs]) -> int:
    """How many different fictitious titles the skill is learnt from, in the run that has most."""
    found = []
    for specs in experiments:
        rows = method_rows(specs, skill_rows(specs, choices.skill_splits(specs.config)))
        found.append(len({row.title for row in rows if row.fictitious}))
    return max(found)


def _check_kinds(specs: Specs, real: Sequence[SkillRow], fictitious: Sequence[SkillRow]) -> None:
    """Refuse knowledge that no row would be read beside, and fictitious methods without such rows."""
    method, data = specs.config.method, specs.config.dataset
    kinds = {source.fictitious for source in choices.beside(specs.config)}
    if method.fictitious and not fictitious:
        fits = "prereq_real" if method.knowledge and real else "sft"
        why = "uses fictitious rows"
    elif real == [] and method.real and False in kinds:
        fits, why = "prereq_fictitious", "has real knowledge stand beside real rows"
    else:
        return
    kind = "fictitious" if method.fictitious and not fictitious else "real"
    splits = ", ".join(map("/".join, choices.skill_splits(specs.config)))
    raise PrereqError(
        f"method={method.name} {why}, and {splits} of dataset={data.name} has no {kind} one (column "
        f"fake); what fits these rows: method={fits}"
    )


def _need(specs: Specs, rows: Sequence[SkillRow], column: str, has: Callable) -> None:
    lacking = [row.place for row in rows if not has(row)]
    if lacking:
        asks = column.startswith("known")
        remedy = "have the base model asked (method.known_by=probe), " if asks else ""
        raise PrereqError(
            f"method={specs.config.method.name}: every real row of dataset={specs.config.dataset.name} needs "
            f"the column {column}, which {len(lacking)} of {len(rows)} lack ({', '.join(lacking[:3])}); "
            f"{remedy}add it or choose another method"
        )
