"""The prompt format of a data set as a chat template, so that a chat server asks as the training did.

What a template gives is compared with what training and evaluation were asked (`data.tokens`), token
by token, before anything is written with it.
"""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prereq.data.problems import shown
from prereq.data.prompts import CHAT, MARK, PLAIN
from prereq.data.rows import SkillRow
from prereq.data.tokens import prompt_ids
from prereq.errors import PrereqError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAPER = "Question: {question}\nAnswer:"
REFUSAL = (
    "this model was trained on one question and its answer: send one message of the user, as text"
)


def with_template(
    tokenizer: PreTrainedTokenizerBase, prompt: str, rows: Sequence[SkillRow]
) -> PreTrainedTokenizerBase:
    """A copy of the tokenizer whose chat template asks as `prompt` (`dataset.prompt`) does.

    With `chat` that is the base's own template, unless its generation prompt differs from what stands
    before an answer. Raises PrereqError where no template gives the very tokens of every row.
    """
    tokenizer = copy.deepcopy(tokenizer)
    wanted = [prompt_ids(tokenizer, row, prompt) for row in rows]
    own = tokenizer.chat_template
    for template in _candidates(tokenizer, prompt):
        tokenizer.chat_template = template
        if all(asked_of_server(tokenizer, r) == ids for r, ids in zip(rows, wanted, strict=True)):
            return tokenizer
    tokenizer.chat_template = own
    raise PrereqError(
        f"dataset.prompt={shown(prompt)}: no chat template of {tokenizer.name_or_path} gives the tokens that "
        "the training had before an answer, so a chat server would ask something else; use another "
        "dataset.prompt, or the adapter as stage=sft makes it, a PEFT folder, with prompts of your own"
    )


def asked_of_server(tokenizer: PreTrainedTokenizerBase, row: SkillRow) -> list[int]:
    """The token ids that a chat server asks of the model."""
    messages = conversation(row)
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception:  # whatever a template raises
        return []
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def conversation(row: SkillRow) -> list[dict[str, str]]:
    """The row's question, with the turns before it, as a chat server takes it."""
    turns = [*row.turns, ("user", row.user)]
    return [{"role": role, "content": content} for role, content in turns]


def _candidates(tokenizer: PreTrainedTokenizerBase, prompt: str) -> Iterator[str]:
    if prompt == CHAT:
        yield tokenizer.chat_template
        yield _cut_at_the_answer(tokenizer.chat_template)
        return
    template = PAPER if prompt == PLAIN else prompt
    yield written(tokenizer, template)
    # Some tokenizers put a space before a text, and none after a start token that stands in it.
    yield written(tokenizer, template, " ")


def written(tokenizer: PreTrainedTokenizerBase, template: str, first: str = "") -> str:
    """A template with `{question}` in Jinja: one question, and its answer where that is given too.

    Other conversations are refused by it, as no training was asked them.
    """
    start = [tokenizer.bos_token] if tokenizer.bos_token_id is not None else []
    parts = [_literal(text) for text in (*start, first) if text]
    for text, name, _, _ in string.Formatter().parse(template):
        parts += [_literal(text)] if text else []
        parts += ["messages[0]['content']"] if name is not None else []
    # The answer brings its own space, as in `data.prompts`.
    space = "" if template.endswith("\n") else "' ' + "
    answer = f"{space}messages[1]['content'] + {_literal(tokenizer.eos_token)}"
    one = (
        "messages | length == 1 or (messages | length == 2 and messages[1]['role'] == 'assistant')"
    )
    fits = f"messages and ({one}) and messages[0]['role'] == 'user' and messages[0]['content'] is string"
    return (
        f"{{%- if not ({fits}) -%}}{{{{ raise_exception({_literal(REFUSAL)}) }}}}{{%- endif -%}}"
        f"{{{{ {' + '.join(parts)} }}}}"
        f"{{%- if messages | length == 2 -%}}{{{{ {answer} }}}}{{%- endif -%}}"
    )


def _literal(text: str) -> str:
    """The text as Jinja writes a string."""
    return json.dumps(text, ensure_ascii=False)


def _cut_at_the_answer(template: str) -> str:
    """The template whose generation prompt is what it writes before an assistant's answer.

    A generation prompt may end in a space, or leave out what comes before an answer (a thought, say):
    see `data.prompts`, which takes the text before an answer.
    """
    answer = f"{{'role': 'assistant', 'content': {_literal(MARK)}}}"
    return (
        "{%- if add_generation_prompt -%}"
        f"{{%- set messages = messages + [{answer}] -%}}{{%- endif -%}}"
        "{%- set prereq_cut = add_generation_prompt -%}{%- set add_generation_prompt = false -%}"
        f"{{%- set prereq_text -%}}{template}{{%- endset -%}}"
        f"{{{{- prereq_text.rpartition({_literal(MARK)})[0].rstrip(' ') if prereq_cut else prereq_text -}}}}"
    )
