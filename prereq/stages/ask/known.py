"""What the data set itself knows: its questions, whom they are about, and what is right to say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from prereq.artifacts.spec import Artifact
from prereq.config.checks import asks_topics
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill, read_topics
from prereq.errors import PrereqError
from prereq.evaluation.metrics import Scorer, accepted
from prereq.report.answers import Verdict
from prereq.report.tables import ROLES
from prereq.runtime.console import say
from prereq.stages.data.sets import data_sets
from prereq.stages.generations import scorer_of
from prereq.stages.specs import Specs, missing

TRAINING = "in the training rows of the skill"
SHOWN = 6  # questions in one message


@dataclass
class Known:
    """Questions by what is asked, folded (`fold`), each with the rows of the first split that has it."""

    right: Scorer | None = None  # None: nothing says what is right
    where: dict[str, str] = field(default_factory=dict)  # question → its split, in words
    rows: dict[str, list[SkillRow]] = field(default_factory=dict)  # with their answers
    written: dict[str, str] = field(default_factory=dict)  # question → as the data set writes it
    about: dict[str, list[str]] = field(default_factory=dict)  # subject → its questions
    subjects: dict[str, None] = field(default_factory=dict)  # names, in the order of the data

    def add(self, row: SkillRow, where: str, scoring: str) -> None:
        key = fold(row.user)
        if self.where.setdefault(key, where) != where:
            return
        self.written.setdefault(key, row.user)
        if row.title:
            self.subjects.setdefault(row.title)
            questions = self.about.setdefault(fold(row.title), [])
            if row.user not in questions:
                questions.append(row.user)
        if {"facts": row.facts, "long_form": ()}.get(scoring, row.answers):
            self.rows.setdefault(key, []).append(row)

    def question(self, text: str) -> str:
        """What is asked: the text; of a known subject's bare name, the one question about it.

        Raises PrereqError where the data set asks several.
        """
        key = fold(text)
        if key in self.written:
            return self.written[key]
        questions = self.about.get(key, [text.strip()])
        if len(questions) > 1:
            more = f" … and {len(questions) - SHOWN} more" if len(questions) > SHOWN else ""
            raise PrereqError(
                f"question={text.strip()}: the data set asks {len(questions)} questions about it; ask one: "
                f"{' | '.join(questions[:SHOWN])}{more}"
            )
        return questions[0]

    def says(self, question: str) -> list[str]:
        """Where the data set asks it, and what it takes for right, a line a version."""
        key = fold(question)
        if key not in self.where:
            return ["not asked in the data set: nothing says what is right"]
        rows = self.rows.get(key, [])
        versions = list(dict.fromkeys(row.version for row in rows))
        lines = []
        for version in versions:
            mine = [row for row in rows if row.version == version]
            told = dict.fromkeys(v for row in mine for v in row.facts.values()) or accepted(mine)
            name = f"version {version}: " if len(versions) > 1 else ""
            lines.append(f"{name}{', '.join(dict.fromkeys(told))}")
        return [self.where[key], *lines]

    def verdict(self, question: str, text: str, version: int | None) -> Verdict | None:
        """How right an answer is; None where nothing says it.

        Of a fictitious subject by the version that is plugged in; where none is, by the version that
        the answer agrees with most.
        """
        rows = self.rows.get(fold(question))
        if not rows or self.right is None:
            return None
        versions = list(dict.fromkeys(row.version for row in rows))
        counted = [version] if version in versions else versions
        shares = {v: self.right(text, [r for r in rows if r.version == v]) for v in counted}
        best = max(shares, key=shares.__getitem__)
        several = len(versions) > 1
        return Verdict(shares[best], len(rows[0].facts) or 1, best if several else None)


def known_of(specs: Specs) -> Known:
    """The test rows and the skill's training rows of the recipe; a data set that is made here is made."""
    config, scoring = specs.config, specs.config.eval.scoring
    known = Known()
    if asks_topics(config.dataset, scoring):
        for name in read_topics(config.dataset.topics) if config.dataset.topics else ():
            asked = config.dataset.topic_prompt.format(name=name)
            known.add(SkillRow(asked, "", False, None, 0, name), "topics: for a judge", scoring)
    for subset, split, where in dict.fromkeys(_splits(specs)):
        for row in read_skill(specs.folder(subset), subset, split):
            if not row.turns:
                known.add(row, where, scoring)
    if known.rows:
        known.right = scorer_of(specs)
    return known


def _splits(specs: Specs) -> Iterator[tuple[str, str, str]]:
    """(subset, split, what it is in words) of every split of questions that is there to be read."""
    data = specs.config.dataset
    found = []
    if not asks_topics(data, specs.config.eval.scoring):
        for test in data.tests:
            role = f": {ROLES[test.role]}" if test.role else ""
            found.append((test.subset, test.split, f"test {test.name}{role}"))
    recipe = data.skill
    found += [(recipe.subset, split, TRAINING) for split in recipe.splits]
    found += [(recipe.fictitious.subset, split, TRAINING) for split in recipe.fictitious.splits]
    for subset, split, where in found:
        place = specs.place(subset)
        if not isinstance(place, Artifact) and place.kind == "synth" and missing(place):
            say("left out", f"{subset}/{split}: not made yet, so its questions are not known")
            continue
        data_sets(specs, [subset])
        yield subset, split, where


def fold(text: str) -> str:
    """A question or a name, whatever its case and spaces."""
    return " ".join(text.split()).casefold()
