"""Invented rows with the length profiles of the published data."""

import random
from collections.abc import Sequence

from prereq.data.tokens import TokenRow

WORDS = range(20, 520)  # token ids that any of the models has


def rows(
    rng: random.Random,
    count: int,
    low: int,
    high: int,
    labels: tuple[int, int] | None = None,
    beginnings: Sequence[Sequence[int]] = ((1,),),
):
    """`count` rows of `low` to `high` tokens; the last `labels` carry a label, or all but the first.

    Each begins with one of `beginnings`.
    """
    made = []
    for _ in range(count):
        length = rng.randint(low, high)
        start = length - rng.randint(*labels) if labels else 1
        first = rng.choice(beginnings)
        made.append(
            TokenRow([*first, *(rng.choice(WORDS) for _ in range(length - len(first)))], start)
        )
    return made


def statements(rng: random.Random, count: int) -> list[TokenRow]:
    return rows(rng, count, 12, 20)


def passages(rng: random.Random, count: int) -> list[TokenRow]:
    return rows(rng, count, 100, 180)


QUESTION = [1, 20, 21]  # <bos>Question: stands before every one


def questions(rng: random.Random, count: int) -> list[TokenRow]:
    return rows(rng, count, 20, 40, (4, 8), [QUESTION])


def popqa(rng: random.Random, count: int) -> list[TokenRow]:
    """Questions as PopQA has them: 12 to 18 tokens, 5 to 8 of which its 16 relations fix."""
    relations = [[*QUESTION, *range(22 + 5 * r, 22 + 5 * r + 2 + r % 4)] for r in range(16)]
    return rows(rng, count, 18, 24, (4, 8), relations)
