"""The rows of an experiment as tokens: what knowledge and skill are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from prereq.config import KnowledgeSource
from prereq.data.sources import read_text, read_wordings, text_place
from prereq.data.tokens import Cut, TokenRow, fitted, text_rows
from prereq.errors import PrereqError
from prereq.runtime.console import say
from prereq.stages.data.rows import method_rows, skill_rows, skill_versions
from prereq.stages.specs import Specs, choices
from prereq.training.plan import fitted_subjects, subjects_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from prereq.training.objectives import Subject


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
