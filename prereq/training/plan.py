"""The plan of a training run: which rows, on which routes, make up each optimizer step.

A plan is a pure function of the seed and the step. Shuffles and draws of knowledge LoRAs come
from generators seeded by `(seed, epoch)` and `(seed, step, group)`, so a resumed run, and a run on
any number of processes, lays out what an uninterrupted one on one process would have.
"""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil

from prereq.data.checks import version_faults
from prereq.data.packing import TERMS
from prereq.data.prompts import PLAIN
from prereq.data.rows import SkillRow
from prereq.data.tokens import Cut, Example, TokenRow, fitted, skill_row
from prereq.errors import PrereqError
from prereq.training.objectives import (
    ALONE,
    SKILL,
    Knowledge,
    Subject,
    draw,
    skill_step,
    text_step,
)


@dataclass(frozen=True)
class Plan:
    """`step(i)` for i in [0, steps): the examples of optimizer step i, in a fixed order.

    `rows` and `routes` are all that the steps are laid out from.
    """

    epochs: int
    steps_per_epoch: int
    step: Callable[[int], list[Example]]
    rows: Sequence[TokenRow]
    routes: Sequence[tuple[str, ...]]
    terms: tuple[str, ...] = TERMS  # the losses that a log tells apart

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    @property
    def tokens(self) -> int:
        """Of the rows of every step."""
        examples = (example for index in range(self.steps) for example in self.step(index))
        return sum(len(example.row.ids) for example in examples)


def text_plan(
    rows: Sequence[TokenRow], batch_size: int, epochs: int, seed: int, route: tuple[str, ...]
) -> Plan:
    """Plain text in shuffled batches of `batch_size` rows."""
    batch = _batches(len(rows), batch_size, seed)
    per_epoch = ceil(len(rows) / batch_size)

    def step(index: int) -> list[Example]:
        return text_step([rows[i] for i in batch(index)], route)

    return Plan(epochs, per_epoch, step, rows, [route])


def joint_plan(plans: Mapping[str, Plan]) -> Plan:
    """Several plans as one: step i holds step i of each that still has one, told apart by name."""

    def step(index: int) -> list[Example]:
        return [
            replace(example, term=name)
            for name, plan in plans.items()
            if index < plan.steps
            for example in plan.step(index)
        ]

    rows = [row for plan in plans.values() for row in plan.rows]
    routes = [route for plan in plans.values() for route in plan.routes]
    return Plan(1, max(plan.steps for plan in plans.values()), step, rows, routes, tuple(plans))


def skill_plan(
    subjects: Sequence[Subject],
    adapters: Sequence[Knowledge],
    *,
    batch_size: int,
    draw_group: int,
    epochs: int,
    seed: int,
    alternate: bool = False,
    real_weight: float = 0.0,
    gate: bool = False,
    last: Sequence[Subject] = (),
    last_epochs: int = 0,
) -> Plan:
    """Subjects in shuffled batches, cut into draw groups that each draw their knowledge LoRAs.

    The `last_epochs` have as many steps as the others, and the subjects `last` alone.
    """
    batch = _batches(len(subjects), batch_size, seed)
    per_epoch = ceil(len(subjects) / batch_size)
    late, late_from = _batches(len(last), batch_size, seed), (epochs - last_epochs) * per_epoch
    groups_per_step = ceil(batch_size / draw_group)

    def step(index: int) -> list[Example]:
        if index < late_from:
            chosen = [subjects[i] for i in batch(index)]
        else:
            chosen = [last[i] for i in late(index - late_from)]
        groups = [chosen[i : i + draw_group] for i in range(0, len(chosen), draw_group)]
        first = index * groups_per_step
        draws = [
            draw(adapters, first + g, alternate, random.Random(f"draw {seed} {index} {g}"))
            for g in range(len(groups))
        ]
        return skill_step(groups, draws, real_weight, gate)

    rows = [row for subject in subjects for row in subject.rows.values()]  # `last` is of these
    routes = [*((a.name, SKILL) for a in adapters), ALONE]
    return Plan(epochs, per_epoch, step, rows, routes)


def subjects_of(
    rows: Sequence[SkillRow],
    tokenizer,
    versions: Collection[int],
    where: str,
    prompt: str = PLAIN,
) -> list[Subject]:
    """Rows to subjects: the versions of one fictitious subject together, every other row alone.

    `versions` are those of the recipe's knowledge (empty: the data set has none); `prompt` is how rows
    are asked. Raises where a fictitious subject lacks a version, or has one twice.
    """

    def alone(row: SkillRow) -> Subject:
        known = None if row.known is None else float(row.known)
        if not row.targets:
            return Subject(row.fictitious, {None: skill_row(tokenizer, row, prompt)}, known)
        learnt = [replace(row, assistant=text) for text, _ in row.targets]
        rows = {n: skill_row(tokenizer, each, prompt) for n, each in enumerate(learnt)}
        shares = {n: share for n, (_, share) in enumerate(row.targets)}
        return Subject(row.fictitious, rows, known, shares)

    if not versions:
        return [alone(row) for row in rows]
    for row, fault in version_faults(rows, versions, lambda row: row.subject):
        raise PrereqError(f"{where}: {row.place}: {fault}")
    by_subject: dict[tuple[bool, int], dict[int | None, SkillRow]] = {}
    for number, row in enumerate(rows):
        key = (row.fictitious, row.subject if row.fictitious else number)
        by_subject.setdefault(key, {})[row.version] = row
    return [
        Subject(True, {v: skill_row(tokenizer, r, prompt) for v, r in subject.items()})
        if fictitious
        else alone(*subject.values())
        for (fictitious, _), subject in by_subject.items()
    ]


def fitted_subjects(
    subjects: Sequence[Subject], max_length: int, overlong: str, where: str
) -> tuple[list[Subject], Cut]:
    """The subjects with rows of at most `max_length` tokens: see `tokens.fitted`."""
    kept, cut = fitted([list(s.rows.values()) for s in subjects], max_length, overlong, where)
    fits = [
        replace(subject, rows=dict(zip(subject.rows, rows, strict=True)))
        for subject, rows in zip(subjects, kept, strict=True)
        if rows
    ]
    return fits, cut


def _batches(count: int, size: int, seed: int) -> Callable[[int], Sequence[int]]:
    """Step to row numbers: a fresh shuffle an epoch, consecutive slices of it; the last is short."""
    per_epoch = ceil(count / size)

    @lru_cache(maxsize=2)
    def order(epoch: int) -> list[int]:
        numbers = list(range(count))
        random.Random(f"order {seed} {epoch}").shuffle(numbers)
        return numbers

    def batch(step: int) -> Sequence[int]:
        epoch, place = divmod(step, per_epoch)
        return order(epoch)[place * size : (place + 1) * size]

    return batch
