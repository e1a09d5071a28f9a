"""What replies have cost: tokens as the server counts them, and money where prices are known."""

from dataclasses import dataclass

from prereq.config import Server


@dataclass(frozen=True)
class Given:
    """One reply as it came. Token counts are the server's, None where it does not tell them."""

    text: str
    finish: str | None  # why it ended: `stop` by itself, `length` at max_tokens
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None  # of the prompt's, those that the server had in its own cache
    in_words: bool = False  # the schema stood in the prompt, not in `response_format`


@dataclass
class Usage:
    """Sums over replies."""

    replies: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0  # of prompt_tokens, those that the server had in its own cache
    uncounted: int = 0  # replies whose tokens the server did not tell, so that they are in no sum

    def add(self, given: Given) -> None:
        self.replies += 1
        self.prompt_tokens += given.prompt_tokens or 0
        self.completion_tokens += given.completion_tokens or 0
        self.cached_tokens += given.cached_tokens or 0
        self.uncounted += given.prompt_tokens is None or given.completion_tokens is None


def cost(server: Server, prompt_tokens: int, completion_tokens: int) -> float | None:
    """In the currency of the prices, (prompt · price_in + completion · price_out) / 10⁶; None without them.

    Discounts that a server gives on tokens of its own cache are not known, so it is at most this.
    """
    if server.price_in is None or server.price_out is None:
        return None
    return (prompt_tokens * server.price_in + completion_tokens * server.price_out) / 1e6
