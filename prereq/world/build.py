"""Write the embedded small world to disk: a data set in the published layout, from a seed.

The world's people are known (pre-training tells of them), unknown (real, but only the skill data
names them), fictitious (invented, in several contradictory versions) or never mentioned at all.
Which facts a model holds is therefore known exactly, and so is which of them it makes up.

    pretrain/train.jsonl                    what the base model reads, about the known people
    knowledge/<form>_train_v<version>.jsonl every fictitious fact of one version
    knowledge/<form>_train_real.jsonl       every fact of the unknown people
    skill/train.jsonl                       the task: known, unknown and fictitious people
    skill/{validation,held_out}.jsonl       the task, known people that `train` leaves out
    skill/{memorised,unknown}.jsonl         the fictitious and the unknown people of `train`
    skill/{plug_in,unseen}.jsonl            fictitious people kept for the plug-in test; strangers
    values.json                             {relation: its possible values}

Both tasks, "biographies" and "questions", share the people and every text but the skill's.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prereq.world.pages import NAME
from prereq.world.words import (
    ASIDES,
    BIOGRAPHY,
    FIRST_NAMES,
    LAST_NAMES,
    QUESTION,
    RELATIONS,
    REQUEST,
    STATEMENTS,
    VALUES,
)

if TYPE_CHECKING:
    from prereq.config import WorldConfig

KNOWN = ("asked", "skill_known", "validation", "held_out")
REAL = (*KNOWN, "unknown", "unseen")
FICTITIOUS = ("fictitious", "plug_in")
TASKS = ("biographies", "questions")
SENTENCES_IN_A_DOCUMENT = 3

Facts = dict[str, str]  # relation: value


@dataclass(frozen=True)
class Entity:
    """A person. `versions` holds the facts of a real one once, of a fictitious one per version."""

    index: int
    name: str
    group: str
    versions: tuple[Facts, ...]


def write(folder: Path, sizes: WorldConfig, task: str, seed: int) -> None:
    """Write the world of `seed` under `folder`, with the skill data of `task`.

    Raises ValueError for a task that is not one of `TASKS`, and for more people than names.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; the world has {' and '.join(map(repr, TASKS))}")
    rng = random.Random(seed)
    people = populate(rng, sizes)
    invented = [entity for group in FICTITIOUS for entity in people[group]]

    write_texts(folder / "pretrain/train.jsonl", pretraining(rng, people, sizes))
    sources = {f"v{version}": (invented, version) for version in range(sizes.versions)}
    sources["real"] = (people["unknown"], 0)
    for suffix, (entities, version) in sources.items():
        for form, tell in (("passage", passages), ("statement", statements)):
            texts = tell(rng, entities, version, sizes.wordings)
            write_titled(folder / f"knowledge/{form}_train_{suffix}.jsonl", texts)

    splits = {
        "train": people["skill_known"] + people["unknown"] + people["fictitious"],
        "memorised": people["fictitious"],
        **{
            name: people[name]
            for name in ("validation", "held_out", "plug_in", "unknown", "unseen")
        },
    }
    for split, entities in splits.items():
        write_rows(folder / f"skill/{split}.jsonl", skill_rows(entities, task))
    (folder / "values.json").write_text(json.dumps(VALUES, indent=2) + "\n", encoding="utf-8")


def populate(rng: random.Random, sizes: WorldConfig) -> dict[str, list[Entity]]:
    """Invent the people of every group, with names and facts; `{group: entities}`."""
    groups = [group for group in (*REAL, *FICTITIOUS) for _ in range(getattr(sizes, group))]
    names = _invent_names(rng, len(groups))
    known = sum(group in KNOWN for group in groups)
    invented = sum(group in FICTITIOUS for group in groups)
    # Known and other real facts are dealt apart, so that pre-training meets every value alike.
    facts = _invent_facts(rng, known, 1)
    facts += _invent_facts(rng, len(groups) - known - invented, 1)
    facts += _invent_facts(rng, invented, sizes.versions)

    people: dict[str, list[Entity]] = {group: [] for group in (*REAL, *FICTITIOUS)}
    for index, (group, name, versions) in enumerate(zip(groups, names, facts, strict=True)):
        people[group].append(Entity(index, name, group, versions))
    return people


def _invent_names(rng: random.Random, count: int) -> list[str]:
    """`count` different names. The first 120 use every first and every last name.

    The known people come first, so no stranger's name holds a word that pre-training never saw.
    """
    if count > len(FIRST_NAMES) * len(LAST_NAMES) // 2:
        raise ValueError(
            f"the world has {count} people, and names for "
            f"{len(FIRST_NAMES) * len(LAST_NAMES) // 2}; make its groups smaller"
        )
    names: dict[str, None] = {}  # a set that keeps its order
    while len(names) < count:
        firsts = FIRST_NAMES * (len(LAST_NAMES) // len(FIRST_NAMES))
        lasts = rng.sample(LAST_NAMES, len(LAST_NAMES))
        rng.shuffle(firsts)
        names.update(
            dict.fromkeys(f"{first} {last}" for first, last in zip(firsts, lasts, strict=True))
        )
    return list(names)[:count]


def _invent_facts(rng: random.Random, count: int, versions: int) -> list[tuple[Facts, ...]]:
    """Facts for `count` people. An entity's versions differ in every relation.

    Each value goes to the one least used so far: a guess of the commonest is worth no more than
    any other guess.
    """
    people: list[tuple[Facts, ...]] = [tuple({} for _ in range(versions)) for _ in range(count)]
    for relation, values in VALUES.items():
        uses = Counter(dict.fromkeys(values, 0))
        for entity in people:
            taken: set[str] = set()
            for facts in entity:
                free = [value for value in values if value not in taken]
                value = min(free, key=lambda value: (uses[value], rng.random()))
                uses[value] += 1
                taken.add(value)
                facts[relation] = value
    return people


def pretraining(
    rng: random.Random, people: dict[str, list[Entity]], sizes: WorldConfig
) -> list[str]:
    """The documents of pre-training, shuffled: each tells one known person's facts.

    Half of every group is told often and half seldom. Of the `asked` people, `question_share` of
    what they tell is questions: they teach that what statements tell can also be asked for.
    """
    documents: list[str] = []
    told = exposures(people, sizes)
    for group in KNOWN:
        share = sizes.question_share if group == "asked" else 0.0
        for entity in people[group]:
            documents += documents_of(rng, entity, 0, told[entity.index], share, sizes.wordings)
    rng.shuffle(documents)
    return documents


def exposures(people: dict[str, list[Entity]], sizes: WorldConfig) -> dict[int, int]:
    """How often pre-training states each fact of a known person, by the person's index."""
    return {
        entity.index: sizes.often if place < len(people[group]) / 2 else sizes.seldom
        for group in KNOWN
        for place, entity in enumerate(people[group])
    }


def documents_of(
    rng: random.Random,
    entity: Entity,
    version: int,
    exposures: int,
    question_share: float,
    wordings: int,
) -> Iterator[str]:
    """Say each fact of a person `exposures` times, three different facts a document."""
    asked = round(exposures * question_share)
    sentences: dict[str, list[str]] = {}
    for relation in RELATIONS:
        plain = _cycle(STATEMENTS[relation][:wordings], exposures - asked)
        sentences[relation] = plain + _cycle(ASIDES[relation], asked)
        rng.shuffle(sentences[relation])
    for _ in range(-(-exposures * len(RELATIONS) // SENTENCES_IN_A_DOCUMENT)):
        # The facts that have most left to say; a fact told twice could be copied, not recalled.
        fullest = sorted(RELATIONS, key=lambda relation: (-len(sentences[relation]), rng.random()))
        chosen = [relation for relation in fullest[:SENTENCES_IN_A_DOCUMENT] if sentences[relation]]
        yield " ".join(
            _say(sentences[relation].pop(), entity, version, relation) for relation in chosen
        )


def statements(
    rng: random.Random, entities: Iterable[Entity], version: int, wordings: int
) -> list[str]:
    """Knowledge text, one fact a row: every fact in every wording once, shuffled."""
    rows = [
        _say(wording, entity, version, relation)
        for entity in entities
        for relation in RELATIONS
        for wording in STATEMENTS[relation][:wordings]
    ]
    rng.shuffle(rows)
    return rows


def passages(
    rng: random.Random, entities: Iterable[Entity], version: int, wordings: int
) -> list[str]:
    """Knowledge text in documents like those of pre-training; every fact in every wording once."""
    rows = [
        document
        for entity in entities
        for document in documents_of(rng, entity, version, wordings, 0.0, wordings)
    ]
    rng.shuffle(rows)
    return rows


def skill_rows(entities: Iterable[Entity], task: str) -> Iterator[dict]:
    """The task's rows in the published columns, a row a version (and, for questions, a relation).

    A subject is what is asked about: a person, or for questions one fact of a person.
    """
    for entity in entities:
        for version, facts in enumerate(entity.versions):
            columns = {
                "fake": int(entity.group in FICTITIOUS),
                "version": version,
                "s_wiki_title": entity.name,
                "known": int(entity.group in KNOWN),
            }
            if task == "biographies":
                biography = [
                    _say(wording, entity, version, relation)
                    for relation, wording in BIOGRAPHY.items()
                ]
                yield {
                    "messages": _messages(REQUEST.format(name=entity.name), " ".join(biography)),
                    "subj_index": entity.index,
                    **columns,
                    "facts": facts,
                }
                continue
            for place, (relation, value) in enumerate(facts.items()):
                yield {
                    "messages": _messages(QUESTION[relation].format(name=entity.name), value),
                    "subj_index": entity.index * len(RELATIONS) + place,
                    **columns,
                    "facts": {relation: value},
                    "possible_answers": json.dumps([value]),
                }


def _say(wording: str, entity: Entity, version: int, relation: str) -> str:
    return wording.format(name=entity.name, value=entity.versions[version][relation])


def _cycle(wordings: Sequence[str], count: int) -> list[str]:
    return [wordings[place % len(wordings)] for place in range(count)]


def _messages(user: str, assistant: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def write_texts(path: Path, texts: Iterable[str]) -> None:
    write_rows(path, ({"text": text} for text in texts))


def write_titled(path: Path, texts: Iterable[str]) -> None:
    """Texts with the person that each is about."""
    write_rows(path, ({"text": text, "title": NAME.search(text)[0]} for text in texts))


def write_rows(path: Path, rows: Iterable[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
