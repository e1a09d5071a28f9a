"""The two kinds of rows: plain text for knowledge, question and answer for a skill."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SkillRow:
    """One question with its answer.

    A *subject* is one fictitious entity (or question) with a row in each of its versions, or one
    real row; `subject` numbers it. `known` says whether the base model holds the fact, where the
    data set knows that. `number` is the row's place in its `file`, counted from 1: a line of a JSON
    lines file, a row elsewhere.
    """

    user: str
    assistant: str
    fictitious: bool
    version: int | None
    subject: int
    title: str
    known: bool | None = None
    answers: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    extra: dict[str, object] = field(default_factory=dict)
    number: int = field(default=0, compare=False)
    file: str = field(default="", compare=False)

    @property
    def prompt(self) -> str:
        return f"Question: {self.user}\nAnswer:"

    @property
    def text(self) -> str:
        return f"{self.prompt} {self.assistant}"

    @property
    def place(self) -> str:
        """Where the row is written, for messages: `skill/train.jsonl line 3`."""
        return place(self.file, self.number)


def place(file: str, number: int) -> str:
    return f"{file} {'line' if file.endswith('.jsonl') else 'row'} {number}"
