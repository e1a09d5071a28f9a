"""The data set of an experiment, and its rows as tokens: what knowledge and skill are trained on.

`stage=data` makes it, counts its splits, and shows rows token by token.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.config import Config, KnowledgeSource
from prereq.data import custom
from prereq.data.rows import SkillRow
from prereq.data.sources import Wanted, read_skill, read_text
from prereq.data.tokens import Cut, TokenRow, fitted, prompt_ids, skill_row, text_rows
from prereq.errors import PrereqError
from prereq.report.rows import Counted, show
from prereq.runtime.console import say
from prereq.stages import choices
from prereq.stages.specs import Specs
from prereq.training.plan import fitted_subjects, subjects_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from prereq.training.objectives import Subject


def run(config: Config) -> list[Artifact]:
    """Make or find the data set, and show what its rows become with the model's tokenizer."""
    from prereq.stages import prepare, pretrain  # here, because they import this module

    specs = Specs(config)
    used = _splits(config)
    made = data_sets(specs, [subset for _, subset, _ in used])
    kinds = [("skill" if isinstance(use, str) else "text") for use, _, _ in used]
    prepare.read(specs, [Wanted(*split[1:], kind) for split, kind in zip(used, kinds, strict=True)])
    tokenizer = pretrain.tokenizer_of(specs)
    show([_counted(specs, tokenizer, *split) for split in used], tokenizer, config.show)
    return made


def _splits(config: Config) -> list[tuple[KnowledgeSource | str, str, str]]:
    """What the recipe reads: (a knowledge source, `skill` or `test`; subset, split).

    Fictitious rows that stand apart are another artifact's.
    """
    data = config.dataset
    apart = data.skill.fictitious.subset
    sources = [s for s in data.knowledge if not (apart and s.fictitious)]
    found = [("skill", data.skill.subset, split) for split in data.skill.splits]
    found += [(source, source.subset, source.split) for source in sources]
    return found + [("test", test.subset, test.split) for test in data.tests]


def _counted(
    specs: Specs,
    tokenizer: PreTrainedTokenizerBase,
    use: KnowledgeSource | str,
    subset: str,
    split: str,
) -> Counted:
    """A split as it is trained on: cut or dropped where the recipe says so."""
    data, name, root = specs.config.dataset, f"{subset}/{split}", specs.folder(subset)
    if isinstance(use, KnowledgeSource):
        found = text_rows(tokenizer, read_text(root, subset, split))
        max_length = choices.knowledge_training(specs.config, use).max_length
        name = f"{name} ({use.name})"
    elif use == "skill":
        read = read_skill(root, subset, split)
        found = [skill_row(tokenizer, row, data.prompt) for row in read]
        max_length = choices.skill_training(specs.config).max_length
    else:
        read = read_skill(root, subset, split)
        prompts = [prompt_ids(tokenizer, row, data.prompt) for row in read]
        found = [
            TokenRow(ids, len(ids), row.number) for ids, row in zip(prompts, read, strict=True)
        ]
        max_length, name = None, f"{name} (test)"
    longest = max(len(row.ids) for row in found)
    try:
        groups, cut = fitted([[row] for row in found], max_length or longest, data.overlong, name)
    except PrereqError as error:  # training would stop here
        return Counted(name, found, Cut(), str(error))
    return Counted(name, [row for group in groups for row in group], cut)


def data_sets(specs: Specs, subsets: Iterable[str]) -> list[Artifact]:
    """What holds these subsets, each once: a folder or Hub id that is given, or rows made here."""
    places = {place.path: place for place in map(specs.place, subsets)}
    return [
        place
        if isinstance(place, Artifact)
        else store.obtain(place, specs.settings.config, partial(write, specs.config))
        for place in places.values()
    ]


def write(config: Config, folder: Path) -> dict[str, Any] | None:
    """The rows of a data set that is made here, in the published layout; what its manifest says of it."""
    data = config.dataset
    if data.source == "custom":
        return custom.write(folder, data, config.seed)
    if data.source == "world":
        from prereq.world import build

        build.write(folder, data.world, data.task, config.seed)
    else:
        from prereq.world import cities

        cities.write(folder, data.cities, config.seed)
    return None


def text(
    specs: Specs, source: KnowledgeSource, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[TokenRow], dict[str, Any]]:
    """The rows of a knowledge source, and what the manifest says of them."""
    rows = text_rows(tokenizer, read_text(specs.folder(source.subset), source.subset, source.split))
    name = f"knowledge {source.name}"
    return _fitted_text(
        rows, specs, choices.knowledge_training(specs.config, source).max_length, name
    )


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
    rows = [row for split in splits for row in read_skill(specs.folder(split[0]), *split)]
    where = f"dataset={config.dataset.name}, {', '.join(map('/'.join, splits))}"
    every = subjects_of(
        method_rows(specs, rows), tokenizer, skill_versions(specs), where, config.dataset.prompt
    )
    tokens = [row for subject in every for row in subject.rows.values()]
    max_length, found = _longest(choices.skill_training(config).max_length, tokens, where)
    kept, cut = fitted_subjects(every, max_length, config.dataset.overlong, where)
    _note(where, cut, len(tokens), max_length)
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
    if method.known_only:
        _need(specs, real, "known (0 or 1)", lambda row: row.known is not None)
        real = [row for row in real if row.known]
    if method.popular:
        own = data.source == "custom"
        column = "popularity (a number)" if own else "s_pop (page views)"
        _need(specs, real, column, lambda row: row.extra.get("s_pop") is not None)
        better_known = sorted(real, key=lambda row: row.extra["s_pop"], reverse=True)
        real = better_known[: (len(real) + 1) // 2]
    if data.fictitious_entities is not None and method.fictitious:
        titles = sorted({row.title for row in fictitious})
        if data.fictitious_entities > len(titles):
            raise PrereqError(
                f"dataset.fictitious_entities={data.fictitious_entities}: there are {len(titles)}; ask for "
                "as many at most"
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
        raise PrereqError(
            f"method={specs.config.method.name}: every real row of dataset={specs.config.dataset.name} needs "
            f"the column {column}, which {len(lacking)} of {len(rows)} lack ({', '.join(lacking[:3])}); "
            "add it or choose another method"
        )
