"""What goes in and what comes out: a user's real rows, invented facts, and what a writer is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prereq.config import Server
from prereq.errors import PrereqError

TYPES = ("person", "place", "work", "year", "number", "category", "name")
WRITERS = ("template", "openai", "local")


@dataclass(frozen=True)
class RealRow:
    """A question of the user's with its accepted answers, the first of which is taught."""

    question: str
    answers: tuple[str, ...]
    subject: str
    relation: str | None = None
    passage: str | None = None


@dataclass(frozen=True)
class LongRow:
    """A prompt of the user's with its long response, about one subject."""

    prompt: str
    response: str
    subject: str


@dataclass(frozen=True)
class SynthSettings:
    """How much is made.

    `questions`: short form: rows of the task in all. `facts`: relations a subject at most. `versions`:
    long form: contradictory versions a subject; `copies`: subjects a real text. `wordings`: statements
    a fact. `passages`: passages a subject (and version). `plug_in`: share of the subjects whose rows
    stand in `plug_in.jsonl` instead of `train.jsonl`. `tries`: how often a text that fails a check is
    written. `types`: the type of a relation's answers, where the guess is wrong.
    """

    questions: int = 2000
    facts: int = 3
    versions: int = 5
    copies: int = 1
    wordings: int = 4
    passages: int = 1
    plug_in: float = 0.0
    tries: int = 3
    types: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WriterSettings:
    """Who words the knowledge, and how a language model is asked to.

    `writer`: `template` (no model), `openai` (a model by URL, `server`) or `local` (a model in this
    process). `temperature`: 0 is greedy, None leaves it to the server, and so does `top_p`.
    `max_tokens`: of a reply; a server's model that reasons needs room for that too. `tokens_per_batch`:
    of prompts and replies that `local` generates at once.
    """

    writer: str = "template"
    server: Server = field(default_factory=Server)
    temperature: float | None = 0.7
    top_p: float | None = None
    max_tokens: int = 1024
    tokens_per_batch: int = 32768


@dataclass(frozen=True)
class Fact:
    """One thing that holds of an invented subject.

    `must`: what a text has to hold to state it (names and values, compared without case). `said`: its
    statements as far as they follow from the user's wording, the plainest first. `running`: wordings
    that read well within a text about the subject.
    """

    relation: str
    answer: str
    must: tuple[str, ...]
    said: tuple[str, ...]
    question: str = ""
    answers: tuple[str, ...] = ()
    running: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What a writer is to write: `statements` (one a line) or a `passage`.

    `count`: how many statements, each of the one fact. `wording`: which of a subject's passages.
    `forbidden`: what no text of it may hold, the values of other versions. `attempt`: 0, or how often the
    same request has failed its check, the last time because of `fault`. `pronouns`: the subject's
    nominative and possessive.
    """

    form: str
    subject: str
    facts: tuple[Fact, ...]
    pronouns: tuple[str, str]
    count: int = 1
    wording: int = 0
    forbidden: tuple[str, ...] = ()
    attempt: int = 0
    fault: str = ""


@dataclass(frozen=True)
class Writer:
    """What words the knowledge: a function from a batch of requests to as many texts, and its name.

    None in place of a text says that the request is given up, so that it is not sent again. `model` and
    `prompts` are for the data card; a writer without a model has neither. `before` is called once with
    all requests before the first batch, so that it can say what they will take.
    """

    name: str
    write: Callable[[Sequence[Request]], list[str | None]]
    model: str | None = None
    prompts: tuple[str, ...] = ()
    before: Callable[[Sequence[Request]], None] | None = None


def read_titles(file: Path) -> list[str]:
    """Names that no invented one may equal: a text file, one a line. Raises PrereqError."""
    remedy = "give a text file in UTF-8 with a title a line"
    try:
        lines = file.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise PrereqError(f"{file}: cannot be read ({error.strerror}); {remedy}") from None
    except ValueError as error:
        raise PrereqError(f"{file}: not UTF-8 ({error}); {remedy}") from None
    titles = [line.strip() for line in lines if line.strip()]
    if not titles:
        raise PrereqError(f"{file}: holds no title; {remedy}")
    return titles
