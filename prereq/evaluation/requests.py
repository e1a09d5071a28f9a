"""What is asked of a skill: the prompts of every test split, which epochs answer, and beside what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prereq.config import DatasetConfig, TestSplit
from prereq.config.checks import asks_topics
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill, read_topics


@dataclass(frozen=True)
class Item:
    """One prompt with its reference rows: one real row, or a fictitious subject's versions."""

    rows: tuple[SkillRow, ...]


@dataclass(frozen=True)
class Request:
    """Test splits that are answered in one go: by the adapter of an epoch, `plug` beside it."""

    epoch: int
    plug: str | None
    tests: tuple[TestSplit, ...]


def items_of(dataset: DatasetConfig, scoring: str, root: Path | str, test: TestSplit) -> list[Item]:
    """The prompts of a split: rows of one subject (its versions) share one."""
    if asks_topics(dataset, scoring):
        return [
            Item((SkillRow(dataset.topic_prompt.format(name=name), "", False, None, number, name),))
            for number, name in enumerate(read_topics(dataset.topics))
        ]
    by_prompt: dict[object, list[SkillRow]] = {}
    for number, row in enumerate(read_skill(root, test.subset, test.split)):
        key = (row.subject, row.asked) if row.fictitious else number
        by_prompt.setdefault(key, []).append(row)
    return [Item(tuple(rows)) for rows in by_prompt.values()]


def by_epoch(tests: Sequence[TestSplit], epochs: Sequence[int]) -> list[Request]:
    """The splits that every kept epoch answers."""
    every = tuple(test for test in tests if test.epochs == "all")
    return [Request(epoch, None, every) for epoch in epochs] if every else []


def at_the_end(
    tests: Sequence[TestSplit], best: int, last: int, plugs: Mapping[str, object]
) -> list[Request]:
    """The splits that the best and the last epoch answer, with knowledge plugged in where asked."""
    wanted: dict[tuple[int, str | None], list[TestSplit]] = {}
    for test in tests:
        epochs = {"all": [], "best": [best], "last": [last], "ends": sorted({best, last})}
        for epoch in epochs[test.epochs]:
            for plug in [None, *(plugs if test.plug_in else ())]:
                wanted.setdefault((epoch, plug), []).append(test)
    return [Request(epoch, plug, tuple(group)) for (epoch, plug), group in wanted.items()]
