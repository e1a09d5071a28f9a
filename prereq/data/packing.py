"""Packing: the rows of an optimizer step as flat sequences without padding.

A pack is one flat token sequence whose position ids restart at each row. Rows of like length go
together (attention on a CPU lays them out as a padded block), and inside a pack the rows of one
route stand side by side, so that each adapter's rows are contiguous spans. What rows of one route
begin with alike is in the sequence once: a causal model makes the same of it in each of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from prereq.data.tokens import Example

Batch = TypeVar("Batch")  # what one forward takes
TERMS = ("text", "fictitious", "real", "plain", "known")


class PrefixShared:
    """Token sequences as one; what a sequence begins with like the one before it stands there once.

    `ids`, `positions`: [T], of the tokens that stand there. `tokens`: which of them each sequence
    consists of, all sequences one after the other. In lexicographic order most is shared.
    """

    def __init__(self):
        self.ids: list[int] = []
        self.positions: list[int] = []
        self.tokens: list[int] = []
        self._last: tuple[list[int], list[int]] = [], []  # ids and tokens of the sequence before

    def add(self, ids: list[int], shares: bool = True) -> list[int]:
        """The sequence's tokens, as numbers in `ids`."""
        before, tokens = self._last
        shared = 0
        if shares:
            pairs = enumerate(zip(before, ids, strict=False))
            shared = next((i for i, (a, b) in pairs if a != b), min(len(before), len(ids)))
        known = len(self.ids)
        tokens = [*tokens[:shared], *range(known, known + len(ids) - shared)]
        self.ids += ids[shared:]
        self.positions += range(shared, len(ids))
        self.tokens += tokens
        self._last = ids, tokens
        return tokens


@dataclass(frozen=True)
class Teaching(Generic[Batch]):
    """What a teacher reads, for the M labels of the rows that it teaches.

    `rows`: a batch of their own, on no adapter. `order`: [M], the place of each label among its labels.
    `shares`: [M], how much of a label's loss goes by the teacher.
    """

    rows: Batch
    order: torch.Tensor
    shares: torch.Tensor


@dataclass(frozen=True)
class Pack:
    """One forward. R rows, of which T tokens are computed and M are labels.

    `input_ids`, `position_ids`: [1, T]. `predict`: [M], the tokens whose next one is a label;
    `targets`, `weights`, `terms`: [M]. `lengths`: the R row lengths in order. `tokens`: for each row
    in turn which tokens it consists of, on the CPU; None where rows share none. `names`: what the
    numbers in `terms` stand for. `spans`: for each adapter, the ranges of tokens on which it is active.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    predict: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    terms: torch.Tensor
    lengths: tuple[int, ...]
    tokens: torch.Tensor | None
    names: tuple[str, ...]
    spans: dict[str, list[tuple[int, int]]]
    teaching: "Teaching[Pack] | None" = None


def split(examples: Sequence[Example], budget: int) -> list[list[Example]]:
    """Rows into packs of at most `budget` tokens (a longer row has a pack of its own)."""
    packs: list[list[Example]] = []
    room = 0
    for example in sorted(examples, key=lambda e: e.tokens, reverse=True):
        length = example.tokens
        if length > room or not packs:
            packs.append([])
            room = budget
        packs[-1].append(example)
        room -= length
    return packs


def padding(packs: Sequence[Sequence[Example]]) -> float:
    """Share of padding in the blocks of rows that attention lays these packs out as, in [0, 1).

    Nothing else is padded: linear layers see the flat tokens.
    """
    lengths = [[len(example.row.ids) for example in rows] for rows in packs]
    return 1 - sum(map(sum, lengths)) / sum(len(rows) * max(rows) for rows in lengths)


def to_device(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """The tensor on `device`; on CUDA by way of pinned memory, or the copy would wait for the device."""
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def pack(
    examples: Sequence[Example],
    device: torch.device | str = "cpu",
    names: tuple[str, ...] = TERMS,
    shared_prefixes: bool = True,
) -> Pack:
    """Rows to the tensors of one forward, rows of one route side by side.

    `shared_prefixes`: compute what rows of one route begin with alike once. Dropout then drops the
    same of it in all of them. It needs attention that tells tokens from rows (`rows`).
    """
    examples = sorted(examples, key=lambda e: (e.route, e.row.ids))
    flat, route = PrefixShared(), None
    predict, targets, weights, terms = [], [], [], []
    spans: dict[str, list[tuple[int, int]]] = {}
    for example in examples:
        row, start = example.row, len(flat.ids)
        tokens = flat.add(row.ids, shared_prefixes and example.route == route)
        route = example.route
        predict += tokens[row.start - 1 : -1]
        targets += row.ids[row.start :]
        weights += [example.weight] * row.labels
        terms += [names.index(example.term)] * row.labels
        for adapter in route:
            _extend(spans.setdefault(adapter, []), start, len(flat.ids))

    def there(values: list, dtype: torch.dtype = torch.long) -> torch.Tensor:
        return to_device(torch.tensor(values, dtype=dtype), device)

    return Pack(
        input_ids=there([flat.ids]),
        position_ids=there([flat.positions]),
        predict=there(predict),
        targets=there(targets),
        weights=there(weights, torch.float32),
        terms=there(terms),
        lengths=tuple(len(example.row.ids) for example in examples),
        tokens=torch.tensor(flat.tokens) if len(flat.tokens) > len(flat.ids) else None,
        names=names,
        spans=spans,
        teaching=teaching(
            examples, device, lambda rows: pack(rows, device, names, shared_prefixes)
        ),
    )


def teaching(
    examples: Sequence[Example], device: torch.device | str, lay_out: Callable[..., Batch]
) -> Teaching[Batch] | None:
    """What the teacher of these examples reads, each label in its place; None where nobody teaches.

    `lay_out` makes one batch of the teacher's rows and sorts them by route and token ids.
    """
    if not any(example.teacher for example in examples):
        return None
    rows = [Example(example.teacher, (), example.term) for example in examples]
    labels = [row.row.labels for row in rows]
    assert labels == [example.row.labels for example in examples], "a teacher has the same labels"
    starts, place = {}, 0
    for number in sorted(range(len(rows)), key=lambda n: rows[n].row.ids):
        starts[number], place = place, place + labels[number]
    order = [starts[n] + i for n, count in enumerate(labels) for i in range(count)]
    shares = [e.taught for e, count in zip(examples, labels, strict=True) for _ in range(count)]
    return Teaching(
        lay_out(rows),
        to_device(torch.tensor(order), device),
        to_device(torch.tensor(shares, dtype=torch.float32), device),
    )


def _extend(ranges: list[tuple[int, int]], start: int, stop: int) -> None:
    if ranges and ranges[-1][1] == start:
        ranges[-1] = (ranges[-1][0], stop)
    else:
        ranges.append((start, stop))
