"""Answers for invented subjects: of the type of a relation's real answers, and as often each."""

from __future__ import annotations

import random
import re
from collections import Counter

from prereq.synth import kinds
from prereq.synth.english.words import MONTHS
from prereq.synth.names import Names
from prereq.synth.short.relations import Relation


class Values:
    """Draws the answers of one relation.

    Real answers are dealt like cards, every row's answer once before any comes again, so their shares are
    kept. A category's values are taken as they are: they are no facts about a subject. Any other value
    stands for an invented one: a value that several rows have for the same one each time, so that what
    is frequent stays frequent; all others for a new one.
    """

    def __init__(self, relation: Relation, names: Names, rng: random.Random):
        self._relation, self._names, self._rng = relation, names, rng
        first = [answers[0] for answers in relation.answers]
        self._uses = Counter(first)
        self._tails = kinds.tails(first) if relation.answer_type in ("place", "name") else ()
        self._for: dict[str, str] = {}
        self._deck: list[tuple[str, ...]] = []
        self._female = kinds.sex(" ".join(relation.templates))
        self._numbers = sorted({n for n in map(_number, first) if n is not None})

    def draw(self) -> tuple[str, ...]:
        """The accepted answers of the next subject, the first of which is taught."""
        if not self._deck:
            self._deck = list(self._relation.answers)
            self._rng.shuffle(self._deck)
        real = self._deck.pop()
        if self._relation.answer_type == "category":
            return real
        if self._relation.answer_type in ("year", "number"):
            return (self._measure(real[0]),)
        if self._uses[real[0]] == 1:
            return (self._invent(real[0]),)
        if real[0] not in self._for:
            self._for[real[0]] = self._invent(real[0])
        return (self._for[real[0]],)

    def _invent(self, real: str) -> str:
        *head, tail = real.split()
        kept = tail if head and tail in self._tails else ""
        match self._relation.answer_type:
            case "person":
                return self._names.person(self._female).full
            case "place":
                return self._names.place(kept)
            case "work":
                return self._names.work()
        return self._names.name(kept)

    def _measure(self, real: str) -> str:
        """A real answer with another number, between two neighbours of the real ones."""
        number = _number(real)
        if number is None:  # one of the few that have another form
            return real
        place = self._numbers.index(number)
        low, high = (
            self._numbers[max(0, place - 1)],
            self._numbers[min(place + 1, len(self._numbers) - 1)],
        )
        written = (
            _WRITTEN.search(real)[0] if self._relation.answer_type == "number" else f"{number:g}"
        )
        if self._relation.answer_type == "year":
            year = self._rng.randint(int(low), int(high))
            return redate(real, year, self._rng)
        decimals = len(written.partition(".")[2])
        value = self._rng.uniform(low, high)
        shown = f"{value:{',' if ',' in written else ''}.{decimals}f}"
        return real.replace(written, shown, 1)


_YEAR = re.compile(r"[12]\d{3}")
_WRITTEN = re.compile(r"\d[\d,]*(?:\.\d+)?")


def _number(text: str) -> float | None:
    found = _YEAR.search(text) if kinds.YEAR.fullmatch(text) else _WRITTEN.search(text)
    return float(found[0].replace(",", "")) if found else None


def redate(text: str, year: int, rng: random.Random) -> str:
    """A year or date in the same form, with this year and, where it has them, another month and day."""
    text = re.sub(r"[12]\d{3}", str(year), text, count=1)
    month = re.compile("|".join(MONTHS), re.I)
    if month.search(text):
        text = month.sub(rng.choice(MONTHS), text, count=1)
        return re.sub(r"(?<!\d)\d{1,2}(?!\d)", str(rng.randint(1, 28)), text, count=1)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return f"{year}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    return f"{text[:3]}0s" if re.fullmatch(r"\d{4}s", text) else text
