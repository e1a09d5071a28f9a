"""What a language model is asked about facts, in the words of `prompts.yaml`, and how its reply is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from prereq.clients.reading import THINKING, first_json
from prereq.config.shape import braces
from prereq.errors import PrereqError
from prereq.evaluation.factscore.rows import VERDICTS, Claim, Sentence

Message = dict[str, str]

RULES = 1  # raised when the same words are put together, or replies are read, in another way
SLOTS = {"facts": {"topic", "before", "sentence"}, "verdict": {"topic", "passages", "fact"}}
NUMBERED = re.compile(r"^(?:[-*•–]|\(?\d{1,3}[.):])\s+")  # before a fact on a line of its own
NONE = re.compile(r"\W*(none|no facts?)\W*", re.I)
MARKS = " \t\r\n\"'`*.:“”"  # around a verdict


@dataclass(frozen=True)
class Form:
    """A kind of reply: its JSON schema, how it is read, and how many tokens it is expected to have."""

    name: str  # facts | verdict
    schema: dict[str, Any]
    from_json: Callable[[Any], Any]  # of the value; both raise ValueError with what is wrong
    from_text: Callable[[str], Any]
    tokens: int


def digest(file: str | None = None) -> str:
    """Stands for the prompts and the rules of reading in the keys of artifacts."""
    return hashlib.sha256(f"{RULES}\n{_source(file)}".encode()).hexdigest()[:16]


def check(file: str | None) -> None:
    """Raise PrereqError for a file of prompts that cannot be used."""
    _words(file)


def of_sentence(asked: Sentence, layout: str, file: str | None = None) -> list[Message]:
    """The conversation that asks for the facts of a sentence. `layout`: json | lines."""
    slots = {"topic": asked.topic, "before": asked.before or "none", "sentence": asked.text}
    return _conversation("facts", slots, layout, file)


def of_claim(asked: Claim, layout: str, file: str | None = None) -> list[Message]:
    """The conversation that asks for the verdict on a claim."""
    told = [f"{p.title}: {' '.join(p.text.split())}" for p in asked.passages]
    passages = "\n\n".join(told) or "(There is no passage.)"
    slots = {"topic": asked.topic, "fact": asked.fact, "passages": passages}
    return _conversation("verdict", slots, layout, file)


def _conversation(name: str, slots: dict, layout: str, file: str | None) -> list[Message]:
    """The messages; a model in this process is shown examples first."""
    words, said = _words(file), []

    def ask(slots: dict) -> Message:
        text = words[name].format(**slots) + "\n\n" + words[layout][name].format()
        return {"role": "user", "content": text}

    for example in words["examples"][name] if layout == "lines" else ():
        said += [ask(example), {"role": "assistant", "content": example["reply"]}]
    return [*said, ask(slots)]


def _facts_of_json(value: Any) -> list[str]:
    held = value.get("facts") if isinstance(value, dict) else None
    if not isinstance(held, list) or not all(isinstance(one, str) for one in held):
        raise ValueError("it must be an object whose key facts holds a list of sentences")
    return [" ".join(fact.split()) for fact in held if fact.strip()]


def _facts_of_text(text: str) -> list[str]:
    """The facts of a reply: JSON, or a line each. A line is cut nowhere, whatever it holds."""
    text = THINKING.sub("", text).strip()
    if re.search(r'^\s*(```|[{\[]\s*")', text, re.M):
        return _facts_of_json(first_json(text, "object"))
    if NONE.fullmatch(text):
        return []
    lines = [" ".join(NUMBERED.sub("", line.strip()).split()) for line in text.split("\n")]
    found = [line for line in lines if line and not line.endswith(":")]
    if not found:
        raise ValueError("it holds no fact, nor the word none")
    return found


def _verdict_of_json(value: Any) -> str:
    held = value.get("verdict") if isinstance(value, dict) else None
    return _verdict(held if isinstance(held, str) else "")


def _verdict_of_text(text: str) -> str:
    """A reply that is a verdict and nothing else, or whose first line is, or JSON that holds one."""
    text = THINKING.sub("", text).strip()
    if "{" in text:
        return _verdict_of_json(first_json(text, "object"))
    return _verdict(text.partition("\n")[0])


def _verdict(text: str) -> str:
    """Raises ValueError for anything but one of the three words: a guess would count as a verdict."""
    plain = " ".join(re.sub(r"[_-]", " ", text.strip(MARKS).lower()).split())
    if plain not in VERDICTS:
        raise ValueError(f"the verdict must be one of {', '.join(VERDICTS)}")
    return plain


def _schema(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: value},
        "required": [name],
        "additionalProperties": False,
    }


FACTS = Form(
    "facts",
    _schema("facts", {"type": "array", "items": {"type": "string"}}),
    _facts_of_json,
    _facts_of_text,
    80,
)
VERDICT = Form(
    "verdict",
    _schema("verdict", {"type": "string", "enum": list(VERDICTS)}),
    _verdict_of_json,
    _verdict_of_text,
    12,
)


@cache
def _source(file: str | None) -> str:
    try:
        return (Path(file) if file else Path(__file__).with_suffix(".yaml")).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise PrereqError(
            f"judge.prompts={file}: cannot be read ({error}); give a YAML file"
        ) from None


@cache
def _words(file: str | None) -> dict[str, Any]:
    """The prompts; a user's own checked. Raises PrereqError that names file and key."""
    own = yaml.safe_load(_source(None))
    if file is None:
        return own
    try:
        words = yaml.safe_load(_source(file))
    except yaml.YAMLError as error:
        raise PrereqError(f"judge.prompts={file}: not YAML ({error})") from None
    if not isinstance(words, dict) or not set(words) <= set(own):
        there = ", ".join(map(str, words)) if isinstance(words, dict) else "no mapping"
        raise PrereqError(f"judge.prompts={file}: holds {there}; its keys are {', '.join(own)}")
    for name, slots in SLOTS.items():
        text = words.get(name, own[name])
        if not isinstance(text, str) or braces(text) != slots:
            raise PrereqError(
                f"judge.prompts={file}: {name} must be a text that holds "
                f"{', '.join(f'{{{slot}}}' for slot in sorted(slots))} and nothing else in braces"
            )
    for key in set(words) - set(SLOTS):
        if not _alike(words[key], own[key]):
            raise PrereqError(f"judge.prompts={file}: {key} must be built as in the package's file")
    return own | words


def _alike(value: Any, model: Any) -> bool:
    """Whether a value has the keys and the types of another."""
    if isinstance(model, dict):
        there = isinstance(value, dict) and set(value) == set(model)
        return there and all(_alike(value[key], model[key]) for key in model)
    if isinstance(model, list):
        return isinstance(value, list) and all(_alike(one, model[0]) for one in value)
    return type(value) is type(model)
