"""A connection to an OpenAI-compatible server: its key, its pace, its errors in words.

Retries after 429, 5xx and lost connections, with back-off and Retry-After, are the openai package's.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prereq.clients.jobs import CHAT
from prereq.clients.replies import Replies, open_replies
from prereq.clients.usage import Given, Usage
from prereq.config import Server
from prereq.config.shape import shown
from prereq.errors import IN_URL, PrereqError
from prereq.runtime import signals

FEW = 3  # retries (together 3.5 s) of a server that has answered nothing yet: it may not be there
MANY = 8  # retries (together 40 s) of one that has
REFUSALS = (400, 404, 413, 422)  # a fault of the request, which another request need not have


class Refused(Exception):
    """The server refuses this request; the text says why."""


@dataclass
class Client:
    """A server, what was learned about it, and what its replies have cost."""

    server: Server
    names: tuple[str, str]  # the configuration's keys of the URL and the model, for messages
    api: Any  # openai.OpenAI
    secret: str
    replies: Replies | None  # where replies are stored
    usage: Usage = field(default_factory=Usage)  # of replies that the server gave to this client
    stored: Usage = field(default_factory=Usage)  # of those that were found in the file
    again: int = 0  # replies that could not be used and were asked again
    given_up: int = 0  # asked in vain, or refused
    takes: dict[str, bool] = field(
        default_factory=dict
    )  # schema → in `response_format`; else in words
    reached: bool = False  # it has answered something
    limit: str = "max_tokens"  # OpenAI's newer models take the other name alone
    lock: threading.Lock = field(default_factory=threading.Lock)

    def error(self, reason: str, remedy: str) -> PrereqError:
        url, model = self.names
        where = f"{url}={self.server.url}, {model}={self.server.model}"
        return PrereqError(f"{IN_URL.sub('…', f'{where}: {reason}')}; {remedy}")


@contextmanager
def connect(
    server: Server, names: tuple[str, str] = ("url", "model"), replies: Path | None = None
) -> Iterator[Client]:
    """A client of the server, which is sent nothing as yet; `replies` is the file to store replies in.

    The key is the value of the environment variable `api_key_env`; a server without keys gets "none".
    `names` says how the configuration calls the URL and the model. Raises PrereqError where the
    package openai is missing, or URL, key or file cannot be used.
    """
    try:
        with signals.imports():
            import openai
    except ImportError:
        raise PrereqError(
            f"{names[0]}={server.url}: servers are asked by the package openai, which is not installed: "
            "pip install 'prereq[server]'"
        ) from None
    closed = threading.Event()
    secret = os.environ.get(server.api_key_env, "").strip()
    hooks = {"request": [_pace(server.requests_per_minute, closed)]}
    client = Client(server, names, None, secret, None)
    try:
        address = urlsplit(server.url or "")
        if not address.hostname or address.port == 0:
            raise ValueError("it names no host")
    except ValueError as error:
        raise client.error(f"no URL ({error})", "for example http://127.0.0.1:8000") from None
    if not (secret.isascii() and secret.isprintable()):
        raise client.error(
            f"${server.api_key_env} holds a character that no key has", "set it to the server's key"
        )
    bearer = secret or "none"
    client.api = openai.OpenAI(
        base_url=f"{server.url.rstrip('/').removesuffix('/v1')}/v1",
        api_key=bearer,
        default_headers={"Authorization": f"Bearer {bearer}"},  # whatever else the environment says
        timeout=server.timeout,
        http_client=openai.DefaultHttpxClient(event_hooks=hooks),
    )
    client.replies = open_replies(replies) if replies else None
    try:
        yield client
        client.api.close()  # otherwise threads may still be at it, and end with the process
    finally:
        closed.set()
        if client.replies:
            client.replies.close()


def _pace(per_minute: float | None, closed: threading.Event) -> Callable[[Any], None]:
    """What every request, repeated ones included, waits for before it is sent."""
    lock, free = threading.Lock(), time.monotonic()

    def wait(_: Any) -> None:
        nonlocal free
        delay = 0.0
        if per_minute:
            with lock:
                now = time.monotonic()
                delay = max(0.0, free - now)
                free = max(free, now) + 60 / per_minute
        if closed.wait(delay):
            raise RuntimeError("the connection is closed")

    return wait


def post(client: Client, path: str, body: dict[str, Any], tried: bool | None = True) -> Given:
    """Send one request; `tried`: one of its kind has been answered before.

    Raises Refused, or PrereqError where no other request would fare better.
    """
    import openai

    known = client.reached and tried
    try:
        reply = _send(client, path, body, MANY if known else FEW)
    except (openai.RateLimitError, openai.InternalServerError) as error:
        if known or _about_schemas(error):
            raise _explained(client, path, error) from None
        client.reached = True
        try:
            reply = _send(client, path, body, MANY)
        except openai.OpenAIError as last:
            raise _explained(client, path, last) from None
    except (openai.OpenAIError, ValueError) as error:  # ValueError: a text that is no UTF-8
        raise _explained(client, path, error) from None
    given = _given(client, path, reply)
    with client.lock:
        client.reached = True
        client.usage.add(given)
    return given


def _send(client: Client, path: str, body: dict[str, Any], retries: int) -> Any:
    import openai

    options = {"max_retries": retries}
    limit = client.limit if path == CHAT else "max_tokens"
    body = dict(body)
    body[limit] = body.pop("max_tokens")
    try:
        return client.api.post(path, cast_to=object, body=body, options=options)
    except openai.BadRequestError as error:
        if limit != "max_tokens" or path != CHAT or "max_completion_tokens" not in str(error):
            raise
        client.limit = "max_completion_tokens"
        body[client.limit] = body.pop(limit)
        return client.api.post(path, cast_to=object, body=body, options=options)


def _given(client: Client, path: str, reply: Any) -> Given:
    try:
        choice = reply["choices"][0]
        text = choice["message"]["content"] if path == CHAT else choice["text"]
        finish, usage = choice.get("finish_reason"), reply.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        counts = [usage.get("prompt_tokens"), usage.get("completion_tokens"), cached]
    except (KeyError, IndexError, TypeError, AttributeError):
        raise client.error(
            f"answered with what is no completion: {shown(reply)}",
            f"check that the address is that of an OpenAI-compatible server with /v1{path}",
        ) from None
    counts = [count if isinstance(count, int) and count >= 0 else None for count in counts]
    return Given(text if isinstance(text, str) else "", finish, *counts)


def _about_schemas(error: Exception) -> bool:
    """Whether a server of the 5xx kind says that it takes no schema, as some do."""
    return any(word in str(error) for word in ("response_format", "json_schema"))


def _explained(client: Client, path: str, error: Exception) -> Exception:
    """An error of the openai package as Refused, or as what a user can do about it."""
    status, cause = getattr(error, "status_code", None), error.__cause__
    reason = str(error).strip().partition("\n")[0].rstrip(".")[:300]
    if status is None and cause is not None and str(cause):
        reason = f"{reason} ({str(cause).partition(chr(10))[0]})"
    if client.secret:  # some servers repeat it
        reason = reason.replace(client.secret, "…")
    if status in REFUSALS or (status in (500, 501) and _about_schemas(error)):
        return Refused(reason)
    if status in (401, 403):
        return client.error(reason, f"set the server's key: export {client.server.api_key_env}=…")
    if type(error).__name__ == "APITimeoutError":
        return client.error(
            f"no reply within {client.server.timeout:g} seconds",
            "ask less at once, or for shorter replies, and see that the server runs",
        )
    if status == 429:
        return client.error(reason, "ask less at once or a minute, or run the command later again")
    return client.error(reason, usual(path))


def usual(path: str) -> str:
    return f"check the address, the model's name there, and that it has /v1{path}"
