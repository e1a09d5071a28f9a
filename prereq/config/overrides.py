"""The words of the command line: read as Hydra reads them, quoted for it where that is unambiguous.

Hydra's grammar takes an unquoted `=`, `~`, `#` or accented letter for a mistake. Where a value holds no
quote, bracket, comma or other sign of the grammar, it can only be meant as the text it is. Every
other value that Hydra cannot read is refused with what to type instead.
"""

import re
import shlex
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

PLAIN = re.compile(r"[^'\"\[\]{}(),$\\]+")  # a value that needs no more than quotes


@dataclass(frozen=True)
class Word:
    """One `key=value`. `raw` is the value as typed, `override` what Hydra makes of it (None: nothing)."""

    text: str
    sign: str  # of a key that is added or deleted: +, ++ or ~
    key: str
    raw: str | None
    override: Override | None

    @property
    def is_sweep(self) -> bool:
        return self.override is not None and self.override.is_sweep_override()

    def values(self) -> list[Any]:
        """The value; of a sweep, every value (of an interval, its ends)."""
        override = self.override
        if not override.is_sweep_override():
            return [override.value()]
        if not override.is_discrete_sweep():
            return [override.value().start, override.value().end]
        return [Override._convert_value(value) for value in override.sweep_iterator()] or [None]


def read(text: str) -> Word:
    """A word of the command line, quoted where Hydra could not read it and only one thing can be meant."""
    match = re.fullmatch(r"(\+\+|\+|~|)([^=]*?)(?:=(.*))?", text, re.DOTALL)
    sign, key, raw = match.groups()
    override = _parsed(text)
    if override is None and raw is not None:
        pieces = [piece.strip() for piece in raw.split(",")]
        if all(PLAIN.fullmatch(piece) for piece in pieces):
            override = _parsed(f"{sign}{key}={','.join(map(_quoted, pieces))}")
    return Word(text, sign, override.key_or_group if override else key, raw, override)


def as_text(word: Word) -> Word:
    """The same word with every value as the text that was typed: 1e5 stays 1e5, 007 stays 007."""
    if all(value is None or isinstance(value, str) for value in word.values()):
        return word
    pieces = [piece.strip() for piece in word.raw.split(",")]
    if not all(PLAIN.fullmatch(piece) for piece in pieces) or len(pieces) != len(word.values()):
        return word
    texts = [
        piece if value is None or isinstance(value, str) else _quoted(piece)
        for piece, value in zip(pieces, word.values(), strict=True)
    ]
    return replace(word, override=_parsed(f"{word.sign}{word.key}={','.join(texts)}"))


def filled(word: Word) -> Word:
    """The same word as Hydra fills a mapping, whose names no schema has: `synth.types={job: category}`."""
    return replace(word, override=_parsed(f"++{word.key}={word.raw}"))


def to_type(key: str, raw: str) -> str:
    """What to type in a shell so that the value is read as the text `raw`."""
    return shlex.quote(f"{key}={_quoted(raw)}")


def _quoted(raw: str) -> str:
    """In double quotes for Hydra, and what looks like an interpolation escaped for OmegaConf."""
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', raw)
    escaped = re.sub(r"(\\+)$", r"\1\1", escaped)
    return '"' + re.sub(r"(\\*)\$\{", r"\1\1\\${", escaped) + '"'


def _parsed(text: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None
