"""Invented rows with the length profiles of the published data, and the race that times them."""

import random
import statistics
import time
from collections.abc import Callable

from prereq.data.tokens import TokenRow

WORDS = range(100, 20000)  # token ids that any of the models has


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


def race(contestants: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contestant, `repeats` times, taking turns; one unmeasured turn first."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, step in contestants.items():
            started = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def spread(seconds: list[float]) -> str:
    """Median and range, in seconds."""
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
