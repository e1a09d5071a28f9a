"""The writer without a model: statements as the rules and the user's own texts word them.

It needs no model, runs on any machine and gives the same text for the same request. Its paraphrases are
those of a grammar; a model's are freer.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from prereq.synth.checks import near_duplicates
from prereq.synth.english.forms import capital, possessive
from prereq.synth.rows import Request, Writer


def write(requests: Sequence[Request]) -> list[str]:
    """A text for each request: statements one a line, or a passage."""
    return [
        _statements(request) if request.form == "statements" else _passage(request)
        for request in requests
    ]


WRITER = Writer("template", write)


def _statements(request: Request) -> str:
    """The first `count` wordings of a fact; at each further attempt as many of the following ones."""
    said = request.facts[0].said
    repeats = near_duplicates(said)
    said = [text for index, text in enumerate(said) if index not in repeats]
    start = request.attempt * request.count % len(said)
    return "\n".join((said[start:] + said[:start])[: request.count])


def _passage(request: Request) -> str:
    """Every fact once, in running text. Each passage of a subject has other wordings, in another order."""
    turn = request.wording + request.attempt + zlib.crc32(request.subject.encode())
    first, *others = request.facts
    shift = (request.wording + request.attempt) % max(1, len(others))
    parts = []
    for place, fact in enumerate((first, *others[shift:], *others[:shift])):
        running = fact.running or fact.said
        sentence = running[(turn + place) % len(running)]
        parts.append(_shortened(sentence, request) if place else sentence)
    return " ".join(parts)


def _shortened(sentence: str, request: Request) -> str:
    """The sentence with a pronoun for the subject, where it begins with it."""
    nominative, owned = request.pronouns
    owner = possessive(request.subject) + " "
    if sentence.startswith(owner):
        rest = sentence.removeprefix(owner)
        return sentence if request.subject in rest else f"{capital(owned)} {rest}"
    rest = sentence.removeprefix(f"{request.subject} ")
    if rest == sentence or request.subject in rest or not rest[:1].islower():
        return sentence
    return f"{capital(nominative)} {rest}"
