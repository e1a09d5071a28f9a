"""Pairs of answers for DPO: which of a row's own answers is better, and both as tokens.

After Tian et al. 2023 (arXiv 2311.08401), section 3: every two answers to a prompt make a pair, the one
with the higher score is chosen, and equal scores say nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

from prereq.data.prompts import PLAIN
from prereq.data.rows import SkillRow
from prereq.data.tokens import skill_row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Pair:
    """Two answers to one row, the first of a higher score than the second."""

    chosen: str
    rejected: str
    scores: tuple[float, float]


@dataclass(frozen=True)
class PairTokens:
    """A pair as token ids: what is asked, and both answers with their end token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


def pairs_of(scores: Mapping[str, float], most: int, rng: random.Random) -> list[Pair]:
    """At most `most` pairs of different answers (text → score), drawn from all; [] where all are alike."""
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    found = [
        Pair(better, worse, (high, low))
        for (better, high), (worse, low) in combinations(ranked, 2)
        if high > low
    ]
    return found if len(found) <= most else rng.sample(found, most)


def pair_tokens(
    tokenizer: PreTrainedTokenizerBase, row: SkillRow, pair: Pair, prompt: str = PLAIN
) -> PairTokens:
    """The pair as `skill_row` would have both answers learnt.

    Where a token spans the end of the prompt in one of them, both answers begin with that token.
    """
    one, other = (
        skill_row(tokenizer, replace(row, assistant=text, targets=()), prompt)
        for text in (pair.chosen, pair.rejected)
    )
    start = min(one.start, other.start)
    if one.ids[:start] != other.ids[:start]:
        raise AssertionError(f"{row.place}: the same prompt has two tokenisations")
    return PairTokens(one.ids[:start], one.ids[start:], other.ids[start:])
