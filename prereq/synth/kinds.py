"""What type a relation's subjects and answers are of, by rules that anyone can check.

A guess comes with its reason, which the data card prints; `SynthSettings.types` overrides it.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from prereq.synth.checks import normal
from prereq.synth.english.words import DEMONYMS, GENERIC, MONTHS

MOST = 0.6  # share of the answers that have to look alike
FEW = 4  # times that a category's values come up on average, at least
MONTH = "|".join(MONTHS)
YEAR = re.compile(
    rf"(?:ca?\. ?)?(?:(?:\d{{1,2}} )?(?:{MONTH})(?: \d{{1,2}},?)? )?[12]\d{{3}}s?"
    r"|[12]\d{3}-\d\d(-\d\d)?",
    re.I,
)
NUMBER = re.compile(r"[-−+]?[$€£]?\d[\d,.]*(?:\s?[%°\w²³/$€£]+){0,3}")
SMALL = set(
    "a an and at by de del der des di du for from in la las le of on or the to van von with".split()
)
PERSON = re.compile(
    r"\b(born|birth|die[ds]?|death|occupation|profession|job|father|mother|parents?|spouse|wife|husband|"
    r"married|child(ren)?|siblings?|brother|sister|nationality|citizenship|educated|alma mater|"
    r"political party|religion|sport does|team does|position does)\b",
    re.I,
)
WORK = re.compile(
    r"\b(direct(ed|or)|author|wrote|written|produce[dr]|compose[dr]|screenwriter|genre|publish\w+|released|"
    r"lyrics|cast|starr\w+|painted|performe[dr]|sang|record label)\b",
    re.I,
)
PLACE = re.compile(
    r"\b(capital|country is|located|population|river|mayor|county|area of|elevation|flows?|lies?|borders?)\b",
    re.I,
)
MAN = re.compile(r"\b(father|husband|brother|son|uncle|grandfather|nephew|king)\b", re.I)
WOMAN = re.compile(r"\b(mother|wife|sister|daughter|aunt|grandmother|niece|queen)\b", re.I)
OTHER = re.compile(r"\b(colou?rs?|founded|headquarter\w+|compan\w+|organi[sz]ation|league)\b", re.I)
ASKS_PLACE = re.compile(
    r"\b(where|(what|which) (city|town|country|state|place|county|village|region|province|island)|"
    r"(the|'s) (capital|birthplace|place of (birth|death)|hometown|location)|capital of)\b",
    re.I,
)


def answer_type(questions: Sequence[str], answers: Sequence[str]) -> tuple[str, str]:
    """The type of these answers to these questions, and why."""
    share = functools.partial(_share, answers)
    distinct = len({normal(answer) for answer in answers})
    if share(lambda a: normal(a) in ("yes", "no")) >= MOST:
        return "category", "the answers are yes and no"
    if share(YEAR.fullmatch) >= MOST:
        return "year", "the answers are years or dates"
    if share(NUMBER.fullmatch) >= MOST:
        return "number", "the answers are numbers"
    if share(lambda a: a[:1].islower()) >= MOST:
        return "category", "the answers begin in lower case, as common nouns do"
    if share(lambda a: a in DEMONYMS or normal(a) in countries()) >= MOST:
        return "category", "the answers are countries or nationalities"
    if _share(questions, lambda q: re.match(r"who(m|se)?\b", q, re.I)) >= MOST:
        return "person", "the questions ask who"
    if len(answers) >= 2 * FEW and distinct * FEW <= len(answers):
        return "category", f"{distinct} values in {len(answers):,} rows"
    if _share(questions, ASKS_PLACE.search) >= MOST:
        return "place", "the questions ask for a place"
    return shape(answers)


def subject_type(questions: Sequence[str], subjects: Sequence[str]) -> tuple[str, str]:
    """The type of these subjects that these questions are asked about, and why."""
    cues = {"person": PERSON, "work": WORK, "place": PLACE, "name": OTHER}
    shares = {kind: _share(questions, cue.search) for kind, cue in cues.items()}
    kind = max(shares, key=lambda kind: shares[kind])
    if shares[kind] >= MOST:
        return kind, f"so the questions' words say of a {kind}"
    return shape(subjects)


def shape(names: Sequence[str]) -> tuple[str, str]:
    """What most names look like: a person, a work, or whatever else has a name."""
    looks = Counter(_look(name) for name in names)
    kind, count = max(looks.items(), key=lambda item: (item[1], item[0] == "name"))
    return kind, f"{count:,} of {len(names):,} look like it"


def _look(name: str) -> str:
    parts = re.sub(r"\s*\(.*", "", name).split()
    if parts[:1] and parts[0] in ("The", "A", "An"):
        return "work"
    inner = [part for part in parts if part.casefold() not in SMALL]
    capitals = all(part[:1].isupper() for part in inner)
    if 2 <= len(inner) <= 4 and capitals and not GENERIC & set(parts) and not _digits(name):
        return "person"
    return "work" if len(parts) > 4 or (len(parts) > 1 and not capitals) else "name"


def sex(text: str) -> bool | None:
    """Whether a text speaks of a woman (True) or a man, by words such as `mother`; None for both or none."""
    man, woman = bool(MAN.search(text)), bool(WOMAN.search(text))
    return None if man == woman else woman


def tails(values: Iterable[str]) -> frozenset[str]:
    """The last words that several names share, such as `County`: the kind of thing, not its name."""
    last: dict[str, set[str]] = {}
    for value in values:
        *head, tail = value.split() or [""]
        if head and (tail in GENERIC or tail.isalpha()) and tail[:1].isupper():
            last.setdefault(tail, set()).add(value)
    return frozenset(tail for tail, names in last.items() if len(names) > 1 or tail in GENERIC)


def country_names() -> list[str]:
    """The names of countries, as Faker has them."""
    from faker.providers.address.en import Provider

    return sorted(Provider.countries)


@functools.cache
def countries() -> frozenset[str]:
    """The names of countries without case and accents, as Faker has them and as people write them."""
    known = ("United States", "Russia", "South Korea", "Soviet Union", "Iran", "Vietnam")
    return frozenset(normal(name) for name in (*country_names(), *known))


def _digits(text: str) -> bool:
    return any(c.isdigit() for c in text)


def _share(values: Sequence[str], fits: Callable[[str], object]) -> float:
    return sum(bool(fits(value)) for value in values) / len(values) if values else 0.0
