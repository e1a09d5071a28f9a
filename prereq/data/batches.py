"""Packing: the rows of an optimizer step as flat sequences without padding.

A pack is one flat token sequence whose position ids restart at each row. Rows of like length go
together (attention on a CPU lays them out as a padded block), and inside a pack the rows of one
route stand side by side, so that each adapter's rows are contiguous spans.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from prereq.data.tokens import Example

TERMS = ("text", "fictitious", "real", "plain")


@dataclass(frozen=True)
class Pack:
    """One forward. T tokens in R rows, M of which are labels.

    `input_ids`, `position_ids`: [1, T]. `predict`: [M], the positions whose next token is a label;
    `targets`, `weights`, `terms`: [M]. `lengths`: the R row lengths in order. `names`: what
    the numbers in `terms` stand for. `spans`: for each adapter, the ranges of tokens on which it is
    active.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    predict: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    terms: torch.Tensor
    lengths: tuple[int, ...]
    names: tuple[str, ...]
    spans: dict[str, list[tuple[int, int]]]


def split(examples: Sequence[Example], budget: int) -> list[list[Example]]:
    """Rows into packs of at most `budget` tokens (a longer row has a pack of its own)."""
    packs: list[list[Example]] = []
    room = 0
    for example in sorted(examples, key=lambda e: len(e.row.ids), reverse=True):
        length = len(example.row.ids)
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
) -> Pack:
    """Rows to the tensors of one forward, rows of one route side by side."""
    examples = sorted(examples, key=lambda e: e.route)
    lengths = [len(e.row.ids) for e in examples]
    starts = [0, *accumulate(lengths)]
    ids, positions, predict, weights, terms = [], [], [], [], []
    for example, start in zip(examples, starts, strict=False):
        row = example.row
        ids += row.ids
        positions += range(len(row.ids))
        predict += range(start + row.start - 1, start + len(row.ids) - 1)
        weights += [example.weight] * row.labels
        terms += [names.index(example.term)] * row.labels
    input_ids = torch.tensor(ids)
    predict_at = torch.tensor(predict, dtype=torch.long)

    def there(tensor: torch.Tensor) -> torch.Tensor:
        return to_device(tensor, device)

    return Pack(
        input_ids=there(input_ids[None]),
        position_ids=there(torch.tensor(positions)[None]),
        predict=there(predict_at),
        targets=there(input_ids[predict_at + 1]),
        weights=there(torch.tensor(weights, dtype=torch.float32)),
        terms=there(torch.tensor(terms, dtype=torch.long)),
        lengths=tuple(lengths),
        names=names,
        spans=_spans(examples, starts),
    )


def _spans(examples: Sequence[Example], starts: list[int]) -> dict[str, list[tuple[int, int]]]:
    spans: dict[str, list[tuple[int, int]]] = {}
    for example, start in zip(examples, starts, strict=False):
        stop = start + len(example.row.ids)
        for adapter in example.route:
            ranges = spans.setdefault(adapter, [])
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], stop)
            else:
                ranges.append((start, stop))
    return spans
