"""Fictitious data, and the server that may word it."""

from dataclasses import dataclass, field


@dataclass
class Server:
    """An OpenAI-compatible server and how it is asked: see `prereq.clients`. Its key stands nowhere here."""

    url: str | None = None  # for example http://127.0.0.1:8000
    model: str | None = None  # its name there
    api_key_env: str = "OPENAI_API_KEY"  # the environment variable that holds the server's key
    requests: int = 16  # at once
    requests_per_minute: float | None = None  # None: as many as the server takes
    timeout: float = 600.0  # seconds that one reply may take
    price_in: float | None = None  # of a million prompt tokens, in any currency
    price_out: float | None = None  # of a million tokens of replies


@dataclass
class Synth:
    """Fictitious data made of real rows: how much of it, and who words it. See `prereq.synth.rows`."""

    questions: int | None = None  # of short form; None: as many as there are real rows
    facts: int = 3  # relations a subject at most
    versions: int = 5  # of long form: contradictory ones a subject
    copies: int = 1  # of long form: subjects a real text
    wordings: int = 4  # statements a fact
    passages: int = 1  # a subject and version
    plug_in: float = 0.0  # share of the subjects kept back, to plug their knowledge in
    tries: int = 3  # how often a text that fails a check is written
    types: dict[str, str] = field(default_factory=dict)  # relation → type of its answers
    titles: str | None = None  # a file of names that no invented one may equal
    writer: str = "template"  # template (no model) | openai (by URL) | local (the command's model)
    server: Server = field(default_factory=Server)
    temperature: float | None = 0.7
    top_p: float | None = None
    max_tokens: int = 1024  # of a reply
    tokens_per_batch: int = 32768  # that `local` generates at once
