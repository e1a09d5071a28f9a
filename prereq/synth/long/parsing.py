"""A real text as a template: what it asserts with slots for names, dates and numbers.

What stands in lower case stays, so it is the same in every version; the data card says how much that is.
The rules are for English. They go by capital letters and position, and a slot has the type that its
surroundings suggest; a wrong type costs sense, never the contradiction between versions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from prereq.data.sentences import sentences
from prereq.synth import kinds
from prereq.synth.checks import normal
from prereq.synth.english.words import MONTHS
from prereq.synth.long import capitals
from prereq.synth.long.slots import Piece, Sentence, Slot, Span, Template

MONTH = "|".join(MONTHS)
DATE = re.compile(
    rf"\b(?:\d{{1,2}} (?:{MONTH}),? |(?:{MONTH})(?: \d{{1,2}},)? )[12]\d{{3}}\b|\b[12]\d{{3}}-\d\d-\d\d\b|"
    r"\b[12]\d{3}[–-]\d\d\b(?![–-])|\b[12]\d{3}s?\b"
)
NUMBER = re.compile(
    r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:st|nd|rd|th)?(?=[ck]?m\b|k?g\b|(?!\w|\.\d))"
)
QUOTED = re.compile(r"[“\"]([A-Z][^”\"\n]{1,80}?)[.,]?[”\"]")


def template(prompt: str, response: str, subject: str, common: Collection[str]) -> Template | None:
    """The template of a real text; None where the prompt does not name its subject.

    `common`: words that the texts also have in lower case, so that they are no names where they begin
    a sentence.
    """
    subject = re.sub(r"\s*\([^)]*\)$", "", " ".join(subject.split())) or subject
    response = _without_notes(response.strip())
    women = len(re.findall(r"\b(she|her|hers)\b", response, re.I))
    men = len(re.findall(r"\b(he|his|him)\b", response, re.I))
    shape = kinds.shape([subject])[0]
    lived = re.search(r"\bborn\b|\(.{,20}\d{4} [–-] .{,20}\d{4}\)", response[:200])
    person = subject[:1].isupper() and (
        (bool(women or men) and shape != "work") or (bool(lived) and shape == "person")
    )
    names = _subject(subject, person)
    asked = tuple(_pieces(prompt, list(_found(prompt, names))))
    if not any(isinstance(piece, Slot) for piece in asked):
        return None
    spans = _spans(response, names, common)
    parts, start = [], 0
    for sentence, space in sentences(response):
        end = start + len(sentence)
        inside = [(a - start, b - start, slot) for a, b, slot in spans if start <= a and b <= end]
        parts.append(Sentence(tuple(_pieces(sentence, inside)), space))
        start = end + len(space)
    female = women > men if person and (women or men) else None
    return Template(asked, tuple(parts), subject, person, female)


def _without_notes(text: str) -> str:
    """The text without what stands in brackets on spelling and pronunciation: they are the real name's."""

    def kept(match: re.Match[str]) -> str:
        parts = [part.strip() for part in match[2].split(";")]
        parts = [
            part for part in parts if part and not re.search(r"[:\[\]/]|[^\W\d_a-zA-ZÀ-ž]", part)
        ]
        return f"{match[1]}({'; '.join(parts)})" if parts else ""

    return re.sub(r"( ?)\(([^()]*)\)", kept, text)


def _subject(subject: str, person: bool) -> list[tuple[re.Pattern[str], str]]:
    """What finds the subject's name and its parts, the longest first."""
    words = subject.split()
    first, last = words[0], words[-1]
    found = [(rf"\b{re.escape(subject)}(?!\w)", "full")]
    if person and len(words) > 1:
        # A text begins with the name, often in full: "Anna Maria Berg" where the subject is Anna Berg.
        found.append((rf"\A(?:[A-Z][\w.'’-]* ){{1,4}}{re.escape(last)}(?: [JS]r\b)?(?!\w)", "full"))
        middle = r"(?: [A-Z][\w.'’-]*){1,3}"
        found.append((rf"\b{re.escape(first)}{middle} {re.escape(last)}(?!\w)", "full"))
        found.append((rf"(?<![\w-]){re.escape(last)}(?!\w)", "last"))
        found.append((rf"\b{re.escape(first)}(?!\w)", "first"))
    flags = 0 if person else re.I
    return [(re.compile(pattern, flags), part) for pattern, part in found]


def _found(text: str, names: list[tuple[re.Pattern[str], str]]) -> Iterator[Span]:
    taken: list[tuple[int, int]] = []
    for pattern, part in names:
        for match in pattern.finditer(text):
            if not any(a < match.end() and match.start() < b for a, b in taken):
                taken.append(match.span())
                yield *match.span(), Slot("subject", "", match[0], part)


def _spans(
    text: str, names: list[tuple[re.Pattern[str], str]], common: Collection[str]
) -> list[Span]:
    """Every slot of a text, in order; none overlaps another."""
    spans: list[Span] = []

    def add(start: int, end: int, slot: Slot) -> None:
        if start < end and not any(a < end and start < b for a, b, _ in spans):
            spans.append((start, end, slot))

    for span in _found(text, names):
        add(*span)
    for match in QUOTED.finditer(text):
        add(*match.span(1), Slot("work", normal(match[1]), match[1]))
    for kind, pattern in (("date", DATE), ("number", NUMBER)):
        for match in pattern.finditer(text):
            add(*match.span(), Slot(kind, match[0], match[0]))
    for span in capitals.names(text, spans, common):
        add(*span)
    return sorted(spans, key=lambda span: span[0])


def _pieces(text: str, spans: list[Span]) -> Iterator[Piece]:
    position = 0
    for start, end, slot in sorted(spans, key=lambda span: span[0]):
        if position < start:
            yield text[position:start]
        yield slot
        position = end
    if position < len(text):
        yield text[position:]
