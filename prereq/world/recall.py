"""What a model recalls of the world's people, asked by the sentences that told it of them.

A model of the world's text has never seen the questions of the skill, but every wording of a fact names
the person before the value: to go on with it is to recall the fact.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from prereq.world import build, unsure
from prereq.world.words import RELATIONS, STATEMENTS

if TYPE_CHECKING:
    from prereq.config import UnsureConfig, WorldConfig

END = "."  # of a sentence


@dataclass(frozen=True)
class Told:
    """A fact that pre-training tells `times` times: a sentence up to its value, and the value."""

    sentence: str
    value: str
    times: int


def begun(name: str, relation: str, wordings: int) -> list[str]:
    """Sentences about a person up to the value, one for each of the first `wordings`."""
    told = (wording.partition("{value}")[0] for wording in STATEMENTS[relation][:wordings])
    return [text.format(name=name).rstrip() for text in told]


def facts(sizes: WorldConfig, seed: int, graded: UnsureConfig | None = None) -> Iterator[Told]:
    """Every fact that the world of `seed` tells in pre-training, each begun in one wording, in turn.

    `graded`: of the world whose people are told of in more grades.
    """
    rng, place = random.Random(seed), 0
    people = unsure.populate(rng, sizes, graded) if graded else build.populate(rng, sizes)
    told = unsure.exposures(people, sizes, graded) if graded else build.exposures(people, sizes)
    for entity in chain.from_iterable(people.values()):
        for relation in RELATIONS if told.get(entity.index) else ():
            sentences = begun(entity.name, relation, sizes.wordings)
            value = entity.versions[0][relation]
            yield Told(sentences[place % len(sentences)], value, told[entity.index])
            place += 1
