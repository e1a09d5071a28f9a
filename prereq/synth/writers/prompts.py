"""What a request to a language model is in words, and how its reply is read.

The words are those of `prompts.yaml`. A reply becomes the text that `prereq.synth.asking` checks:
statements one a line, or a passage on one line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from prereq.clients.reading import THINKING, first_json
from prereq.synth.rows import Fact, Request

_SOURCE = Path(__file__).with_suffix(".yaml").read_text("utf-8")
_WORDS = yaml.safe_load(_SOURCE)

RULES = 1  # raised when the same words are put together, or replies are read, in another way
DIGEST = hashlib.sha256(f"{RULES}\n{_SOURCE}".encode()).hexdigest()
NUMBERED = re.compile(r"^(?:[-*•–]|\(?\d{1,3}[.):])\s+")
QUOTES = {'"': '"', "“": "”", "'": "'", "«": "»"}


def texts(layout: str) -> tuple[str, ...]:
    """The prompts for statements and passages with their slots, for the data card."""
    return tuple(
        f"{_WORDS[form]}\n\n{_WORDS[layout][form]}".replace("{{", "{").replace("}}", "}")
        for form in ("statements", "passage")
    )


def prompt(request: Request, layout: str) -> str:
    """A request in words. `layout`: how the reply is to look, `json` or `lines`."""
    must = dict.fromkeys(part for fact in request.facts for part in fact.must)
    slots = {
        "subject": request.subject,
        "count": request.count,
        "facts": "\n".join(f"- {' '.join(fact.said[0].split())}" for fact in request.facts),
        "must": "; ".join(must),
        "wording": request.wording,
        "forbidden": "; ".join(request.forbidden),
        "fault": request.fault,
    }
    one = request.form == "statements" and request.count == 1
    parts = [_WORDS["statement" if one else request.form]]
    parts += [_WORDS["another"]] if request.wording else []
    parts += [_WORDS["forbidden"]] if request.forbidden else []
    parts += [_WORDS["fault"]] if request.fault else []
    parts.append(_WORDS[layout][request.form])
    return "\n\n".join(part.format(**slots) for part in parts)


def conversation(request: Request, layout: str, example: bool = False) -> list[dict[str, str]]:
    """The messages to send; with `example` a request that has been answered stands before."""
    asked = [{"role": "user", "content": prompt(request, layout)}]
    return [*_example(request, layout), *asked] if example else asked


def _example(request: Request, layout: str) -> list[dict[str, str]]:
    """A request of the same form about somebody else, and a right reply (lines)."""
    given = _WORDS["example"]
    lines = given["statements"].split("\n")
    facts = tuple(Fact("", "", tuple(f["must"]), (f["said"],)) for f in given["facts"])
    if request.form == "statements":
        count = min(request.count, len(lines))
        shown = Request("statements", given["subject"], facts[:1], ("she", "her"), count)
        reply = "\n".join(lines[:count])
    else:
        shown = Request("passage", given["subject"], facts, ("she", "her"))
        reply = given["passage"]
    return [
        {"role": "user", "content": prompt(shown, layout)},
        {"role": "assistant", "content": reply},
    ]


def schema(form: str, count: int) -> dict[str, Any]:
    """The JSON schema of a reply: `{"statements": [count strings]}` or `{"passage": string}`."""
    sentences = {"type": "array", "items": {"type": "string"}}
    sentences |= {"minItems": count, "maxItems": count}
    value = sentences if form == "statements" else {"type": "string"}
    return {
        "type": "object",
        "properties": {form: value},
        "required": [form],
        "additionalProperties": False,
    }


def length(request: Request) -> int:
    """Characters that a right reply is expected to have, for an estimate."""
    facts = sum(len(fact.said[0]) for fact in request.facts)
    return 20 + request.count * (facts + 4) if request.form == "statements" else 20 + facts


def from_json(form: str, value: Any) -> str:
    """The text of a reply in JSON. Raises ValueError that says how it should look."""
    held = value.get(form) if isinstance(value, dict) else None
    if form == "passage":
        if not isinstance(held, str) or not held.strip():
            raise ValueError("it must be an object whose key passage holds a text")
        return _one_line(held)
    sentences = held if isinstance(held, list) else []
    if not sentences or not all(isinstance(each, str) and each.strip() for each in sentences):
        raise ValueError("it must be an object whose key statements holds a list of sentences")
    return "\n".join(_one_line(each) for each in sentences)


def from_text(form: str, text: str) -> str:
    """The text of a reply that is no JSON: its lines without what announces them, numbers and marks.

    Of a passage it is the longest paragraph, for models like to speak before and after. Raises
    ValueError where nothing is left, or where it is JSON that breaks off.
    """
    text = THINKING.sub("", text)
    if re.search(r'^\s*(```|[{\[]\s*")', text, re.M):
        raise ValueError("its JSON cannot be read")
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [_bare(line) for line in paragraph.split("\n")]
        paragraphs.append([line for line in lines if line and not line.endswith(":")])
    if not any(paragraphs):
        raise ValueError("nothing was written")
    if form == "statements":
        return "\n".join(line for lines in paragraphs for line in lines)
    return max((" ".join(lines) for lines in paragraphs), key=len)


def from_either(form: str, text: str) -> str:
    """The text of a reply that is JSON or is not. Raises ValueError where it cannot be used."""
    try:
        value = first_json(text, "object")
    except ValueError:
        return from_text(form, text)
    return from_json(form, value)


def _bare(line: str) -> str:
    """A line without Markdown, number, bullet or quotation marks around it; headings are left out."""
    line = line.strip()
    if line.startswith("#"):
        return ""
    line = NUMBERED.sub("", line).replace("**", "").strip()
    if len(line) > 1 and QUOTES.get(line[0]) == line[-1] and line[0] not in line[1:-1]:
        line = line[1:-1]
    return _one_line(line)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def seed_of(messages: Sequence[dict[str, str]], attempt: int, seed: int) -> int:
    """A number for drawing a reply, 0 to 2³² - 1, that follows from what is asked."""
    content = json.dumps([seed, attempt, list(messages)])
    return int(hashlib.sha256(content.encode()).hexdigest()[:8], 16)
