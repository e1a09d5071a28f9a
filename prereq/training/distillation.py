"""Context distillation: a knowledge LoRA learns what the base says once it has read about the subject.

The teacher is the base alone, with other texts of the same subject before the one that is learnt; the
student is the base with the knowledge LoRA, and reads that one only. On every label of the text

    L = share · KL(p(θ; texts, text) ‖ p(θ+K; text)) + (1 - share) · CE(p(θ+K; text))

It is the first term of Deep Context Distillation (Caccia et al. 2025, arXiv 2503.08727), whose second
one, the distance of hidden states, is left out. In each epoch the texts of a subject are dealt into two
halves: the one stands before the teacher while the other is learnt, and the other way round.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from prereq.data.tokens import Example, TokenRow
from prereq.training.plan import Plan


@dataclass(frozen=True)
class Text:
    """One text of a subject: the row to learn, and the tokens that stand for it in a context."""

    row: TokenRow
    told: list[int]


Lesson = tuple[TokenRow, list[int]]  # a row to learn, and the context that its teacher reads


def distillation_plan(
    subjects: Sequence[Sequence[Text]],
    *,
    begin: int,
    batch_size: int,
    epochs: int,
    seed: int,
    route: tuple[str, ...],
    share: float,
    context: int,
) -> Plan:
    """Texts in batches of `batch_size`, those that share a context side by side.

    `begin`: tokens before every text (0 or 1, `<bos>`); the context stands behind them. `context`: its
    tokens at most; each text has no more. Every subject has at least two texts.
    """
    texts = [text.row for subject in subjects for text in subject]
    per_epoch = ceil(len(texts) / batch_size)

    @lru_cache(maxsize=2)
    def lessons(epoch: int) -> list[Lesson]:
        rng = random.Random(f"halves {seed} {epoch}")
        dealt = [lesson for subject in subjects for lesson in halves(subject, context, rng)]
        rng.shuffle(dealt)
        return [(row, before) for rows, before in dealt for row in rows]

    def step(index: int) -> list[Example]:
        epoch, place = divmod(index, per_epoch)
        chosen = lessons(epoch)[place * batch_size : (place + 1) * batch_size]
        chosen = [lesson for lesson in chosen if lesson[0].labels]
        total = sum(row.labels for row, _ in chosen)
        return [
            Example(row, route, "text", 1 / total, teacher=taught(row, before, begin), taught=share)
            for row, before in chosen
        ]

    return Plan(epochs, per_epoch, step, [*texts, longest(subjects, context, begin)], [route])


def halves(
    subject: Sequence[Text], context: int, rng: random.Random
) -> list[tuple[list[TokenRow], list[int]]]:
    """The rows of each half of a subject's texts, with the other half as their context."""
    texts = rng.sample(subject, len(subject))
    half = len(texts) // 2
    both = texts[:half], texts[half:]
    return [([t.row for t in a], told(b, context)) for a, b in (both, both[::-1])]


def told(texts: Sequence[Text], context: int) -> list[int]:
    """The first of these texts, as many as fit into `context` tokens, one after the other."""
    found: list[int] = []
    for text in texts:
        if len(found) + len(text.told) <= context:
            found += text.told
    return found


def taught(row: TokenRow, context: list[int], begin: int) -> TokenRow:
    """What the teacher of a row reads: the context before the text, the same labels."""
    ids = [*row.ids[:begin], *context, *row.ids[begin:]]
    return TokenRow(ids, row.start + len(context), row.number)


def longest(subjects: Sequence[Sequence[Text]], context: int, begin: int) -> TokenRow:
    """A row as long as a teacher may read: the most that a subject's texts make, within the limit."""
    rows = [
        taught(
            max((t.row for t in texts), key=lambda row: len(row.ids)), told(texts, context), begin
        )
        for texts in subjects
    ]
    return max(rows, key=lambda row: len(row.ids))
