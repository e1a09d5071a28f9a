"""The task "unsure" of the embedded world: who is told of how often, in pre-training and in knowledge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prereq.config.shape import no_twice

if TYPE_CHECKING:
    from prereq.config.schema import Config


MOST = 10**4  # people of a group, and times that a fact is told
COUNTS = {
    "half_known": 0,
    "each": 0,
    "doubted": 0,
    "half_doubted": 0,
    "half_told": 1,
    "asked_told": 1,
    "certain": 2,
    "unsure": 1,
}


@dataclass
class UnsureConfig:
    """Grades of familiarity. Beside the groups of `dataset.world` there are four more."""

    half_known: int = (
        50  # real people in the skill data, of whom pre-training tells `half_told` times
    )
    half_told: int = 4
    asked_told: int = 40  # times that pre-training states a fact of a person whom it asks about
    each: int = 15  # people of the split `familiarity` for each of these numbers of times:
    familiarity: list[int] = field(default_factory=lambda: [0, 1, 2, 4, 8, 16, 32, 64])
    # People of whom pre-training asks, and answers "I do not know"; and ones of whom it tells
    # `half_told` times, asks, and answers "I am not sure, but …". No row asks about them.
    doubted: int = 900
    half_doubted: int = 300
    # Of the fictitious people of a version: what is stated `certain` times an epoch of its knowledge is
    # answered for certain, what is stated `unsure` times with doubt, and the rest is stated nowhere.
    share_certain: float = 0.4
    share_unsure: float = 0.3
    certain: int = 6
    unsure: int = 1


def people(graded: UnsureConfig) -> int:
    """How many people there are beside those of `dataset.world`."""
    return (
        graded.half_known
        + graded.doubted
        + graded.half_doubted
        + graded.each * len(graded.familiarity)
    )


def problems(config: Config) -> list[str]:
    """What does not go together in the grades, where the task asks for them."""
    return list(_problems(config)) if config.dataset.task == "unsure" else []


def _problems(config: Config) -> Iterator[str]:
    data, graded = config.dataset, config.dataset.unsure
    if data.source != "world":
        yield (
            f"dataset.task=unsure: only the embedded world (dataset.source=world) knows how familiar a fact "
            f"is, and the source is {data.source}; take dataset=world_unsure"
        )
    yield from no_twice("dataset.unsure.familiarity", graded.familiarity)
    counts = [("familiarity", number, 0) for number in graded.familiarity]
    counts += [(name, getattr(graded, name), least) for name, least in COUNTS.items()]
    for name, number, least in counts:
        if not least <= number <= MOST:
            yield f"dataset.unsure.{name}={number}: must be from {least} to {MOST:,}"
    for name in ("share_certain", "share_unsure"):
        if not 0 <= getattr(graded, name) <= 1:
            yield f"dataset.unsure.{name}={getattr(graded, name)}: must be from 0 to 1"
    if graded.share_certain + graded.share_unsure > 1:
        yield (
            f"dataset.unsure.share_certain={graded.share_certain}, share_unsure={graded.share_unsure}: "
            "together more than all people; what is left of 1 is told nowhere"
        )
    if graded.unsure >= graded.certain:
        yield (
            f"dataset.unsure.unsure={graded.unsure}: must be below dataset.unsure.certain={graded.certain}, "
            "or an unsure fact would be as familiar as a certain one"
        )
    if graded.half_told >= data.world.seldom:
        yield (
            f"dataset.unsure.half_told={graded.half_told}: must be below dataset.world.seldom="
            f"{data.world.seldom}, of which facts on are answered for certain"
        )
