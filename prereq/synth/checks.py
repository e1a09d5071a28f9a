"""What every text has to pass: it holds its facts, no other version's, and is no other text again."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

NEAR = 0.9  # Jaccard index of the sets of words, from which on two texts are near-duplicates

WORD, MARKS = re.compile(r"\d+(?:[.,]\d+)+|\w+"), re.compile(r"[\u0300-\u036f]+")


def words(text: str) -> list[str]:
    """The words of a text, without case, accents and signs: what comparisons go by. 1.5 is one word."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return WORD.findall(plain if plain.isascii() else MARKS.sub("", plain))


@functools.lru_cache(maxsize=1 << 16)
def normal(text: str) -> str:
    """The words of a text, one space between them."""
    return " ".join(words(text))


def holds(text: str, part: str) -> bool:
    """Whether a text has the words of `part` in a row. Nothing holds a part without words."""
    part = normal(part)
    return bool(part) and f" {part} " in f" {normal(text)} "


def lacking(text: str, parts: Iterable[str]) -> list[str]:
    """Those parts whose words are not in the text in a row; `holds` for many parts."""
    padded = f" {normal(text)} "
    return [part for part in parts if f" {normal(part)} " not in padded]


def standing(text: str, parts: Iterable[str]) -> list[str]:
    """Those parts whose words are in the text in a row."""
    padded = f" {normal(text)} "
    return [part for part in parts if f" {normal(part)} " in padded]


def near_duplicates(texts: Sequence[str]) -> set[int]:
    """Which texts repeat an earlier one: the same words, or sets of words with an index ≥ `NEAR`.

    Two sets can only be that alike if one of the few rarest words of each is common to both, so only
    such pairs are compared.
    """
    sets = [frozenset(words(text)) for text in texts]
    uses = Counter(word for each in sets for word in each)
    candidates: dict[str, list[int]] = defaultdict(list)
    repeats: set[int] = set()
    for index, mine in enumerate(sets):
        rarest = sorted(mine, key=lambda word: (uses[word], word))
        least = -int(-NEAR * len(mine) // 1)  # words in common at least, rounded up
        prefix = rarest[: len(mine) - least + 1]
        near = {other for word in prefix for other in candidates[word]}
        if any(alike(mine, sets[other]) for other in near) or not mine:
            repeats.add(index)
            continue
        for word in prefix:
            candidates[word].append(index)
    return repeats


def alike(one: frozenset[str], other: frozenset[str]) -> bool:
    common = len(one & other)
    return common >= NEAR * (len(one) + len(other) - common)
