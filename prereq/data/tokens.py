"""Text to token rows: where the sequence starts and ends, and which tokens carry a label."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from prereq.data.prompts import CHAT, PLAIN, asked
from prereq.data.rows import SkillRow
from prereq.errors import PrereqError


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
    term: str  # text | fictitious | real | plain | known: the part of the loss it counts to
    weight: float = 0.0
    share: float = 1.0  # of a data point that it stands for, where several rows share one
    teacher: TokenRow | None = (
        None  # with the same labels: what a teacher reads, see `distillation`
    )
    taught: float = 0.0  # share of a label's loss that goes by the teacher

    @property
    def tokens(self) -> int:
        """Tokens that are computed for it."""
        return len(self.row.ids) + (len(self.teacher.ids) if self.teacher else 0)


@dataclass(frozen=True)
class Cut:
    """What became of rows that are longer than `max_length`: how many were cut, and dropped."""

    cut: int = 0
    dropped: int = 0


def text_rows(tokenizer, texts: Iterable[str]) -> list[TokenRow]:
    """Plain text: `<bos>text<eos>`, a label on every token but the first. Numbered from 1."""
    encoded = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    start, end = _ends(tokenizer)
    return [TokenRow([*start, *ids, *end], 1, n) for n, ids in enumerate(encoded, 1)]


def skill_row(tokenizer, row: SkillRow, prompt: str = PLAIN) -> TokenRow:
    """The row as `prompt` (`dataset.prompt`) asks it; labels on the answer and on the end token.

    `<bos>Question: {user}\\nAnswer: {assistant}<eos>` where it is plain. A chat template writes the
    tokens that begin and end a row itself; the end token is added where it does not.
    """
    text = asked(tokenizer, row, prompt)
    encoded = tokenizer("".join(text), add_special_tokens=False, return_offsets_mapping=True)
    masked = sum(end <= len(text.before) for _, end in encoded["offset_mapping"])
    ids = encoded["input_ids"]
    start, end = _ends(tokenizer)
    if prompt == CHAT:
        return TokenRow(ids if ids[-1:] == end else [*ids, *end], masked, row.number)
    return TokenRow([*start, *ids, *end], len(start) + masked, row.number)


def fitted(
    groups: Sequence[Sequence[TokenRow]], max_length: int, overlong: str, where: str
) -> tuple[list[list[TokenRow]], Cut]:
    """Groups of rows (those of a subject) with none longer than `max_length`; [] for a dropped group.

    `overlong` is what to do with a row that would lose labels: `truncate` it (and drop a group of
    which no label is left), `drop` its group, or `error`. Raises PrereqError for an error, and where
    nothing is left.
    """
    long = [row for group in groups for row in group if len(row.ids) > max_length]
    if not long:
        return [list(group) for group in groups], Cut()
    count = sum(map(len, groups))
    lost = sum(row.start >= max_length for row in long)
    some = ", ".join(f"row {row.number} has {len(row.ids)}" for row in long[:3])
    what = (
        f"{where}: {len(long):,} of {count:,} rows are longer than max_length={max_length} tokens "
        f"({some}{', …' if len(long) > 3 else ''}); {lost:,} of them would have no label left"
    )
    longest = max(len(row.ids) for row in long)
    if overlong == "error":
        raise PrereqError(
            f"{what}. Set max_length={longest}, or dataset.overlong=truncate (cut them) or drop"
        )
    kept, cut = [], 0
    for group in groups:
        longer = sum(len(row.ids) > max_length for row in group)
        short = [replace(row, ids=row.ids[:max_length]) for row in group]
        if longer and (overlong == "drop" or not any(row.labels for row in short)):
            kept.append([])
        else:
            kept.append(short)
            cut += longer
    left = sum(map(len, kept))
    if not left:
        raise PrereqError(
            f"{what}, and dataset.overlong={overlong} leaves no row. Set max_length={longest}"
        )
    return kept, Cut(cut, count - left)


def prompt_ids(tokenizer, row: SkillRow, prompt: str = PLAIN) -> list[int]:
    """What is asked before the answer, `<bos>` (exactly one) first unless a chat template begins it."""
    text = asked(tokenizer, row, prompt).before
    if prompt == CHAT:
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    return begun(tokenizer, text)


def begun(tokenizer, text: str) -> list[int]:
    """`<bos>` (exactly one) and the text."""
    start, _ = _ends(tokenizer)
    return [*start, *tokenizer(text, add_special_tokens=False)["input_ids"]]


def _ends(tokenizer) -> tuple[list[int], list[int]]:
    """What stands before a text and after it. A tokenizer looks its own tokens up at every question."""
    first = tokenizer.bos_token_id
    return [] if first is None else [first], [tokenizer.eos_token_id]
