"""The objectives as pure functions: which adapters are active on a row, and what a label weighs.

METHOD: `L = CE(base+K_f+S on F, base+K_r+S on R; one mean) + real_weight · CE(base+S on R)`. A draw
group of subjects draws one fictitious knowledge LoRA K_f and one real one K_r; F is the fictitious
subjects' rows of K_f's version (every row where K_f has none), R the real rows. Both published
objectives are this one: `mix` has no versions, `multi_version` no real rows. The means are taken
here, as one weight a label, so that the loss of an optimizer step is a weighted sum of token
losses, and packing, accumulation and processes cannot change what it means.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from prereq.data.tokens import Example, TokenRow

SKILL = "skill"
ALONE = (SKILL,)


@dataclass(frozen=True)
class Knowledge:
    """A knowledge LoRA as the objective sees it: typed fields, never parts of its name."""

    name: str
    form: str  # passage | statement
    fictitious: bool
    version: int | None


@dataclass(frozen=True)
class Subject:
    """One data point: a fictitious entity with its row in every version, or one real row.

    `alone` is the share of it, in [0, 1], that the skill learns without knowledge beside it: 0 as
    published; where a method has a gate, the share in which the base model knows the row.
    """

    fictitious: bool
    rows: dict[int | None, TokenRow]
    alone: float = 0.0


@dataclass(frozen=True)
class Draw:
    """The knowledge LoRAs of one draw group; `None` where there is none to draw."""

    fictitious: Knowledge | None = None
    real: Knowledge | None = None


def draw(adapters: Sequence[Knowledge], group: int, alternate: bool, rng: random.Random) -> Draw:
    """K_f and K_r, each uniformly from its kind.

    With `alternate`, even groups draw from the first of the two forms and odd ones from the other;
    a kind of knowledge that has one form only always draws from that.
    """

    def pick(fictitious: bool) -> Knowledge | None:
        those = [a for a in adapters if a.fictitious == fictitious]
        forms = sorted({a.form for a in those})
        if alternate and len(forms) > 1:
            those = [a for a in those if a.form == forms[group % 2]]
        return rng.choice(those) if those else None

    return Draw(pick(True), pick(False))


def skill_routes(group: Sequence[Subject], drawn: Draw, plain: bool) -> list[Example]:
    """Rows to routes, each with its share. With `plain`, each real row stands again on the skill alone."""
    examples = []
    for subject in group:
        if subject.fictitious:
            knowledge, term = drawn.fictitious, "fictitious"
            version = knowledge.version if knowledge else None
            rows = subject.rows.values() if version is None else [subject.rows[version]]
        else:
            knowledge, term = drawn.real, "real"
            rows = subject.rows.values()
        route = (knowledge.name, SKILL) if knowledge else ALONE
        for way, share in ((route, 1 - subject.alone), (ALONE, subject.alone)):
            examples += [Example(row, way, term, share) for row in rows if share > 0]
        if plain and not subject.fictitious:
            examples += [Example(row, ALONE, "plain", 1.0) for row in rows]
    return examples


def skill_weights(examples: Sequence[Example], real_weight: float) -> list[float]:
    """Rows to label weights: a mean over fictitious and real labels, one over the skill-only loss.

    A row counts by its share: one that is learnt both ways as much as any other.
    """
    counts = {"main": 0.0, "plain": 0.0}
    for example in examples:
        counts["plain" if example.term == "plain" else "main"] += (
            example.row.labels * example.weight
        )
    main, alone = counts["main"] or 1, counts["plain"] or 1
    return [e.weight * (real_weight / alone if e.term == "plain" else 1 / main) for e in examples]


def skill_step(
    groups: Sequence[Sequence[Subject]],
    draws: Sequence[Draw],
    real_weight: float,
) -> list[Example]:
    """The rows of one optimizer step, whose loss is the mean of its draw groups' losses."""
    laid_out = []
    for group, drawn in zip(groups, draws, strict=True):
        examples = skill_routes(group, drawn, plain=real_weight > 0)
        if any(e.row.labels for e in examples):  # a group without any label has no loss to count
            laid_out.append((examples, skill_weights(examples, real_weight)))
    return [
        replace(example, weight=weight / len(laid_out))
        for examples, weights in laid_out
        for example, weight in zip(examples, weights, strict=True)
        if example.row.labels
    ]


def text_step(rows: Sequence[TokenRow], route: tuple[str, ...]) -> list[Example]:
    """Plain text: the mean over all labels of the step."""
    rows = [row for row in rows if row.labels]
    total = sum(row.labels for row in rows)
    return [Example(row, route, "text", 1 / total) for row in rows]
