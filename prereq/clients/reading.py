"""Find the JSON in a reply that may have words, code fences or reasoning around it."""

import json
import re
from typing import Any

from prereq.runtime.files import parse_json

THINKING = re.compile(r"\A\s*<think>.*?</think>", re.S)  # drafts of JSON may stand in there
BRACKETS = {"object": "{", "array": "["}


def first_json(text: str, kind: str | None = None) -> Any:
    """The first JSON object or array in a text; `kind` (`object` or `array`) wants one of them.

    Raises ValueError, also for what `parse_json` refuses: NaN, or a key given twice.
    """
    text = THINKING.sub("", text)
    opening = BRACKETS.get(kind or "", "{[")
    for start in re.finditer(f"[{re.escape(opening)}]", text):
        try:
            _, end = _decoder.raw_decode(text, start.start())
        except RecursionError:
            raise ValueError("its JSON is nested too deep") from None
        except json.JSONDecodeError as error:
            # What breaks off is not taken for a part of it that is whole.
            if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
                raise ValueError("its JSON breaks off") from None
            continue
        return parse_json(text[start.start() : end])
    raise ValueError(f"there is no JSON {kind or 'object or array'} in it")


_decoder = json.JSONDecoder()
