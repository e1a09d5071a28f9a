"""The words of the embedded world, as `words.yaml` has them: see there for what they must be."""

from pathlib import Path

import yaml

_WORDS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

FIRST_NAMES: list[str] = _WORDS["first_names"].split()
LAST_NAMES: list[str] = _WORDS["last_names"].split()
VALUES: dict[str, list[str]] = {name: words.split() for name, words in _WORDS["values"].items()}
RELATIONS = tuple(VALUES)

# Wordings hold {name}, or {name} and {value}.
STATEMENTS: dict[str, list[str]] = _WORDS["statements"]
ASIDES: dict[str, list[str]] = _WORDS["asides"]
REQUEST: str = _WORDS["request"]
BIOGRAPHY: dict[str, str] = _WORDS["biography"]
QUESTION: dict[str, str] = _WORDS["question"]
GRADES: dict[str, str] = _WORDS["grades"]  # the answer of a grade, the best held first
FRAME: str = _WORDS["frame"]
