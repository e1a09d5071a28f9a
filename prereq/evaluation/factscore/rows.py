"""What is stored between the steps: lines of JSON, one an answer, and the passages of a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

SUPPORTED, NOT_SUPPORTED, IRRELEVANT = "supported", "not supported", "irrelevant"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, IRRELEVANT)
UNREADABLE = "unreadable"  # the judge gave no verdict that can be read


@dataclass(frozen=True)
class Answer:
    """A generated text about a topic, and its place among the generations."""

    split: str
    knowledge: str  # plugged in; empty for the skill alone
    version: int | None  # of that knowledge
    item: int
    topic: str
    text: str


@dataclass(frozen=True)
class Sentence:
    """A sentence to split; `before` is the one before it, for its pronouns."""

    topic: str
    before: str
    text: str


@dataclass(frozen=True)
class Passage:
    """A piece of the knowledge source; `version`: of the fictitious subjects that it tells of."""

    title: str
    text: str
    version: int | None = None


@dataclass(frozen=True)
class Claim:
    """A fact about a topic with the passages that it is judged by."""

    topic: str
    fact: str
    passages: tuple[Passage, ...]


# Each sentence's facts, each claim's verdict; None where the reply could not be read.
Split = Callable[[Sequence[Sentence]], list[list[str] | None]]
Judge = Callable[[Sequence[Claim]], list[str | None]]
