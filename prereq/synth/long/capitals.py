"""Names in a text: runs of capitalised words, and of which type each is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from prereq.data.sentences import sentences
from prereq.synth import kinds
from prereq.synth.checks import normal
from prereq.synth.english.forms import WITH_THE
from prereq.synth.english.words import BEGINNINGS, DEMONYMS, GENERIC, HONORIFICS, MONTHS
from prereq.synth.long.slots import Slot, Span

WORD = re.compile(r"[^\W\d_](?:[\w'’&-]|\.(?=[A-Z]))*")
INITIAL = re.compile(r"[A-Z]")
LINKS = set("of de del della di da du des la le van von der den the al el bin ibn y".split())
ROMAN = re.compile(r"[IVX]+")
INITIALS = re.compile(r"[A-Z](\.[A-Z])*")
NATIONS = frozenset(DEMONYMS)
AT = set("in at near from to around outside across throughout".split())


def names(text: str, spans: list[Span], common: Collection[str]) -> list[Span]:
    """Runs of capitalised words, typed; a person's surname alone is a part of that person's name."""
    starts, position = set(), 0
    for sentence, space in sentences(text):
        starts.add(position + len(sentence) - len(sentence.lstrip("“\"'‘(")))
        position += len(sentence) + len(space)
    covered = {i for a, b, _ in spans for i in range(a, b)}
    tokens = [m for m in WORD.finditer(text) if m.start() not in covered]
    inner = {m[0] for m in tokens if m.start() not in starts}
    found: list[Span] = []
    people: dict[str, tuple[str, str]] = {}  # a part of a name: whose, and which
    for run in _runs(text, tokens):
        begins = run[0][0] in starts
        while run and _is_beginning(run[0][2], begins, common, len(run), inner):
            run, begins = run[1:], False
        while run and run[-1][2] in LINKS:
            run = run[:-1]
        for start, end, slot in _typed(text, run, people, found, spans):
            found.append((start, end, slot))
            if slot.kind == "person" and slot.part == "full":
                first, *_, last = slot.written.split()
                people.setdefault(last, (slot.key, "last"))
                people.setdefault(first, (slot.key, "first"))
    return found


Token = tuple[int, int, str]


def _runs(text: str, tokens: list[re.Match[str]]) -> Iterator[list[Token]]:
    """Consecutive capitalised words, with the small words that may stand within a name."""
    run: list[Token] = []
    for match in tokens:
        word = re.sub(r"['’]s?$", "", match[0])
        token = match.start(), match.start() + len(word), word
        gap = text[run[-1][1] : token[0]] if run else ""
        initial = gap == ". " and INITIAL.fullmatch(run[-1][2]) and word not in BEGINNINGS
        joined = bool(run) and (gap == " " or bool(initial))
        if run and not joined:
            yield run
            run = []
        if word[:1].isupper() or (run and word in LINKS):
            run.append(token)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _is_beginning(
    word: str, begins: bool, common: Collection[str], length: int, inner: Collection[str]
) -> bool:
    """Whether the first word of a run is no part of a name."""
    if word in BEGINNINGS or word in HONORIFICS or word in MONTHS or word in LINKS or word == "I":
        return True
    if not begins:
        return False
    return word.casefold() in common or (length == 1 and word not in inner)


def _typed(
    text: str,
    run: list[Token],
    people: dict[str, tuple[str, str]],
    found: list[Span],
    taken: list[Span],
) -> Iterator[Span]:
    """The slot of a run of words, or one for each nationality in it; none for common nouns."""
    if not run:
        return
    start, end, words = run[0][0], run[-1][1], [word for _, _, word in run]
    written = text[start:end]
    rest = [word for word in words if word not in LINKS]

    def slot(kind: str, **more: str) -> Span:
        return start, end, Slot(kind, normal(written), written, **more)

    if all(word in GENERIC or word in HONORIFICS or ROMAN.fullmatch(word) for word in rest):
        return
    nations = [token for token in run if token[2].split("-")[0] in NATIONS]
    if words[0].split("-")[0] in NATIONS and len(nations) + sum(
        word in GENERIC or word in HONORIFICS for word in words
    ) == len(words):
        for first, last, word in nations:
            yield first, last, Slot("demonym", normal(word), word)
        return
    if words[0] in NATIONS and len(words) > 2:
        yield start, run[0][1], Slot("demonym", normal(words[0]), words[0])
        yield from _typed(text, run[1:], people, found, taken)
        return
    if normal(written) in kinds.countries():
        the = "the " if text[:start].endswith(" the ") and WITH_THE.match(written) else ""
        yield start - len(the), end, Slot("country", normal(written), the + written)
        return
    if len(words) == 1 and any(
        a == end + 1 and s.part == "last" and not s.key for a, _, s in taken
    ):
        female = kinds.sex(_before(text, start))
        yield (
            start,
            end,
            Slot("person", normal(written), written, "first", female=female),
        )  # a relative
        return
    if all(INITIALS.fullmatch(word) and "." in word for word in words):
        return  # U.S.
    if written in people:
        key, part = people[written]
        yield start, end, Slot("person", key, written, part)
        return
    if len(words) == 1 and written.isupper() and 2 <= len(written) <= 6:
        yield slot("acronym")
    elif words[-1] in GENERIC and len(words) > 1:
        yield slot("name", after=f" {words[-1]}")
    elif words[0] in GENERIC and len(words) > 2 and words[1] == "of":
        the = "the " if words[2] == "the" else ""
        yield slot("place", before=f"{words[0]} of {the}")
    else:
        kind = _kind(text, start, words, found)
        female = kinds.sex(_before(text, start)) if kind == "person" else None
        yield start, end, Slot(kind, normal(written), written, female=female)


def _kind(text: str, start: int, words: list[str], found: list[Span]) -> str:
    """Person, place or another name, by what stands before it and by its length."""
    word = _before(text, start)
    last = found[-1] if found else None
    if any(normal(part) in kinds.countries() for part in words):
        return "place"
    if last and last[2].kind == "place" and text[last[1] : start] == ", ":
        return "place"
    if word in AT or (word == "of" and len(words) == 1):
        return "place"
    return (
        "person"
        if 2 <= len(words) <= 4 and not LINKS & {*words[1:-1]} - {"de", "van", "von"}
        else "name"
    )


def _before(text: str, start: int) -> str:
    """The word before a place of the text, without "the", in lower case."""
    found = re.findall(r"[\w']+(?=,? (?:the )?$)", text[max(0, start - 20) : start])
    return found[-1].lower() if found else ""
