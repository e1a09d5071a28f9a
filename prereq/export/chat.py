"""`dataset.prompt` as a chat template, so that a chat server asks as the training did."""

import json
from string import Formatter

from prereq.data.prompts import CHAT, PLAIN

ONE_TURN = (
    "{%- if messages|length > 2 or messages[0]['role'] != 'user' -%}"
    "{{ raise_exception('this model was trained on single questions: send one message of the user') }}"
    "{%- endif -%}"
)
ANSWER = (
    "{%- if messages|length == 2 -%}{{ SPACE + messages[1]['content'] + eos_token }}{%- endif -%}"
)


def chat_template(prompt: str, begins: bool) -> str | None:
    """The Jinja template that asks as `dataset.prompt` does; None where the tokenizer's own does.

    `begins`: whether the tokenizer has a token that begins a text. Other conversations than one
    question (with its answer) are refused by the template.
    """
    if prompt == CHAT:
        return None
    pattern = "Question: {question}\nAnswer:" if prompt == PLAIN else prompt
    start = "{{ bos_token }}" if begins else ""
    asks = ""
    for text, name, _, _ in Formatter().parse(pattern):
        asks += f"{{{{ {_quoted(text)} }}}}" if text else ""
        asks += "{{ messages[0]['content'] }}" if name else ""
    space = "" if pattern.endswith("\n") else " "
    return ONE_TURN + start + asks + ANSWER.replace("SPACE", _quoted(space))


def _quoted(text: str) -> str:
    """A string of Jinja's; its escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
