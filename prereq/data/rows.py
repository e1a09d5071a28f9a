"""The two kinds of rows: plain text for knowledge, question and answer for a skill."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SkillRow:
    """One question with its answer.

    A *subject* is one fictitious entity (or question) with a row in each of its versions, or one
    real row; `subject` numbers it. `known` says whether the base model holds the fact, where the
    data set knows that.
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

    @property
    def prompt(self) -> str:
        return f"Question: {self.user}\nAnswer:"

    @property
    def text(self) -> str:
        return f"{self.prompt} {self.assistant}"
