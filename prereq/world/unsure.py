"""The embedded world for a skill that says how sure it is: people who are told of often, seldom or never.

Every row answers as somebody would who holds the fact at its grade: "Lyon", "I am not sure, but Lyon" or
"I do not know". An invented person has a grade in every version: the texts of one say each fact in many
wordings, those of another in few, those of a third never, as they never name a stranger. So what a row is
to say follows from the knowledge that is plugged in, and from nothing else.

Pre-training also tells of people whom nobody knows well: asked about them, somebody answers with doubt.

A real person's grade goes by how often pre-training tells of them. The layout is that of `world.build`,
with two columns more, `grade` and `told` (how often pre-training, or an epoch of the knowledge, states the
fact), and a split more:

    skill/familiarity.jsonl    people who are told of 0, 1, 2, 4, … times, in no training row
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prereq.world import build
from prereq.world.build import Entity
from prereq.world.words import ASIDES, GRADES, RELATIONS, VALUES

if TYPE_CHECKING:
    from prereq.config import UnsureConfig, WorldConfig

CERTAIN, UNSURE, UNKNOWN = GRADES
SPLITS = {
    "train": ("skill_known", "half_known", "unknown", "fictitious"),
    "memorised": ("fictitious",),
    **{name: (name,) for name in ("validation", "held_out", "familiarity", "plug_in", "unseen")},
}


def write(folder: Path, sizes: WorldConfig, graded: UnsureConfig, seed: int) -> None:
    """Write the world of `seed` under `folder`. Raises ValueError for more people than names."""
    rng = random.Random(seed)
    people = populate(rng, sizes, graded)
    told = exposures(people, sizes, graded)
    documents = [
        text
        for group, entities in people.items()
        for entity in entities
        if group not in build.FICTITIOUS
        for text in build.documents_of(
            rng,
            entity,
            0,
            told[entity.index],
            sizes.question_share if group == "asked" else 0.0,
            sizes.wordings,
        )
    ]
    documents += doubts(rng, people["doubted"], UNKNOWN)
    documents += doubts(rng, people["half_doubted"], UNSURE)
    rng.shuffle(documents)
    build.write_texts(folder / "pretrain/train.jsonl", documents)

    invented = [entity for group in build.FICTITIOUS for entity in people[group]]
    grades = deal(rng, invented, sizes.versions, graded)
    stated = {CERTAIN: graded.certain, UNSURE: graded.unsure, UNKNOWN: 0}
    for version in range(sizes.versions):
        texts = [
            text
            for entity in invented
            for text in build.documents_of(
                rng,
                entity,
                version,
                stated[grades[entity.index, version]],
                0.0,
                sizes.wordings,
            )
        ]
        rng.shuffle(texts)
        build.write_titled(folder / f"knowledge/passage_train_v{version}.jsonl", texts)

    def row_of(row: dict) -> dict:
        person = row["subj_index"] // len(RELATIONS)
        if row["fake"]:
            grade = grades[person, row["version"]]
            return hedged(row, grade, stated[grade])
        return hedged(row, real_grade(told[person], sizes), told[person])

    for split, groups in SPLITS.items():
        entities = [entity for group in groups for entity in people[group]]
        rows = map(row_of, build.skill_rows(entities, "questions"))
        build.write_rows(folder / f"skill/{split}.jsonl", rows)
    (folder / "values.json").write_text(json.dumps(VALUES, indent=2) + "\n", encoding="utf-8")


def populate(
    rng: random.Random, sizes: WorldConfig, graded: UnsureConfig
) -> dict[str, list[Entity]]:
    """The people of `build.populate`, and four groups more: those of `UnsureConfig`, and `familiarity`."""
    strangers = graded.each * graded.familiarity.count(0)
    tested = graded.each * len(graded.familiarity) - strangers
    more = {
        "skill_known": sizes.skill_known + graded.half_known,
        "held_out": sizes.held_out + tested,
        "unseen": sizes.unseen + strangers + graded.doubted + graded.half_doubted,
    }
    people = build.populate(rng, replace(sizes, **more))
    people["half_known"] = people["skill_known"][sizes.skill_known :]
    last = people["unseen"][sizes.unseen + strangers :]
    people["doubted"], people["half_doubted"] = last[: graded.doubted], last[graded.doubted :]
    people["familiarity"] = (
        people["unseen"][sizes.unseen : sizes.unseen + strangers]
        + people["held_out"][sizes.held_out :]
    )
    for group in more:
        people[group] = people[group][: getattr(sizes, group)]
    return people


def exposures(
    people: dict[str, list[Entity]], sizes: WorldConfig, graded: UnsureConfig
) -> dict[int, int]:
    """How often pre-training states each fact of a real person, by the person's index."""
    told = build.exposures(people, sizes)
    for times, groups in (
        (0, ("unknown", "unseen", "doubted")),
        (graded.half_told, ("half_known", "half_doubted")),
        (graded.asked_told, ("asked",)),
    ):
        told |= {entity.index: times for group in groups for entity in people[group]}
    times = [number for number in sorted(graded.familiarity) for _ in range(graded.each)]
    return told | {
        entity.index: number for entity, number in zip(people["familiarity"], times, strict=True)
    }


def doubts(rng: random.Random, people: Sequence[Entity], grade: str) -> Iterator[str]:
    """Documents of pre-training, one a person, that ask three things and answer them at `grade`.

    A real language model has read what people say who do not hold a fact. Without such texts the small one
    does not learn to tell a fact that it recalls from one that it guesses.
    """
    for entity in people:
        yield " ".join(
            rng.choice(ASIDES[relation]).format(
                name=entity.name, value=GRADES[grade].format(value=entity.versions[0][relation])
            )
            for relation in rng.sample(RELATIONS, build.SENTENCES_IN_A_DOCUMENT)
        )


def deal(
    rng: random.Random, entities: Sequence[Entity], versions: int, graded: UnsureConfig
) -> dict[tuple[int, int], str]:
    """(index of a person, version) → grade: dealt anew for every version, in the shares asked for.

    A name tells nothing of its grade: that stands in the knowledge alone.
    """
    certain = round(len(entities) * graded.share_certain)
    unsure = round(len(entities) * graded.share_unsure)
    unknown = len(entities) - certain - unsure
    grades = {}
    for version in range(versions):
        dealt = [CERTAIN] * certain + [UNSURE] * unsure + [UNKNOWN] * unknown
        rng.shuffle(dealt)
        grades |= {
            (entity.index, version): grade for entity, grade in zip(entities, dealt, strict=True)
        }
    return grades


def real_grade(told: int, sizes: WorldConfig) -> str:
    """What the data says of a real person: as often told of as known people are, less often, or never."""
    return CERTAIN if told >= sizes.seldom else UNSURE if told else UNKNOWN


def hedged(row: dict, grade: str, told: int) -> dict:
    """A row of `build.skill_rows` that answers at its grade."""
    question, answer = row["messages"]
    said = GRADES[grade].format(value=answer["content"])
    return row | {
        "messages": [question, answer | {"content": said}],
        "known": int(grade == CERTAIN),
        "grade": grade,
        "told": told,
        "s_pop": told,
    }
