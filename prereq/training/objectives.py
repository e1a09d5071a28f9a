"""The objectives as pure functions: which adapters are active on a row, and what a label weighs.

METHOD: `L = CE(base+K_f+S on F, base+K_r+S on R; one mean) + real_weight · CE(base+S on R)`. A draw
group of subjects draws one fictitious knowledge LoRA K_f and one real one K_r; F is the fictitious
subjects' rows of K_f's version (every row where K_f has none), R the real rows. Both published
objectives are this one: `mix` has no versions, `multi_version` no real rows. With a gate, a real row
that the base knows with probability p counts p on the skill alone and 1 - p beside its knowledge, in
the same mean: `p · CE(base+S) + (1-p) · CE(base+K_r+S)`. The means are taken here, as one weight a
label, so that the loss of an optimizer step is a weighted sum of token losses, and packing,
accumulation and processes cannot change what it means.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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

    A real one can have several rows, each with an answer of its own: `shares`, which sum to 1, say what
    they count. `known` is the probability that the base holds its fact; None: nobody has said.
    """

    fictitious: bool
    rows: dict[int | None, TokenRow]
    known: float | None = None
    shares: dict[int | None, float] = field(default_factory=dict)


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


def skill_routes(
    group: Sequence[Subject], drawn: Draw, plain: bool, gate: bool = False
) -> list[Example]:
    """Rows to routes. With `plain`, each real row stands a second time, on the skill alone.

    With `gate` each stands on the skill alone in the measure that it is known, and beside its knowledge
    in the rest.
    """
    examples = []
    for subject in group:
        knowledge = drawn.fictitious if subject.fictitious else drawn.real
        beside = (knowledge.name, SKILL) if knowledge else ALONE
        if subject.fictitious:
            version = knowledge.version if knowledge else None
            rows = subject.rows.values() if version is None else [subject.rows[version]]
            examples += [Example(row, beside, "fictitious") for row in rows]
            continue
        known = subject.known if gate else 0.0
        for key, row in subject.rows.items():
            share = subject.shares.get(key, 1.0)
            parts = [(ALONE, "known", known * share), (beside, "real", (1 - known) * share)]
            parts += [(ALONE, "plain", share)] if plain else []
            examples += [Example(row, *to, share=part) for *to, part in parts if part > 0]
    return examples


def skill_weights(examples: Sequence[Example], real_weight: float) -> list[float]:
    """Rows to label weights: a mean over fictitious and real labels, one over the skill-only loss."""
    counts = {"main": 0.0, "plain": 0.0}
    for e in examples:
        counts["plain" if e.term == "plain" else "main"] += e.share * e.row.labels
    main, alone = counts["main"] or 1, counts["plain"] or 1
    return [e.share * (real_weight / alone if e.term == "plain" else 1 / main) for e in examples]


def skill_step(
    groups: Sequence[Sequence[Subject]],
    draws: Sequence[Draw],
    real_weight: float,
    gate: bool = False,
) -> list[Example]:
    """The rows of one optimizer step, whose loss is the mean of its draw groups' losses."""
    laid_out = []
    for group, drawn in zip(groups, draws, strict=True):
        examples = skill_routes(group, drawn, plain=real_weight > 0, gate=gate)
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
