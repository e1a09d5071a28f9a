"""The writer that is a model in this process, batched. The caller gives the function that generates.

Replies are drawn by seeds that follow from what is asked, and stored once a batch is done, so that a run
that was killed goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from rich.markup import escape

from prereq.clients.jobs import digest
from prereq.clients.replies import Replies, open_replies
from prereq.clients.usage import Given
from prereq.runtime.console import say
from prereq.synth.rows import Request, Writer, WriterSettings
from prereq.synth.writers import prompts

Message = dict[str, str]
Generate = Callable[[Sequence[list[Message]], Sequence[int]], list[str]]


@contextmanager
def writer(
    generate: Generate, model: str, settings: WriterSettings, seed: int, replies: Path
) -> Iterator[Writer]:
    """A writer for `prereq.synth.write`. `generate`: conversations and as many seeds → as many replies.

    `model` tells one model from another (its name and its key): a stored reply goes by it. A reply that
    cannot be read is no text, so that it is asked for again. Raises PrereqError where `replies`, the file
    to keep them in, cannot be used.
    """
    with closing(open_replies(replies)) as stored:
        ask = partial(_asked, model, settings, seed)
        yield Writer(
            "local",
            partial(_write, generate, stored, ask),
            model,
            prompts.texts("lines"),
            partial(_announce, model, stored, ask),
        )


def _write(
    generate: Generate,
    stored: Replies,
    ask: Callable[[Request], tuple[list[Message], int, str]],
    requests: Sequence[Request],
) -> list[str | None]:
    asked = [ask(request) for request in requests]
    missing = [one for one in asked if stored.get(one[2]) is None]
    if missing:
        new = generate([messages for messages, _, _ in missing], [seed for _, seed, _ in missing])
        for (_, _, key), text in zip(missing, new, strict=True):
            stored.put(key, Given(text, None, None, None, None))
    return [
        _read(request, stored.get(key))
        for request, (_, _, key) in zip(requests, asked, strict=True)
    ]


def _asked(
    model: str, settings: WriterSettings, seed: int, request: Request
) -> tuple[list[Message], int, str]:
    """The conversation of a request, the seed of its reply, and the key that the reply is stored by."""
    messages = prompts.conversation(request, "lines", example=True)
    drawn = prompts.seed_of(messages, request.attempt, seed)
    how = [settings.temperature, settings.top_p, settings.max_tokens]
    return messages, drawn, digest(["local", model, messages, drawn, how])


def _read(request: Request, given: Given | None) -> str:
    try:
        return prompts.from_either(request.form, given.text if given else "")
    except ValueError:
        return ""


def _announce(
    model: str,
    stored: Replies,
    ask: Callable[[Request], tuple[list[Message], int, str]],
    requests: Sequence[Request],
) -> None:
    there = sum(stored.get(ask(request)[2]) is not None for request in requests)
    say(
        "writing",
        escape(f"{len(requests) - there:,} texts with {model} ({there:,} replies are stored)"),
    )
