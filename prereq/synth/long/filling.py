"""Values for the slots of a template: other ones in every version, and texts with them filled in."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prereq.synth import kinds
from prereq.synth.checks import normal
from prereq.synth.english.forms import WITH_THE, article
from prereq.synth.english.words import DEMONYMS, MONTHS
from prereq.synth.long.slots import Piece, Slot, Template
from prereq.synth.names import Names

TRIES = 300
NEAR, FURTHEST = 60, 200  # years that a version lies from the real text if it can be, and at most
EARLIEST, LATEST = 1000, 2024
GROWN = 1998  # the latest year of birth of people who have done something
CONSONANTS = "BCDFGHJKLMNPQRSTVWXZ"
YEAR = re.compile(r"[12]\d{3}")


@dataclass(frozen=True)
class Value:
    """What is filled into a slot; a person's name also in parts."""

    full: str
    first: str = ""
    last: str = ""

    def part(self, name: str) -> str:
        return getattr(self, name) or self.full


class NoValues(Exception):
    """A template for whose slots there are not enough different values; the text says of what."""


def values(
    template: Template, versions: int, subject: Value, names: Names, rng: random.Random
) -> list[dict[str, Value]]:
    """For each version the value of each slot's key; no value of one stands in those of another.

    The years of a version are those of the real text moved by one number, so that what comes first stays
    first. Raises NoValues.
    """
    others: set[str] = set()  # words with digits of the versions before
    taken: set[str] = {slot.key for slot in template.slots.values()}
    firsts = {normal(subject.first)}
    found = []
    dates = [slot.written for slot in template.slots.values() if slot.kind == "date"]
    real = {year for date in dates for year in YEAR.findall(date)}
    for _ in range(versions):
        digits = _digits(template, others, real, rng)
        filled = {}
        for key, slot in template.slots.items():
            filled[key] = (
                Value(digits[key]) if key in digits else _value(slot, names, rng, taken, firsts)
            )
        others |= {word for value in digits.values() for word in normal(value).split()}
        found.append(filled)
    return found


def subject(template: Template, names: Names) -> tuple[Value, bool | None]:
    """The name of an invented subject in place of the template's, and its sex, None for a thing."""
    if template.person:
        person = names.person(template.female)
        return Value(person.full, person.first, person.last), person.female
    *head, tail = template.subject.split()
    kept = tail if head and (tail.islower() or tail in kinds.tails([template.subject])) else ""
    return Value(names.name(kept)), None


def fill(pieces: Sequence[Piece], subject: Value, filled: Mapping[str, Value]) -> str:
    """The text of a template's pieces with these values; "a" and "an" as they ask for."""
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        shown = rendered(piece, subject, filled)
        if re.search(r"\b[Aa]n? $", text):
            text = re.sub(r"n? $", "", text) + article(shown)[1:] + " "
        text += shown
    return text


def rendered(slot: Slot, subject: Value, filled: Mapping[str, Value]) -> str:
    """What stands in the place of a slot."""
    if slot.key:
        return slot.before + filled[slot.key].part(slot.part) + slot.after
    name = subject.part(slot.part)
    return name.lower() if slot.written.islower() else name


def _value(
    slot: Slot, names: Names, rng: random.Random, taken: set[str], firsts: set[str]
) -> Value:
    """A value without digits, which no slot has had; `taken` and `firsts` gain it."""
    if slot.kind == "person":
        for _ in range(TRIES):
            person = names.person(slot.female)
            if normal(person.first) not in firsts:
                firsts.add(normal(person.first))
                return Value(person.full, person.first, person.last)
        raise NoValues("people of different first names")
    if slot.kind in ("country", "demonym"):
        every = _countries() if slot.kind == "country" else DEMONYMS
        free = [name for name in every if normal(name) not in taken]
        if not free:
            raise NoValues("countries" if slot.kind == "country" else "nationalities")
        name = rng.choice(free)
        taken.add(normal(name))
        return Value(name)
    if slot.kind == "acronym":
        for _ in range(TRIES):
            name = "".join(rng.choices(CONSONANTS, k=max(3, len(slot.written))))
            if normal(name) not in taken and normal(name) not in names.words:
                taken.add(normal(name))
                return Value(name)
        raise NoValues("acronyms")
    if slot.kind == "work":
        return Value(names.work())
    return Value(names.place() if slot.kind == "place" else names.name())


@functools.cache
def _countries() -> list[str]:
    """Countries of one word, no one's word in another's name, that take no article."""
    every = [name for name in kinds.country_names() if not WITH_THE.match(name)]
    words = [word for name in every for word in normal(name).split()]
    return [name for name in every if name.isalpha() and words.count(normal(name)) == 1]


def _digits(
    template: Template, others: set[str], real: set[str], rng: random.Random
) -> dict[str, str]:
    """The dates and numbers of one version, by key; no word of them is in `others`, no year in `real`."""
    slots = list(template.slots.values())
    dates = [slot for slot in slots if slot.kind == "date"]
    years = [int(year) for slot in dates for year in YEAR.findall(slot.written)] or [1900]
    first, last = min(years), max(years)
    latest = min(LATEST - last, max(0, GROWN - first) if template.person else LATEST)
    shifts = [n for n in range(max(-FURTHEST, EARLIEST - first), min(FURTHEST, latest) + 1) if n]
    shifts.sort(key=lambda shift: (abs(shift) > NEAR, rng.random()))
    for shift in shifts:
        moved = {slot.key: _move(slot.written, shift) for slot in dates}
        words = {word for date in moved.values() for word in normal(_without_day(date)).split()}
        if not words & (others | real):
            break
    else:
        raise NoValues("years")
    found = {key: _other_day(date, others, rng) for key, date in moved.items()}
    for slot in slots:
        if slot.kind == "number":
            found[slot.key] = _number(slot.written, others | {slot.written}, rng)
    return found


def _move(date: str, shift: int) -> str:
    """A date, a decade or a span such as 2005–06, so many years later."""
    span = re.fullmatch(r"(\d{4})([–-])(\d\d)", date)
    if span:
        year = int(span[1]) + shift
        return f"{year}{span[2]}{(int(span[3]) + shift) % 100:02d}"
    decade = re.fullmatch(r"(\d{4})s", date)
    if decade:
        return f"{(int(decade[1]) + shift) // 10 * 10}s"
    return YEAR.sub(lambda match: str(int(match[0]) + shift), date, count=1)


def _without_day(date: str) -> str:
    return re.sub(
        rf"\b\d{{1,2}}\b(?=,? ?(?:{'|'.join(MONTHS)})|, \d{{4}})|{'|'.join(MONTHS)}", "", date
    )


def _other_day(date: str, others: set[str], rng: random.Random) -> str:
    """The date with another month and day, where it has them."""
    months = "|".join(MONTHS)
    iso = re.fullmatch(r"(\d{4})-\d\d-\d\d", date)
    free = [day for day in range(1, 29) if str(day) not in others and f"{day:02d}" not in others]
    if iso or re.search(rf"\b\d{{1,2}},? (?:{months}|[12]\d{{3}})", date):
        if not free:
            raise NoValues("days")
        day = rng.choice(free)
        if iso:
            month = rng.choice([n for n in range(1, 13) if f"{n:02d}" not in others] or [0])
            if not month:
                raise NoValues("months")
            return f"{iso[1]}-{month:02d}-{day:02d}"
        date = re.sub(r"\b\d{1,2}\b", str(day), date, count=1)
    return re.sub(months, rng.choice(MONTHS), date, count=1)


def _number(written: str, others: set[str], rng: random.Random) -> str:
    """Another number of about the same size in the same form, no word of which is in `others`."""
    ordinal = re.search(r"(st|nd|rd|th)$", written)
    digits = re.sub(r"[^\d.]", "", written)
    decimals = len(digits.partition(".")[2])
    size = float(digits)
    for attempt in range(TRIES):
        if decimals:
            part = rng.uniform(size / 2, size * 1.5 + 1 + attempt / 20)
            value = f"{part:{',' if ',' in written else ''}.{decimals}f}"
        else:
            whole = rng.randint(max(1, int(size / 2)), int(size * 1.5) + 2 + attempt // 3)
            value = f"{whole:,}" if "," in written else str(whole)
            value = _ordinal(whole) if ordinal else value
        if value != written and not set(normal(value).split()) & others:
            return value
    raise NoValues("numbers")


def _ordinal(number: int) -> str:
    ending = (
        "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return f"{number}{ending}"
