"""What is asked: one job for each reply that is wanted, its key, the body of its request, its price."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prereq.clients.replies import open_replies
from prereq.clients.usage import cost
from prereq.config import Server

Message = dict[str, str]  # {"role": "user", "content": "…"}
Schema = dict[str, Any]  # a JSON schema
Read = Callable[[Any], Any]  # what is made of a reply; ValueError says why it cannot be used

COMPLETIONS, CHAT = "/completions", "/chat/completions"
CHARACTERS = 4  # of a token, in an estimate


@dataclass(frozen=True)
class Parameters:
    """How replies are generated. What is None is left to the server."""

    max_tokens: int
    temperature: float | None = 0.0
    top_p: float | None = None
    seed: int | None = None  # of sample 0; sample n has seed + n


@dataclass(frozen=True)
class Job:
    """One reply that is wanted: to a prompt (a text), or to the messages of a conversation."""

    prompt: str | Sequence[Message]
    parameters: Parameters
    schema: Schema | None = None
    sample: int = 0  # tells replies apart that are wanted to the same prompt
    read: Read | None = None  # of the JSON value where there is a schema, else of the text
    plain: Read | None = None  # of the text of a reply without JSON, where there is a schema

    @property
    def path(self) -> str:
        return COMPLETIONS if isinstance(self.prompt, str) else CHAT


def jobs_of(
    prompts: Sequence[str] | Sequence[Sequence[Message]],
    parameters: Parameters,
    samples: Sequence[int] | None,
    schema: Schema | None = None,
    read: Read | None = None,
    plain: Read | None = None,
) -> list[Job]:
    numbers = samples or [0] * len(prompts)
    return [
        Job(prompt, parameters, schema, sample, read, plain)
        for prompt, sample in zip(prompts, numbers, strict=True)
    ]


def key(model: str | None, job: Job, attempt: int = 0) -> str:
    """The SHA-256 of all that determines a reply. The server's address and its key have no part in it."""
    content = {
        "model": model,
        "path": job.path,
        "parameters": asdict(job.parameters),
        "prompt": job.prompt if isinstance(job.prompt, str) else list(job.prompt),
        "schema": job.schema,
        "sample": job.sample,
        "attempt": attempt,
    }
    return digest(content)


def digest(value: Any) -> str:
    """The SHA-256 of a JSON value, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def body(model: str | None, job: Job, in_words: bool = False, fault: str = "") -> dict[str, Any]:
    """The request of a job; `fault` is what was wrong with an earlier reply to it.

    A schema goes into `response_format`, or (`in_words`) into the last message.
    """
    values = {name: value for name, value in asdict(job.parameters).items() if value is not None}
    if "seed" in values:
        values["seed"] += job.sample
    values["model"] = model
    if isinstance(job.prompt, str):
        return values | {"prompt": job.prompt}
    more = ""
    if job.schema is not None and (in_words or fault):
        more += (
            "\n\nReply with JSON alone, without any other text, that fits this JSON schema:\n"
            f"{json.dumps(job.schema, ensure_ascii=False)}"
        )
    if job.schema is not None and not in_words:
        named = {"name": "reply", "schema": job.schema, "strict": True}
        values["response_format"] = {"type": "json_schema", "json_schema": named}
    if fault:
        more += f"\n\nAn earlier reply could not be used: {fault}. Reply again without that fault."
    return values | {"messages": _with(job.prompt, more)}


def _with(messages: Sequence[Message], more: str) -> list[Message]:
    """The messages with a text after the last one of the user: many templates take no two in a row."""
    messages = list(messages)
    if more and messages and messages[-1]["role"] == "user":
        messages[-1] = messages[-1] | {"content": messages[-1]["content"] + more}
    elif more:
        messages.append({"role": "user", "content": more.strip()})
    return messages


@dataclass(frozen=True)
class Estimate:
    """What asking will take, before it starts; tokens are characters / 4, and no more than that."""

    requests: int  # without those whose reply is stored
    stored: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None  # None where the server's prices are not given

    def __str__(self) -> str:
        price = "" if self.cost is None else f", which cost about {self.cost:,.2f}"
        return (
            f"{self.requests:,} requests ({self.stored:,} replies are stored): an estimated "
            f"{self.prompt_tokens:,} prompt tokens and {self.completion_tokens:,} completion tokens{price}"
        )


def estimate(
    server: Server,
    prompts: Sequence[str] | Sequence[Sequence[Message]],
    parameters: Parameters,
    *,
    schema: Schema | None = None,
    samples: Sequence[int] | None = None,
    replies: Path | None = None,
    reply_tokens: int | None = None,
) -> Estimate:
    """What `complete` or `chat` of these prompts will take. It asks the server nothing.

    `replies` is the file of stored ones, `reply_tokens` how long a reply is expected to be (None: as
    long as `max_tokens` allows). Replies that must be asked again are not foreseen.
    """
    jobs = {key(server.model, job): job for job in jobs_of(prompts, parameters, samples, schema)}
    wanted = len(jobs)
    if replies and replies.exists():
        with closing(open_replies(replies)) as there:
            jobs = {name: job for name, job in jobs.items() if there.get(name) is None}
    asked = [job.prompt for job in jobs.values()]
    texts = [p if isinstance(p, str) else "".join(m["content"] for m in p) for p in asked]
    around = 0 if schema is None else len(json.dumps(schema))
    tokens = sum(-(-(len(text) + around) // CHARACTERS) for text in texts)
    most = len(jobs) * (parameters.max_tokens if reply_tokens is None else reply_tokens)
    return Estimate(len(jobs), wanted - len(jobs), tokens, most, cost(server, tokens, most))
