"""What a model recalls of the world's people, asked by the sentences that told it of them.

A model of the world's text has never seen the questions of the skill, but every wording of a fact names
the person before the value: to go on with it is to recall the fact.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prereq.world.build import KNOWN, exposures, populate
from prereq.world.words import RELATIONS, STATEMENTS

if TYPE_CHECKING:
    from prereq.config import WorldConfig

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


def facts(sizes: WorldConfig, seed: int) -> Iterator[Told]:
    """Every fact that the world of `seed` tells in pre-training, each begun in one wording, in turn."""
    people, place = populate(random.Random(seed), sizes), 0
    for group in KNOWN:
        for number, entity in enumerate(people[group]):
            times = exposures(sizes, number, len(people[group]))
            for relation in RELATIONS:
                sentences = begun(entity.name, relation, sizes.wordings)
                value = entity.versions[0][relation]
                yield Told(sentences[place % len(sentences)], value, times)
                place += 1
