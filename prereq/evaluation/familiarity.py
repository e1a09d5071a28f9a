"""What a base model knows: few-shot answers, greedy and sampled, scored and put in four categories.

After Gekhman et al. 2024 ("Does Fine-Tuning LLMs on New Knowledge Encourage Hallucinations?"), section 3:
a question is asked after several sets of exemplars. *Highly known*: every greedy answer is right;
*maybe known*: some are; *weakly known*: none is, but some sampled one; *unknown*: none at all.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prereq.data.prompts import CHAT, asked
from prereq.data.rows import SkillRow
from prereq.data.tokens import begun, prompt_ids
from prereq.errors import PrereqError

CATEGORIES = ("highly known", "maybe known", "weakly known", "unknown")
BETWEEN = "\n"  # exemplars; an answer ends with the line


@dataclass(frozen=True)
class Familiarity:
    """Shares of right answers to one question, in [0, 1]."""

    greedy: float
    sampled: float

    @property
    def category(self) -> str:
        if self.greedy == 1:
            return CATEGORIES[0]
        if self.greedy > 0:
            return CATEGORIES[1]
        return CATEGORIES[2] if self.sampled > 0 else CATEGORIES[3]

    @property
    def known(self) -> bool:
        """Whether any answer was right: the study sets the three categories against *unknown*."""
        return self.category != CATEGORIES[3]


def exemplars(rows: Sequence[SkillRow], sets: int, count: int, seed: int) -> list[list[SkillRow]]:
    """Sets of rows to stand before a question: `count` of them and as many spare ones, in random order.

    Raises PrereqError where there are too few rows.
    """
    if count and len(rows) <= count:
        raise PrereqError(
            f"probe.exemplars={count}: there are {len(rows)} real rows, and as many others have to stand "
            "before each; set a smaller number"
        )
    found = []
    for number in range(sets):
        rng = random.Random(f"exemplars {seed} {number}")
        found.append(rng.sample(list(rows), min(len(rows), 4 * count)) if count else [])
    return found


def before(row: SkillRow, drawn: Sequence[SkillRow], count: int) -> list[SkillRow]:
    """The first `count` of a set that tell nothing of the row: another subject, and no answer of its own.

    Raises PrereqError where so many are not left.
    """
    own = {answer.casefold().strip() for answer in row.answers or (row.assistant,)}

    def tells(other: SkillRow) -> bool:
        said = f"{other.user} {other.assistant} {' '.join(other.answers)}".casefold()
        same = other.asked == row.asked or (row.title and other.title == row.title)
        return same or any(answer and answer in said for answer in own)

    fits = [other for other in drawn if not tells(other)][:count]
    if len(fits) < count:
        raise PrereqError(
            f"{row.place}: {len(fits)} of {len(drawn)} rows drawn to stand before it do not tell its answer, "
            f"and probe.exemplars={count} asks for more; set a smaller number"
        )
    return fits


def few_shot_ids(tokenizer, row: SkillRow, shown: Sequence[SkillRow], prompt: str) -> list[int]:
    """Token ids of the question after its exemplars, asked as `prompt` does (`dataset.prompt`)."""
    if not shown:
        return prompt_ids(tokenizer, row, prompt)
    if prompt == CHAT:
        turns = [turn for e in shown for turn in (("user", e.user), ("assistant", e.assistant))]
        return prompt_ids(tokenizer, replace(row, turns=(*turns, *row.turns)), prompt)
    texts = ["".join(asked(tokenizer, e, prompt)).strip() for e in shown]
    return begun(tokenizer, BETWEEN.join([*texts, asked(tokenizer, row, prompt).before]))


def answer_of(text: str) -> str:
    """The answer in what the base wrote: its first line, for it goes on with another question."""
    return text.strip().partition("\n")[0].strip()
