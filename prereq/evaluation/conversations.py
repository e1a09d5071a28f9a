"""Replies of a model in this process to conversations, batched: what a local writer or judge asks."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from prereq.config import EvalConfig, ModelConfig
from prereq.data.tokens import begun
from prereq.evaluation.engines import engine
from prereq.evaluation.sampling import by_prompt, greedy
from prereq.model.loading import load_tokenizer
from prereq.runtime.console import progress

Message = dict[str, str]  # {"role": "user", "content": "…"}
# Conversations and as many seeds → as many replies.
Replies = Callable[[Sequence[Sequence[Message]], Sequence[int]], list[str]]
ASKED, REPLIED = "Task: ", "Reply:"  # before messages, for models without a chat template


def local_replies(
    model: ModelConfig,
    base: Path | str,
    training_engine: str,
    max_tokens: int,
    tokens_per_batch: int,
    temperature: float,
    top_p: float = 1.0,
    longest: str = "synth.max_tokens",
) -> Replies:
    """A function that has the model in folder (or Hub id) `base` reply to conversations.

    It is the packed engine where `training_engine` and the model allow it, else `model.generate`. Each
    reply is drawn by its own seed (0 to 2⁶³ - 1) at `temperature`, with 0 greedily. A model without a chat
    template goes on with the conversation as plain text. The model is loaded at the first call. `longest`
    is the configuration's key of `max_tokens`. Raises PrereqError where the model cannot be used.
    """
    loaded = []

    def reply(conversations: Sequence[Sequence[Message]], seeds: Sequence[int]) -> list[str]:
        if not conversations:
            return []
        if not loaded:
            tokenizer = copy.deepcopy(load_tokenizer(base, model))  # which others share
            end_at_turn(tokenizer)
            settings = EvalConfig(
                name="local", max_new_tokens=max_tokens, tokens_per_batch=tokens_per_batch
            )
            loaded.extend(
                (tokenizer, engine(settings, model, training_engine, base, tokenizer, longest))
            )
        tokenizer, answer = loaded
        prompts = [conversation_ids(tokenizer, messages) for messages in conversations]
        choose = by_prompt(temperature, top_p, seeds, max_tokens) if temperature else greedy
        with progress(f"write with {model.name}", len(prompts)) as advance:
            answers = answer((), prompts, advance, choose)
        plain = tokenizer.chat_template is None
        return [_first(each.text) if plain else each.text for each in answers]

    return reply


def conversation_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Token ids of a conversation up to where the reply begins."""
    if tokenizer.chat_template is None:
        said = [(ASKED if m["role"] == "user" else f"{REPLIED} ") + m["content"] for m in messages]
        return begun(tokenizer, "\n\n".join([*said, REPLIED]))
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _first(text: str) -> str:
    """A reply in plain text without the next task, which a base model goes on to write."""
    return text.partition(f"\n{ASKED.strip()}")[0].strip()


def end_at_turn(tokenizer: PreTrainedTokenizerBase) -> None:
    """Have generation end where the chat template ends a turn, if that is with a token of its own."""
    if tokenizer.chat_template is None:
        return
    said = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "xyzzy"}]
    after = tokenizer.apply_chat_template(said, tokenize=False).rpartition("xyzzy")[2]
    ids = tokenizer(after, add_special_tokens=False)["input_ids"]
    first = tokenizer.convert_ids_to_tokens(ids[0]) if ids else None
    if first in tokenizer.all_special_tokens or first in tokenizer.get_added_vocab():
        tokenizer.eos_token = first
