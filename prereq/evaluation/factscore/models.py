"""Split and judge by a language model: one by URL, or one in this process. Every reply is stored.

What cannot be read is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from prereq.clients import Client, Parameters, chat, connect, cost, estimate
from prereq.clients.jobs import digest
from prereq.clients.replies import open_replies
from prereq.clients.usage import Given
from prereq.config import Server
from prereq.evaluation.factscore import prompts
from prereq.evaluation.factscore.prompts import FACTS, VERDICT, Form, Message
from prereq.evaluation.factscore.rows import Judge, Split
from prereq.runtime.console import progress, say

Conversation = list[Message]
# Conversations and the form of their replies → what each reply holds.
Ask = Callable[[Sequence[Conversation], Form], list[Any]]
# Conversations and as many seeds → as many replies.
Generate = Callable[[Sequence[Conversation], Sequence[int]], list[str]]
BATCH = 64  # conversations that a model in this process replies to before they are stored
WORDS = {"facts": "sentences to split", "verdict": "facts to judge"}


def splitter(ask: Ask, layout: str, file: str | None) -> Split:
    """Splits sentences by a model. `layout`: json | lines; `file`: the prompts."""
    return lambda asked: ask([prompts.of_sentence(s, layout, file) for s in asked], FACTS)


def judge(ask: Ask, layout: str, file: str | None) -> Judge:
    """Judges claims by a model."""
    return lambda claims: ask([prompts.of_claim(c, layout, file) for c in claims], VERDICT)


@contextmanager
def served(server: Server, names: tuple[str, str], max_tokens: int, replies: Path) -> Iterator[Ask]:
    """A model by URL: see `prereq.clients`. Says what asking will take before, and what it took after."""
    with connect(server, names, replies) as client:
        try:
            yield partial(_served, client, Parameters(max_tokens), replies)
        finally:
            _told(client)


def _served(
    client: Client,
    parameters: Parameters,
    replies: Path,
    conversations: Sequence[Conversation],
    form: Form,
) -> list[Any]:
    expected = estimate(
        client.server,
        conversations,
        parameters,
        schema=form.schema,
        replies=replies,
        reply_tokens=form.tokens,
    )
    what = f"{client.server.model}, {len(conversations):,} {WORDS[form.name]}: {expected}"
    say("expected", escape(what))
    with progress(f"ask {client.server.model}", len(conversations)) as advance:
        found = chat(
            client,
            conversations,
            parameters,
            schema=form.schema,
            read=form.from_json,
            plain=form.from_text,
            on_done=advance,
        )
    return [reply.value for reply in found]


def _told(client: Client) -> None:
    """Say what was paid, also for what has ended in an error."""
    usage = client.usage
    if not usage.replies and not client.stored.replies:
        return
    paid = cost(client.server, usage.prompt_tokens, usage.completion_tokens)
    price = "" if paid is None else f", which cost {paid:,.2f}"
    untold = f"; the server did not count {usage.uncounted:,} of them" if usage.uncounted else ""
    say(
        "asked",
        escape(
            f"{client.server.model}: {usage.replies:,} replies ({client.stored.replies:,} more were "
            f"stored), {usage.prompt_tokens:,} prompt tokens and {usage.completion_tokens:,} completion "
            f"tokens{price}{untold}; {client.again:,} asked again as unreadable, {client.given_up:,} "
            "given up"
        ),
    )


@contextmanager
def local(generate: Generate, model: str, max_tokens: int, replies: Path) -> Iterator[Ask]:
    """A model in this process, `model` its name and key. It replies greedily, so nothing is asked twice."""
    with closing(open_replies(replies)) as stored:

        def key(messages: Conversation) -> str:
            return digest(["local", model, messages, max_tokens])

        def ask(conversations: Sequence[Conversation], form: Form) -> list[Any]:
            wanted = {key(messages): messages for messages in conversations}
            missing = [name for name in wanted if stored.get(name) is None]
            what = f"{len(conversations):,} {WORDS[form.name]}"
            say("asking", escape(f"{model}, {what} ({len(missing):,} without a stored reply)"))
            with progress(f"ask {model}", len(missing)) as advance:
                for start in range(0, len(missing), BATCH):
                    batch = missing[start : start + BATCH]
                    texts = generate([wanted[name] for name in batch], [0] * len(batch))
                    for name, text in zip(batch, texts, strict=True):
                        stored.put(name, Given(text, None, None, None, None))
                    advance(len(batch))
            return [_read(form, stored.get(key(messages))) for messages in conversations]

        yield ask


def _read(form: Form, given: Given | None) -> Any:
    try:
        return form.from_text(given.text if given else "")
    except ValueError:
        return None
