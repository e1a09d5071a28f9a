"""The kinds of rows: question and answer for a skill, and those of a user's own file."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SkillRow:
    """One question with its answer; `turns` are what was said before, as (role, content).

    A *subject* is one fictitious entity (or question) with a row in each of its versions, or one
    real row; `subject` numbers it. `known` says whether the base model holds the fact, where the
    data set knows that, or how probable it is, where the model was asked. `targets` are what is
    learnt, each with its share of the row, where that is not `assistant` alone. `number` is the row's
    place in its `file`, counted from 1: a line of a JSON lines file, a row elsewhere.
    """

    user: str
    assistant: str
    fictitious: bool
    version: int | None
    subject: int
    title: str
    known: float | None = None
    answers: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    extra: dict[str, object] = field(default_factory=dict)
    turns: tuple[tuple[str, str], ...] = ()
    targets: tuple[tuple[str, float], ...] = ()
    number: int = field(default=0, compare=False)
    file: str = field(default="", compare=False)

    @property
    def asked(self) -> tuple:
        """What is asked, all that was said before included."""
        return self.turns, self.user

    @property
    def place(self) -> str:
        """Where the row is written, for messages: `skill/train.jsonl line 3`."""
        return place(self.file, self.number)


@dataclass(frozen=True, slots=True)
class UserRow:
    """A question with its accepted answers; in long form a prompt with its one response.

    `turns` are what was said before, as (role, content). `number` is its place in `file`.
    """

    question: str
    answers: tuple[str, ...]
    subject: str
    relation: str | None = None
    passage: str | None = None
    popularity: float | None = None
    long: bool = False
    turns: tuple[tuple[str, str], ...] = ()
    number: int = field(default=0, compare=False)
    file: str = field(default="", compare=False)

    @property
    def place(self) -> str:
        return place(self.file, self.number)


def place(file: str, number: int) -> str:
    return f"{file} {'line' if file.endswith(('.jsonl', '.csv')) else 'row'} {number}"
