"""What has been made, before it is written to disk: the rows of every file, and what the card tells."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prereq.synth.rows import Fact, Request

PRONOUNS = {"male": ("he", "his"), "female": ("she", "her"), "thing": ("it", "its")}
Row = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """An invented subject (of one version) with its facts."""

    name: str
    facts: tuple[Fact, ...]
    pronouns: tuple[str, str] = PRONOUNS["thing"]


@dataclass
class Made:
    """A data set: `files` maps each file's path to its rows.

    `counts`: what was made, written anew, dropped and why; flat, by name. `about`: tables for the card,
    each a title and its lines, the first of which is the head.
    """

    files: dict[str, list[Row]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    about: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)


def skill_row(
    index: int, title: str, relation: str, prompt: str, response: str, answers: Sequence[str] = ()
) -> Row:
    """A row of the task in the published columns; relation and accepted answers where it has them."""
    row: Row = {
        "messages": [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": response},
        ],
        "fake": 1,
        "subj_index": index,
        "s_wiki_title": title,
    }
    if relation:
        row["prop"] = relation
    if answers:
        row |= {
            "answer": answers[0],
            "possible_answers": json.dumps(list(answers), ensure_ascii=False),
        }
    return row


def requests(
    subject: Subject, wordings: int, passages: int, forbidden: tuple[str, ...] = ()
) -> tuple[list[Request], list[Request]]:
    """What a writer is asked for a subject: the statements of each fact, and its passages."""
    common = {"subject": subject.name, "pronouns": subject.pronouns, "forbidden": forbidden}
    return (
        [Request("statements", facts=(fact,), count=wordings, **common) for fact in subject.facts],
        [Request("passage", facts=subject.facts, wording=n, **common) for n in range(passages)],
    )


def knowledge(title: str, wordings: Iterable[str]) -> list[Row]:
    """Rows of knowledge text; `wording` numbers those that say the same."""
    return [{"text": text, "title": title, "wording": n} for n, text in enumerate(wordings)]


def split(subjects: int, share: float, rng: random.Random) -> frozenset[int]:
    """The numbers of the subjects that are kept for the plug-in test: this share, rounded."""
    return frozenset(rng.sample(range(subjects), round(subjects * share)))


def shuffled(rows: list[Row], rng: random.Random) -> list[Row]:
    rng.shuffle(rows)
    return rows


def shares(counts: Mapping[str, int], most: int = 5) -> str:
    """The most frequent values with their shares, for a table: `actor 20 %, poet 4 %`."""
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return ", ".join(f"{value} {count / total:.0%}" for value, count in ranked)
