"""Invented rows with the length profiles of the published data."""

import random

from prereq.data.tokens import TokenRow

WORDS = range(20, 520)  # token ids that any of the models has


def rows(
    rng: random.Random, count: int, low: int, high: int, labels: tuple[int, int] | None = None
):
    """`count` rows of `low` to `high` tokens; the last `labels` carry a label, or all but the first."""
    made = []
    for _ in range(count):
        length = rng.randint(low, high)
        start = length - rng.randint(*labels) if labels else 1
        made.append(TokenRow([1] + [rng.choice(WORDS) for _ in range(length - 1)], start))
    return made


def statements(rng: random.Random, count: int) -> list[TokenRow]:
    return rows(rng, count, 12, 20)


def passages(rng: random.Random, count: int) -> list[TokenRow]:
    return rows(rng, count, 100, 180)


def questions(rng: random.Random, count: int) -> list[TokenRow]:
    return rows(rng, count, 20, 40, labels=(4, 8))
