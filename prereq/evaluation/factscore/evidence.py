"""Passages for each fact: those of the topic's own pages first, then of the whole source, by BM25.

BM25 (Robertson and Zaragoza 2009) is that of the package bm25s, over stemmed English words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prereq.errors import PrereqError
from prereq.evaluation.factscore.rows import Passage
from prereq.evaluation.factscore.source import Page, passages
from prereq.evaluation.factscore.verdicts import facts_of
from prereq.evaluation.scoring import folded
from prereq.runtime import signals
from prereq.runtime.console import progress

RULES = 1  # raised when the same source gives other passages


@dataclass(frozen=True)
class Index:
    """A source to search: its passages, which of them are of a title, and BM25 over all of them."""

    passages: list[Passage]
    own: dict[str, list[int]]
    bm25: Any  # bm25s.BM25
    stemmer: Any


def titled(title: str) -> str:
    """What titles are compared by: without accents, case, punctuation and doubled spaces."""
    letters = unicodedata.normalize("NFKD", folded(title))
    plain = "".join(c for c in letters if not unicodedata.combining(c)).casefold()
    return " ".join(re.sub(r"[^\w\s]", " ", plain).split()) or plain.strip()


def index(pages: Sequence[Page], words: int) -> Index:
    """The pages cut into passages and indexed. Takes memory of the order of the texts' size.

    Raises PrereqError where there is no word to search by.
    """
    with signals.imports():
        import bm25s
        import Stemmer

    cut = passages(pages, words)
    own: dict[str, list[int]] = {}
    for number, (page, _) in enumerate(cut):
        for name in {titled(name) for name in (page.title, *page.aliases)}:
            own.setdefault(name, []).append(number)
    stemmer, found = Stemmer.Stemmer("english"), [passage for _, passage in cut]
    texts = [f"{passage.title}\n{passage.text}" for passage in found]
    bm25 = bm25s.BM25()
    with progress("index the knowledge source", len(texts)):
        searched = _words(texts, stemmer)
        if not any(searched):
            raise PrereqError(
                f"judge.knowledge: none of its {len(texts):,} passages has a word to search by (words of one "
                "letter and the commonest English ones are left out); give pages with text"
            )
        bm25.index(searched, show_progress=False)
    return Index(found, own, bm25, stemmer)


def search(facts: Sequence[dict], source: Index, many: int) -> list[dict]:
    """The lines of `evidence.jsonl`: for each fact of a line of `facts.jsonl` the numbers of its passages.

    At most `many` a fact. `own` says whether the source has a page of the topic. Where knowledge of one
    version is plugged in, passages of other versions are left out.
    """
    lines = []
    with progress("look for passages", sum(len(facts_of(line)) for line in facts)) as advance:
        for line in facts:
            own = [n for n in source.own.get(titled(line["topic"]), ()) if _fits(source, n, line)]
            found = []
            for fact in facts_of(line):
                found.append(_best(f"{line['topic']} {fact}", source, own, line, many))
                advance(1)
            lines.append({"own": bool(own), "passages": found})
    return lines


def _best(query: str, source: Index, own: Sequence[int], line: dict, many: int) -> list[int]:
    """The topic's own passages, the best first, then others that share a word with the query."""
    (asked,) = _words([query], source.stemmer)
    known = [word for word in asked if word in source.bm25.vocab_dict]
    scores = source.bm25.get_scores(known) if known else np.zeros(len(source.passages))
    found = sorted(own, key=lambda number: (-scores[number], number))[:many]
    for number in np.argsort(-scores, kind="stable") if len(found) < many else ():
        if len(found) == many or scores[number] <= 0:
            break
        if number not in own and _fits(source, number, line):
            found.append(int(number))
    return found


def _fits(source: Index, number: int, line: dict) -> bool:
    """Whether the passage is true of the version that is plugged in."""
    told = source.passages[number].version
    return told is None or line["version"] is None or told == line["version"]


def _words(texts: list[str], stemmer: Any) -> list[list[str]]:
    import bm25s

    return bm25s.tokenize(
        texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False
    )
