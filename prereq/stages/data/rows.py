"""The rows of an experiment as tokens: what knowledge and skill are trained on."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from prereq.artifacts import store
from prereq.config import KnowledgeSource
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill, read_text, read_wordings, text_place
from prereq.data.tokens import Cut, TokenRow, fitted, text_rows
from prereq.errors import PrereqError
from prereq.runtime.console import say
from prereq.runtime.files import read_lines
from prereq.stages.specs import Specs, choices, probed
from prereq.training.plan import fitted_subjects, subjects_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from prereq.training.objectives import Subject

OWN = 4  # answers of the base that are learnt of a row, at most


def text(
    specs: Specs, source: KnowledgeSource, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[TokenRow], dict[str, Any]]:
    """The rows of a knowledge source, and what the manifest says of them."""
    name = f"knowledge {source.name}"
    rows = told(specs.folder(source.subset), source, tokenizer)
    return _fitted_text(
        rows, specs, choices.knowledge_training(specs.config, source).max_length, name
    )


def told(
    root: Path | str, source: KnowledgeSource, tokenizer: PreTrainedTokenizerBase
) -> list[TokenRow]:
    """The texts of a knowledge source as often as an epoch has them. Raises PrereqError.

    How many wordings of a fact there are, and how often each is said, makes it more or less familiar.
    """
    numbers: list[int | None] = []
    if source.wordings is not None:
        numbers = read_wordings(root, source.subset, source.split)
        if None in numbers:
            place = text_place(root, source.subset, source.split, numbers.index(None))
            raise PrereqError(
                f"knowledge {source.name}: wordings={source.wordings} keeps so many wordings of a fact, and "
                f"{place} has no column wording (a number from 0); leave wordings out, or have stage=synth "
                "write the text"
            )
    rows = text_rows(tokenizer, read_text(root, source.subset, source.split))
    if source.wordings is not None:
        rows = [row for row in rows if numbers[row.number - 1] < source.wordings]
    return rows * source.repeats


def pretraining(
    specs: Specs, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[TokenRow], dict[str, Any]]:
    """The rows that the small world's model is trained on."""
    rows = text_rows(tokenizer, read_text(specs.folder("pretrain"), "pretrain", "train"))
    training = choices.pretraining(specs.config)
    return _fitted_text(rows, specs, training.max_length, "the text of stage=pretrain")


def _fitted_text(
    rows: Sequence[TokenRow], specs: Specs, max_length: int | None, name: str
) -> tuple[list[TokenRow], dict[str, Any]]:
    overlong = specs.config.dataset.overlong
    where = f"dataset={specs.config.dataset.name}, {name}"
    max_length, found = _longest(max_length, rows, where)
    groups, cut = fitted([[row] for row in rows], max_length, overlong, where)
    _note(where, cut, len(rows), max_length)
    kept = [row for group in groups for row in group]
    return kept, {"rows": len(kept)} | asdict(cut) | found


def subjects(
    specs: Specs, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Subject], dict[str, Any]]:
    """The subjects that the method learns its skill from, and what the manifest says of them."""
    config = specs.config
    splits = choices.skill_splits(config)
    rows = skill_rows(specs, splits)
    where = f"dataset={config.dataset.name}, {', '.join(map('/'.join, splits))}"
    every = subjects_of(
        method_rows(specs, rows), tokenizer, skill_versions(specs), where, config.dataset.prompt
    )
    tokens = [row for subject in every for row in subject.rows.values()]
    max_length, found = _longest(choices.skill_training(config).max_length, tokens, where)
    kept, cut = fitted_subjects(every, max_length, config.dataset.overlong, where)
    _note(where, cut, len(tokens), max_length)
    if config.method.asks_known:
        real = [subject.known for subject in kept if not subject.fictitious]
        found["known"] = sum(known >= config.probe.known_from for known in real)
    return kept, {"subjects": len(kept)} | asdict(cut) | found


def _longest(
    max_length: int | None, rows: Sequence[TokenRow], where: str
) -> tuple[int, dict[str, int]]:
    """`max_length`; where no recipe sets one the longest row's own, which is said and recorded."""
    if max_length is not None:
        return max_length, {}
    max_length = max(len(row.ids) for row in rows)
    say("noted", escape(f"{where}: max_length is {max_length}, the tokens of the longest row"))
    return max_length, {"max_length": max_length}


def _note(where: str, cut: Cut, count: int, max_length: int) -> None:
    """Say what a recipe that cuts or drops rows has done to them."""
    if cut != Cut():
        what = f"{cut.cut:,} cut and {cut.dropped:,} dropped of {count:,} rows"
        say("noted", escape(f"{where}: {what}, longer than max_length={max_length} tokens"))


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
