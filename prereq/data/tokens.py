"""Text to token rows: where the sequence starts and ends, and which tokens carry a label."""

from collections.abc import Iterable
from dataclasses import dataclass

from prereq.data.rows import SkillRow


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Token ids of one sequence; the tokens from `start` on are its labels (`start` ≥ 1).

    `number` is the row's place in its split, from 1, for messages.
    """

    ids: list[int]
    start: int
    number: int = 0

    @property
    def labels(self) -> int:
        """How many tokens carry a label; 0 where truncation has cut the whole answer off."""
        return max(0, len(self.ids) - self.start)


@dataclass(frozen=True, slots=True)
class Example:
    """A row as a training step sees it: the adapters active on it, and the weight of each label."""

    row: TokenRow
    route: tuple[str, ...]
    term: str  # text | fictitious | real | plain: the part of the loss it counts to
    weight: float = 0.0


def text_rows(tokenizer, texts: Iterable[str], max_length: int) -> list[TokenRow]:
    """Plain text: `<bos>text<eos>`, a label on every token but the first."""
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [TokenRow(_enclose(tokenizer, ids)[:max_length], 1) for ids in encoded]


def skill_row(tokenizer, row: SkillRow, max_length: int) -> TokenRow:
    """`<bos>Question: {user}\\nAnswer: {assistant}<eos>`; labels on what follows `Answer:`."""
    encoded = tokenizer(row.text, add_special_tokens=False, return_offsets_mapping=True)
    prompt = len(row.prompt)
    masked = sum(end <= prompt for _, end in encoded["offset_mapping"])
    ids = _enclose(tokenizer, encoded["input_ids"])
    start = masked + (tokenizer.bos_token_id is not None)
    return TokenRow(ids[:max_length], start)


def prompt_ids(tokenizer, prompt: str) -> list[int]:
    """`<bos>` (exactly one) and the prompt."""
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return ids if tokenizer.bos_token_id is None else [tokenizer.bos_token_id, *ids]


def _enclose(tokenizer, ids: list[int]) -> list[int]:
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return [*start, *ids, tokenizer.eos_token_id]
