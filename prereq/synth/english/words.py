"""The words of `words.yaml`: see there for what they are for."""

from pathlib import Path

import yaml

_WORDS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

TITLE_NOUNS: list[str] = _WORDS["title_nouns"].split()
TITLE_ADJECTIVES: list[str] = _WORDS["title_adjectives"].split()
TITLE_PATTERNS: list[str] = _WORDS["title_patterns"]
PLACE_ENDINGS: list[str] = _WORDS["place_endings"].split()
GENERIC = frozenset(_WORDS["generic"].split())
HONORIFICS = frozenset(_WORDS["honorifics"].split())
DEMONYMS: list[str] = _WORDS["demonyms"].split()
BEGINNINGS = frozenset(_WORDS["beginnings"].split())
MONTHS: list[str] = _WORDS["months"].split()
