"""How the base model is asked what it knows of a row: in few-shot prompts, or by sentences to complete."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prereq.config import Config
from prereq.config.schema import probe
from prereq.data.prompts import CHAT
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill
from prereq.data.tokens import begun, prompt_ids
from prereq.evaluation import few_shot
from prereq.stages.specs import Specs, choices
from prereq.world import recall

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Fact:
    """What is asked at once, a row or one relation of it: what is right, and its prompts (token ids)."""

    row: SkillRow
    prompts: list[list[int]]


def questions(
    specs: Specs, split: str, tokenizer: PreTrainedTokenizerBase
) -> Callable[[int, SkillRow], list[Fact]]:
    """A function from a row and its number in the split to what is asked of it.

    Exemplars are training rows; those of a prompt follow from the seed, the split and the number.
    """
    config, prompt = specs.config, specs.config.dataset.prompt
    shots, several = probe.exemplars(config), probe.prompts(config)

    def recalled(_: int, row: SkillRow) -> list[Fact]:
        found = []
        for relation, value in row.facts.items():
            texts = recall.begun(row.title, relation, several)
            fact = replace(row, facts={relation: value}, answers=(value,))
            found.append(Fact(fact, [begun(tokenizer, text) for text in texts]))
        return found

    def alone(_: int, row: SkillRow) -> list[Fact]:
        return [Fact(row, [prompt_ids(tokenizer, row, prompt)])]

    def after_others(number: int, row: SkillRow) -> list[Fact]:
        prompts = []
        for place in range(several):
            rng = random.Random(f"exemplars {config.seed} {split} {number} {place}")
            chosen = few_shot.exemplars(row, pool, shots, rng)
            prompts.append(few_shot.few_shot_ids(tokenizer, row, chosen, prompt))
        return [Fact(row, prompts)]

    if recalls(config):
        return recalled
    if not shots:
        return alone
    splits = choices.modelled_on(config)
    pool = [row for each in splits for row in read_skill(specs.folder(each[0]), *each)]
    pool = [row for row in pool if not row.fictitious]
    return after_others


def recalls(config: Config) -> bool:
    """Whether facts of the embedded world are asked by sentences to complete."""
    return config.dataset.source == "world" and not probe.exemplars(config)


def mark(config: Config) -> str:
    """What ends an answer besides the end token; empty: nothing does."""
    if recalls(config):
        return recall.END
    return "" if config.dataset.prompt == CHAT else few_shot.LINE
