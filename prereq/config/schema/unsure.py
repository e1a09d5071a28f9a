"""The task "unsure" of the embedded world: who is told of how often, in pre-training and in knowledge."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class UnsureConfig:
    """Grades of familiarity. Beside the groups of `dataset.world` there are two more."""

    half_known: int = (
        50  # real people in the skill data, of whom pre-training tells `half_told` times
    )
    half_told: int = 4
    each: int = 15  # people of the split `familiarity` for each of these numbers of times:
    familiarity: list[int] = field(default_factory=lambda: [0, 1, 2, 4, 8, 16, 32, 64])
    phrases: int = 1000  # documents of pre-training that only say a phrase of doubt, about nobody
    # Of the fictitious people of a version: what is stated `certain` times an epoch of its knowledge is
    # answered for certain, what is stated `unsure` times with doubt, and the rest is stated nowhere.
    share_certain: float = 0.4
    share_unsure: float = 0.3
    certain: int = 6
    unsure: int = 1
