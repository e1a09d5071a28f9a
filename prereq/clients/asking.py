"""Ask a server: many requests at once, every reply stored and read, what cannot be read asked again.

The threads that ask are daemons, because a signal must not wait for a server: the main thread
unwinds at once, and a request that is under way ends with the process.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any

from rich.markup import escape

from prereq.clients.jobs import (
    CHAT,
    Job,
    Message,
    Parameters,
    Read,
    Schema,
    body,
    digest,
    jobs_of,
    key,
)
from prereq.clients.reading import first_json
from prereq.clients.server import Client, Refused, post, usual
from prereq.clients.usage import Given, cost
from prereq.runtime.console import say

GRACE = 10  # seconds after an error for replies that are under way
AGAIN = 3  # times that a reply is asked again because it cannot be used
PATIENCE = 20  # refusals without any reply after which no more is asked
IN_WORDS = "the server takes no JSON schema (response_format), so it is asked in words"


@dataclass(frozen=True)
class Reply:
    """`value` is what the caller's function made of the reply; None where it was given up."""

    text: str
    ended: bool  # by itself, not at max_tokens
    value: Any = None
    problem: str | None = None  # why it was given up; None: it was not


def complete(
    client: Client,
    prompts: Sequence[str],
    parameters: Parameters,
    *,
    samples: Sequence[int] | None = None,
    on_done: Callable[..., None] = lambda rows, note: None,
) -> list[Reply]:
    """The continuation of each prompt by `/v1/completions`, in the order given; `value` is its text.

    `samples`: see `chat`. Raises PrereqError that names URL, model and remedy, also for one prompt that
    the server refuses.
    """
    return _all(client, jobs_of(prompts, parameters, samples), on_done, strict=True)


def chat(
    client: Client,
    conversations: Sequence[Sequence[Message]],
    parameters: Parameters,
    *,
    schema: Schema | None = None,
    read: Read | None = None,
    plain: Read | None = None,
    samples: Sequence[int] | None = None,
    on_done: Callable[..., None] = lambda rows, note: None,
) -> list[Reply]:
    """The reply to each conversation by `/v1/chat/completions`, in the order given.

    With a JSON `schema` it goes to the server as `response_format`, or in words where the server
    refuses or ignores that. `read` takes the JSON value (without a schema: the text), returns what is
    wanted and raises ValueError with the reason where it cannot: then the reply is asked again with
    that reason, at most `AGAIN` times, and given up (`problem`; counted in `client.given_up`). So is a
    conversation that the server refuses while it answers others. With a schema, `plain` does the same
    for the text of a reply without JSON; without `plain` such a reply cannot be used.

    What is alike is asked once; `samples` numbers the replies that are wanted to one conversation.
    `on_done(1, note)` is called in this thread after each, as the `advance` of a progress bar. Raises
    PrereqError that names URL, model and remedy.
    """
    return _all(client, jobs_of(conversations, parameters, samples, schema, read, plain), on_done)


def _all(
    client: Client, jobs: Sequence[Job], on_done: Callable[..., None], strict: bool = False
) -> list[Reply]:
    """The reply to each job; `strict`: one that the server refuses is an error."""
    places: dict[str, list[int]] = {}
    for place, job in enumerate(jobs):
        places.setdefault(key(client.server.model, job), []).append(place)
    alike = list(places.values())
    numbers, stop, done = itertools.count(), threading.Event(), SimpleQueue()

    def work() -> None:
        while not stop.is_set() and (number := next(numbers)) < len(alike):
            try:
                outcome = _reply(client, jobs[alike[number][0]])
            except BaseException as error:
                outcome = error
                if not isinstance(error, Refused):  # no other request would fare better
                    stop.set()
            done.put((number, outcome))

    many = min(client.server.requests, len(alike))
    threads = [threading.Thread(target=work, daemon=True) for _ in range(many)]
    replies: list[Reply | None] = [None] * len(jobs)
    refusals, answered, in_words = 0, False, False in client.takes.values()
    try:
        for thread in threads:
            thread.start()
        for left in reversed(range(len(alike))):
            number, reply = done.get()
            if isinstance(reply, Refused):
                refusals += 1
                hopeless = not answered and (refusals == PATIENCE or left == 0)
                if strict or hopeless:
                    raise client.error(str(reply), usual(jobs[0].path)) from None
                client.given_up += 1
                reply = Reply("", False, None, f"refused: {reply}")
            elif isinstance(reply, BaseException):
                raise reply
            else:
                answered = True
                client.given_up += reply.problem is not None
            if not in_words and False in client.takes.values():
                in_words = True
                say("noted", escape(f"{client.server.model}: {IN_WORDS}"))
            for place in alike[number]:
                replies[place] = reply
                on_done(1, _note(client))
    except Exception:
        # What is under way is paid for, so it is stored if it comes soon. A signal waits for nothing.
        stop.set()
        until = time.monotonic() + GRACE
        for thread in threads if client.replies else ():
            thread.join(max(0.0, until - time.monotonic()))
        raise
    finally:
        stop.set()
    return replies


def _reply(client: Client, job: Job) -> Reply:
    """The reply to one job, from the file where it is there; asked again while it cannot be used."""
    given, fault = Given("", None, None, None, None), ""
    model = client.server.model
    for attempt in range(1 + AGAIN):
        name = key(model, job, attempt)
        found = client.replies.get(name) if client.replies else None
        if found is None:
            given = _ask(client, job, fault)
            if client.replies:
                client.replies.put(name, given)
        else:
            given = found
        with client.lock:
            if found:
                client.stored.add(given)
            client.again += attempt > 0
        try:
            return Reply(given.text, given.finish == "stop", _value(client, job, given))
        except ValueError as error:
            fault = " ".join(str(error).split()).rstrip(".")[:300]
    reason = f"no reply could be used, the last one because: {fault}"
    return Reply(given.text, given.finish == "stop", None, reason)


def _ask(client: Client, job: Job, fault: str) -> Given:
    """One reply from the server, the schema in words once it is known to take none otherwise."""
    model = client.server.model
    if job.schema is None:
        return post(client, job.path, body(model, job, fault=fault))
    schema = digest(job.schema)
    if client.takes.get(schema, True):
        with suppress(Refused):
            given = post(client, CHAT, body(model, job, fault=fault), client.takes.get(schema))
            client.takes.setdefault(schema, True)
            return given
    # Whether the schema or something else was refused shows when it is asked without.
    given = post(client, CHAT, body(model, job, in_words=True, fault=fault))
    client.takes.setdefault(schema, False)
    return replace(given, in_words=True)


def _value(client: Client, job: Job, given: Given) -> Any:
    """What a reply holds. Raises ValueError with what is wrong with it."""
    if job.path != CHAT:
        return given.text
    if given.finish == "length" and (job.schema is not None or not given.text.strip()):
        raise ValueError(f"it was cut off after {job.parameters.max_tokens} tokens; be brief")
    if not given.text.strip():
        raise ValueError("it was empty")
    value: Any = given.text
    if job.schema is not None:
        try:
            value = first_json(given.text, job.schema.get("type"))
        except ValueError:
            # A server that heeds a schema gives nothing but JSON, though that may break off.
            if not given.in_words and given.text.lstrip()[0] not in "{[":
                client.takes[digest(job.schema)] = False
            if job.plain is None:
                raise
            return job.plain(given.text)
    return value if job.read is None else job.read(value)


def _note(client: Client) -> str:
    """How far it has come, for a progress bar: tokens paid now, and money where prices are known."""
    usage = client.usage
    paid = cost(client.server, usage.prompt_tokens, usage.completion_tokens)
    tokens = f"{usage.prompt_tokens + usage.completion_tokens:,} tokens"
    return tokens if paid is None else f"{tokens}, {paid:,.2f}"
