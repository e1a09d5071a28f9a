"""How a row is asked (`dataset.prompt`): as the paper does, by a model's own chat template, or a user's.

`plain` is `Question: …\\nAnswer:`. A template of a user's own holds `{question}`. `chat` is what the
tokenizer's template writes of the conversation up to the answer, and of its end after it.
"""

from typing import NamedTuple

from prereq.data.rows import SkillRow
from prereq.errors import PrereqError

PLAIN, CHAT = "plain", "chat"
MARK = "<<the answer>>"  # stands for the answer while a chat template is filled in


class Asked(NamedTuple):
    """The text before the answer, and what is to be learnt. `before` ends in no space."""

    before: str
    answer: str


def asked(tokenizer, row: SkillRow, prompt: str = PLAIN) -> Asked:
    """The row as text, without the tokens that begin and end it where they are not the template's.

    Raises PrereqError for turns that only a chat template can hold, and for a tokenizer without one.
    """
    if prompt == CHAT:
        return _chat(tokenizer, row)
    if row.turns:
        raise PrereqError(
            f"{row.place or 'a row'}: messages holds more than a question and its answer, and "
            f"dataset.prompt={prompt} has no place for that; set dataset.prompt=chat"
        )
    if prompt == PLAIN:
        return Asked(f"Question: {row.user}\nAnswer:", f" {row.assistant}")
    before = prompt.format(question=row.user)
    return Asked(before, row.assistant if before.endswith("\n") else f" {row.assistant}")


def _chat(tokenizer, row: SkillRow) -> Asked:
    """By the tokenizer's template: the turn's end, up to the end token, is learnt with the answer."""
    name = tokenizer.name_or_path or "this model"
    if not tokenizer.chat_template:
        raise PrereqError(
            f"dataset.prompt=chat: the tokenizer of {name} has no chat template; use "
            "dataset.prompt=plain, a template of your own that holds {question}, or a model that was "
            "tuned for chat"
        )
    turns = [*row.turns, ("user", row.user), ("assistant", MARK)]
    messages = [{"role": role, "content": content} for role, content in turns]
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False)
    except Exception as error:  # whatever a template raises: of roles that it does not know, …
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise PrereqError(
            f"dataset.prompt=chat: {row.place or 'a row'}: the chat template of {name} refuses it "
            f"({reason}); change the row, or use dataset.prompt=plain"
        ) from None
    before, mark, end = text.rpartition(MARK)
    if not mark:
        raise PrereqError(
            f"dataset.prompt=chat: the chat template of {name} leaves out what the assistant says; use "
            "dataset.prompt=plain, or a template of your own that holds {question}"
        )
    stop = tokenizer.eos_token
    end = end[: end.index(stop) + len(stop)] if stop in end else end.rstrip()
    space = before[len(before.rstrip(" ")) :]  # would be part of the answer's first token
    return Asked(before.rstrip(" "), space + row.assistant + end)
