"""What a template is: the sentences of a real text, with slots for what they assert."""

from __future__ import annotations

from dataclasses import dataclass

from prereq.synth.checks import normal


@dataclass(frozen=True)
class Slot:
    """A place of a value. Equal `key`s have equal values; key "" is the subject.

    `kind`: a type of `rows.TYPES`, or `date`, `country`, `demonym`, `acronym`. `part`: of a
    person's name; `female`: that person's sex, where the text says it.
    `before` and `after`: words that stay, as in "University of …". `written`: what stands in the real text.
    """

    kind: str
    key: str
    written: str
    part: str = "full"
    before: str = ""
    after: str = ""
    female: bool | None = None


Piece = str | Slot


@dataclass(frozen=True)
class Sentence:
    pieces: tuple[Piece, ...]
    space: str

    @property
    def slots(self) -> list[Slot]:
        """The slots but for the subject's."""
        return [piece for piece in self.pieces if isinstance(piece, Slot) and piece.key]


@dataclass(frozen=True)
class Template:
    """A prompt and a response with slots. `person`: whether the subject is one, and of which sex."""

    prompt: tuple[Piece, ...]
    sentences: tuple[Sentence, ...]
    subject: str
    person: bool
    female: bool | None

    @property
    def slots(self) -> dict[str, Slot]:
        """One slot for each key, the one that shows most of the value; not the subject."""
        found: dict[str, Slot] = {}
        for slot in (slot for sentence in self.sentences for slot in sentence.slots):
            if slot.key not in found or slot.part == "full":
                found.setdefault(slot.key, slot)
        return found

    @property
    def named(self) -> bool:
        """Whether the response has the subject's full name."""
        pieces = (piece for sentence in self.sentences for piece in sentence.pieces)
        return any(isinstance(p, Slot) and not p.key and p.part == "full" for p in pieces)

    @property
    def fixed(self) -> float:
        """The share of the words that is the same in every version."""
        pieces = [piece for sentence in self.sentences for piece in sentence.pieces]
        kept = sum(len(normal(piece).split()) for piece in pieces if isinstance(piece, str))
        filled = sum(len(normal(p.written).split()) for p in pieces if isinstance(p, Slot))
        return kept / max(1, kept + filled)


Span = tuple[int, int, Slot]  # from where to where in a text
