"""Names that exist nowhere: of people, places, works and whatever else has a name.

A word is invented from two surnames of one language, the head of one and the tail of another, so it
sounds like that language and is none of its names. First names are real ones, as those of invented
people are. The names come from Faker in fixed locales with a fixed seed: they depend on its version,
which is why that belongs into the key of what is made (`versions`).
"""

from __future__ import annotations

import functools
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from prereq.errors import PrereqError
from prereq.synth.checks import normal, words
from prereq.synth.english.forms import agree
from prereq.synth.english.words import PLACE_ENDINGS, TITLE_ADJECTIVES, TITLE_NOUNS, TITLE_PATTERNS

LOCALES = (
    "en_US en_GB en_IN de_DE fr_FR es_ES it_IT nl_NL pl_PL cs_CZ sv_SE no_NO fi_FI da_DK pt_BR tr_TR "
    "hu_HU ro_RO hr_HR et_EE id_ID"
).split()
DRAWS = 1000  # of each kind of name a locale
RULES = 1  # raise it where the same rows are to give other texts
VOWELS = "aeiouyäöüáéíóúàèìòùâêîôûåøæãõëïőűąęěıăý"
HEADS = [  # of one syllable, of two
    re.compile(rf"[^{VOWELS}]*[{VOWELS}]+[^{VOWELS}]", re.I),
    re.compile(rf"[^{VOWELS}]*[{VOWELS}]+[^{VOWELS}]+[{VOWELS}]+[^{VOWELS}]", re.I),
]
TAILS = [
    re.compile(rf"[{VOWELS}]+[^{VOWELS}]+[{VOWELS}]*$", re.I),
    re.compile(rf"[{VOWELS}]+[^{VOWELS}]+[{VOWELS}]+[^{VOWELS}]+[{VOWELS}]*$", re.I),
]
STEM = re.compile(rf"[^{VOWELS}]*[{VOWELS}]+[^{VOWELS}]{{1,2}}", re.I)
PLAIN = re.compile(r"[^\W\d_]{3,12}")
UGLY = re.compile(rf"(.)\1\1|[^{VOWELS}]{{5}}|[{VOWELS}]{{4}}", re.I)
SHORTEST, LONGEST = 6, 12  # letters; a shorter blend is too often a word after all
TRIES = 2000
ROWS = "the words of the rows"


@dataclass(frozen=True)
class Person:
    first: str
    last: str
    female: bool

    @property
    def full(self) -> str:
        return f"{self.first} {self.last}"


@dataclass(frozen=True)
class Language:
    """The names that Faker knows of a locale, sorted."""

    male: list[str]
    female: list[str]
    last: list[str]


def versions() -> dict[str, int | str]:
    """What else than rows, settings and seed determines what is made; part of its key."""
    return {"faker": version("faker"), "synth": RULES}


@functools.cache
def languages() -> tuple[Language, ...]:
    from faker import Faker  # here, because it takes a third of a second

    found = []
    for locale in LOCALES:
        fake = Faker(locale, providers=["faker.providers.person"])
        fake.seed_instance(0)
        kinds = [fake.first_name_male, fake.first_name_female, fake.last_name]
        drawn = ({kind() for _ in range(DRAWS)} for kind in kinds)
        male, female, last = (sorted(n for n in names if PLAIN.fullmatch(n)) for names in drawn)
        last = [name for name in last if not name.endswith(("ová", "ska", "cka"))]
        found.append(Language(male, female, last))
    return tuple(found)


@functools.cache
def _real() -> frozenset[str]:
    """Every first name and surname of the locales, without case and accents."""
    return frozenset(
        normal(name) for each in languages() for name in (*each.male, *each.female, *each.last)
    )


@dataclass
class Names:
    """Invents names, none twice, none that is in a list of `avoid` (the list's name to its names).

    `words`: words that occur in real rows, of which no invented word may be one. `collisions` counts
    by list how many inventions were thrown away.
    """

    rng: random.Random
    avoid: Mapping[str, Iterable[str]] = field(default_factory=dict)
    words: Collection[str] = frozenset()
    collisions: Counter[str] = field(default_factory=Counter)
    _taken: set[str] = field(default_factory=set)
    _lists: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        for name, titles in self.avoid.items():
            for title in titles:
                self._lists.setdefault(normal(title), name)

    def thrown_away(self) -> dict[str, int]:
        """How many inventions each list has stopped."""
        return {name: self.collisions[name] for name in (*self.avoid, ROWS)}

    def person(self, female: bool | None = None) -> Person:
        """A real first name (of the sex, where given) with an invented surname of its language."""
        for _ in range(TRIES):
            language = self.rng.choice(languages())
            woman = self.rng.random() < 0.5 if female is None else female
            first = self.rng.choice(language.female if woman else language.male)
            person = Person(first, self.word(language), woman)
            if self._free(person.full):
                return person
        raise _exhausted("people")

    def place(self, tail: str = "") -> str:
        """A town, or with a tail such as `County` whatever that is."""

        def make() -> str:
            word = self._blend(self.rng.choice(languages()))
            stem = STEM.match(word)
            if stem and self.rng.random() < 0.6:
                ending = self.rng.choice(PLACE_ENDINGS)
                joined = stem[0][:-1] if stem[0][-1] == ending[0] else stem[0]
                word = joined + ending
            return word

        return self._invent(make, f" {tail}" if tail else "", "places")

    def word(self, language: Language | None = None) -> str:
        """A single word, like a surname."""
        return self._invent(
            lambda: self._blend(language or self.rng.choice(languages())), "", "words"
        )

    def name(self, tail: str = "") -> str:
        """The name of what is neither a person nor a place nor a work, such as a band or a party."""
        return f"{self.word()} {tail}" if tail else self.word()

    def work(self) -> str:
        """The title of a book, film, song, …"""
        for _ in range(TRIES):
            pattern = self.rng.choice(TITLE_PATTERNS)
            title = pattern.format(
                noun=self.rng.choice(TITLE_NOUNS),
                adjective=self.rng.choice(TITLE_ADJECTIVES),
                word=self.word() if "{word}" in pattern else "",
                place=self.place() if "{place}" in pattern else "",
            )
            title = agree(title, *title.split()[1:2])
            if self._free(title, whole=False):
                return title
        raise _exhausted("titles")

    def _invent(self, make, tail: str, what: str) -> str:
        for _ in range(TRIES):
            word = make()
            if not word or UGLY.search(word) or not SHORTEST <= len(word) <= LONGEST:
                continue
            if normal(word) in _real():
                continue
            if normal(word) in self.words:
                self.collisions[ROWS] += 1
            elif self._free(word + tail) and (not tail or self._free(word)):
                return word + tail
        raise _exhausted(what)

    def _blend(self, language: Language) -> str:
        one, other = self.rng.sample(language.last, 2)
        head, tail = self.rng.choice(HEADS).match(one), self.rng.choice(TAILS).search(other)
        return head[0] + tail[0].lower() if head and tail else ""

    def _free(self, name: str, whole: bool = True) -> bool:
        """Whether a name is nobody's; from now on it is taken."""
        key = normal(name)
        if key in self._lists:
            self.collisions[self._lists[key]] += 1
            return False
        if key in self._taken:
            # A title may be a word that was invented for it.
            return not whole
        self._taken.add(key)
        return True


def real_words(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts, as `Names.words` takes them."""
    return frozenset(word for text in texts for word in words(text))


def _exhausted(what: str) -> PrereqError:
    return PrereqError(
        f"no more names of {what} that are free after {TRIES} tries; ask for fewer questions or subjects"
    )
