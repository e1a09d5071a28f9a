"""The writer that is a model by URL: any OpenAI-compatible server, asked by `prereq.clients`.

Replies are asked for in JSON (`response_format`, or in words where a server takes none) and read as plain
text where there is no JSON in them. Every reply is stored before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.markup import escape

from prereq.clients import Client, Estimate, Parameters, chat, connect, cost, estimate
from prereq.clients.jobs import CHARACTERS
from prereq.runtime.console import progress, say
from prereq.synth.rows import Request, Writer, WriterSettings
from prereq.synth.writers import prompts

KEYS = ("synth.server.url", "synth.server.model")  # of the configuration, for messages


@contextmanager
def writer(settings: WriterSettings, replies: Path) -> Iterator[Writer]:
    """A writer for `prereq.synth.write`; it says what it will take before, and what it has cost after.

    `replies` is the file to store replies in: what is there is not asked again. A request whose replies
    cannot be read is asked again at most three times, then given up. Raises PrereqError where the server
    cannot be asked.
    """
    parameters = Parameters(settings.max_tokens, settings.temperature, settings.top_p)
    with connect(settings.server, KEYS, replies) as client:
        try:
            yield Writer(
                "openai",
                partial(_write, client, parameters),
                settings.server.model,
                prompts.texts("json"),
                partial(_announce, settings, parameters, replies),
            )
        finally:
            _told(client)


def _write(client: Client, parameters: Parameters, requests: Sequence[Request]) -> list[str | None]:
    texts: list[str | None] = [None] * len(requests)
    with progress("asking the server", len(requests)) as advance:
        for (form, count), places in _alike(requests).items():
            replies = chat(
                client,
                [prompts.conversation(requests[place], "json") for place in places],
                parameters,
                schema=prompts.schema(form, count),
                read=partial(prompts.from_json, form),
                plain=partial(prompts.from_text, form),
                samples=[requests[place].attempt for place in places],
                on_done=advance,
            )
            for place, reply in zip(places, replies, strict=True):
                texts[place] = reply.value
    return texts


def _alike(requests: Sequence[Request]) -> dict[tuple[str, int], list[int]]:
    """Which requests have replies of one schema."""
    places: dict[tuple[str, int], list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault((request.form, request.count), []).append(place)
    return places


def expected(
    settings: WriterSettings, parameters: Parameters, replies: Path, requests: Sequence[Request]
) -> Estimate:
    """What these requests will take, without what must be asked again; the server is asked nothing."""
    parts = []
    for (form, count), places in _alike(requests).items():
        asked = [requests[place] for place in places]
        characters = sum(map(prompts.length, asked))
        parts.append(
            estimate(
                settings.server,
                [prompts.conversation(request, "json") for request in asked],
                parameters,
                schema=prompts.schema(form, count),
                samples=[request.attempt for request in asked],
                replies=replies,
                reply_tokens=-(-characters // (CHARACTERS * len(asked))),
            )
        )
    tokens = [sum(p.prompt_tokens for p in parts), sum(p.completion_tokens for p in parts)]
    counts = sum(p.requests for p in parts), sum(p.stored for p in parts)
    return Estimate(*counts, *tokens, cost(settings.server, *tokens))


def _announce(
    settings: WriterSettings, parameters: Parameters, replies: Path, requests: Sequence[Request]
) -> None:
    forms = [request.form for request in requests]
    what = " and ".join(
        f"{forms.count(form):,} for {name}"
        for form, name in (("statements", "statements"), ("passage", "passages"))
        if form in forms
    )
    found = expected(settings, parameters, replies, requests)
    say(
        "expected", escape(f"{settings.server.model}, {what}: {found}; texts that fail add to that")
    )


def _told(client: Client) -> None:
    """Say what was paid, also for what has ended in an error."""
    usage, stored = client.usage, client.stored.replies
    if not usage.replies and not stored:
        return
    paid = cost(client.server, usage.prompt_tokens, usage.completion_tokens)
    price = "" if paid is None else f", which cost {paid:,.2f}"
    untold = f"; the server did not count {usage.uncounted:,} of them" if usage.uncounted else ""
    again = f"; {client.again:,} asked again as unreadable, {client.given_up:,} given up"
    say(
        "asked",
        escape(
            f"{client.server.model}: {usage.replies:,} replies ({stored:,} more were stored), "
            f"{usage.prompt_tokens:,} prompt tokens and {usage.completion_tokens:,} completion tokens"
            f"{price}{untold}{again}"
        ),
    )
