"""What a base model knows, by its own answers to few-shot prompts (Gekhman et al. 2024).

A fact is asked in several prompts, each with worked examples of its own. The share of right answers,
of the likeliest and of sampled ones, says how well it is known.
"""

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from statistics import fmean
from typing import Any

from transformers import PreTrainedTokenizerBase

from prereq.config.schema.probe import CATEGORIES
from prereq.data.prompts import CHAT, asked
from prereq.data.rows import SkillRow
from prereq.data.tokens import begun, prompt_ids
from prereq.errors import PrereqError
from prereq.evaluation.metrics import Scorer
from prereq.evaluation.scoring import prediction
from prereq.evaluation.statistics import auroc

Answers = Mapping[str, Sequence[str]]  # greedy (one a prompt) and sampled → texts
HOW = ("greedy", "sampled")
POPULARITY = "s_pop"  # a column of page views
LINE, BETWEEN = "\n", "\n\n"  # what ends an answer, and what stands between two examples
SHORT = 3  # characters from which an answer counts as told by a longer word, too


def category(greedy: float, sampled: float) -> str:
    """Gekhman et al. 2024, table 2: by the shares, in [0, 1], of likeliest and of sampled answers that
    are right."""
    if greedy == 1:
        return "highly known"
    if greedy > 0:
        return "maybe known"
    return "weakly known" if sampled > 0 else "unknown"


def exemplars(
    row: SkillRow, pool: Sequence[SkillRow], count: int, rng: random.Random
) -> list[SkillRow]:
    """`count` rows of the pool at random: of another subject, and none that tells the row's answer.

    Raises PrereqError where there are not so many.
    """
    found, waiting = [], list(range(len(pool)))
    while len(found) < count and waiting:
        place = rng.randrange(len(waiting))
        waiting[place], waiting[-1] = waiting[-1], waiting[place]
        one = pool[waiting.pop()]
        if not _same_subject(one, row) and not tells(one, row):
            found.append(one)
    if len(found) < count:
        raise PrereqError(
            f"{row.place or 'a row'}: of {len(pool)} training rows {len(found)} are of another subject and "
            f"do not tell its answer, and probe.exemplars={count} needs as many; set a smaller number"
        )
    return found


def tells(one: SkillRow, row: SkillRow) -> bool:
    """Whether a row's text holds what another one's answer would be right by."""
    said = prediction(f"{one.user}\n{one.assistant}")
    return any(_stands_in(prediction(answer), said) for answer in right_answers(row))


def right_answers(row: SkillRow) -> list[str]:
    return [*row.answers, *row.facts.values()] or [row.assistant]


def few_shot_ids(
    tokenizer: PreTrainedTokenizerBase, row: SkillRow, examples: Sequence[SkillRow], prompt: str
) -> list[int]:
    """Token ids of the examples and of the question after them, each asked as `prompt` says.

    The examples are turns of a chat, or texts a blank line apart. Raises PrereqError for an answer of
    several lines, of which a text would show no end.
    """
    if prompt == CHAT:
        turns = [
            turn
            for one in examples
            for turn in (*one.turns, ("user", one.user), ("assistant", one.assistant))
        ]
        return prompt_ids(tokenizer, replace(row, turns=(*turns, *row.turns)), prompt)
    for one in examples:
        if LINE in one.assistant.strip():
            raise PrereqError(
                f"{one.place or 'a row'}: its answer has several lines, and in a few-shot prompt an answer "
                "ends with its line; set dataset.prompt=chat, or probe.exemplars=0"
            )
    told = ["".join(asked(tokenizer, one, prompt)).strip() for one in examples]
    return begun(tokenizer, BETWEEN.join([*told, asked(tokenizer, row, prompt).before]))


def ends(tokenizer: PreTrainedTokenizerBase, mark: str) -> list[int]:
    """Ids of the tokens with which an answer ends: that hold `mark`, and before it nothing to read."""
    texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
    return [
        i
        for i, text in enumerate(texts)
        if mark in text and not any(c.isalnum() for c in text.partition(mark)[0])
    ]


def told(
    row: SkillRow, number: int, facts: Sequence[tuple[SkillRow, Answers]], right: Scorer
) -> dict[str, Any]:
    """A row's line of `probe.jsonl`: shares in [0, 1], means over its facts, and what they say.

    `number`: its place in the split, from 0. The answers stand there where the row was asked whole.
    """
    line = {"row": number, "place": row.place, "title": row.title, "question": row.user}
    for how in HOW:
        shares = [fmean(right(text, [fact]) for text in said[how]) for fact, said in facts]
        line[how] = round(fmean(shares), 6)
    line["category"] = category(line["greedy"], line["sampled"])
    if row.known is not None:
        line["known"] = bool(row.known)
    if row.extra.get(POPULARITY) is not None:
        line["popularity"] = row.extra[POPULARITY]
    if len(facts) == 1:
        line["answers"] = {how: dict(Counter(facts[0][1][how]).most_common()) for how in HOW}
    return line


def summed(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean shares, rows of each category, and, where the data tells known rows from unknown ones, the
    AUROC of the share of sampled answers that are right; None where there is nothing to tell."""
    summary: dict[str, Any] = {"rows": len(lines)}
    for how in HOW:
        summary[how] = fmean(line[how] for line in lines) if lines else None
    counts = Counter(line["category"] for line in lines)
    summary |= {name.replace(" ", "_"): counts[name] for name in CATEGORIES}
    known = [line["sampled"] for line in lines if line.get("known") is True]
    unknown = [line["sampled"] for line in lines if line.get("known") is False]
    summary["auroc"] = auroc(known, unknown) if known and unknown else None
    return summary


def in_words(summary: Mapping[str, Any]) -> str:
    """The summary in a line."""
    if not summary["rows"]:
        return "no real rows"
    counts = ", ".join(f"{summary[name.replace(' ', '_')]:,} {name}" for name in CATEGORIES)
    text = f"{summary['rows']:,} rows: {counts}; {100 * summary['sampled']:.1f} % of sampled answers right"
    if summary["auroc"] is None:
        return text
    return f"{text}; AUROC against what the data says is known {100 * summary['auroc']:.1f}"


def _same_subject(one: SkillRow, row: SkillRow) -> bool:
    same_title = one.title and one.title == row.title
    return bool(one.subject == row.subject or same_title or one.asked == row.asked)


def _stands_in(answer: str, text: str) -> bool:
    if len(answer) >= SHORT:
        return answer in text
    return bool(answer) and _word(answer).search(text) is not None


@lru_cache(maxsize=1024)
def _word(answer: str) -> re.Pattern:
    return re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)")
