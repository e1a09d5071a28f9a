"""Dropout by the elements that are dropped: a twentieth of all on a CPU, a mask elsewhere.

A mask over every element, drawn, stored and multiplied with, took a fifth of a training step on a
CPU. There the places of the dropped elements are drawn instead.
"""

import math

import numpy as np
import torch


def dropped_elements(like: torch.Tensor, rate: float) -> torch.Tensor:
    """What is dropped of a tensor, each element with probability `rate`, by torch's generator.

    On a CPU the places of the dropped elements in `like.view(-1)`, ascending, int64; elsewhere a mask
    in the shape and dtype of `like`, 0 where an element is dropped, else 1.
    """
    if like.device.type != "cpu":
        return torch.empty_like(like).bernoulli_(1 - rate)
    # Between two dropped elements lie geometrically many kept ones: an exponential variable, rounded
    # down. numpy draws those faster, from a seed of torch's.
    rng = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
    count, found, last = like.numel(), [], -1
    while last < count:
        expected = (count - last) * rate
        gaps = rng.standard_exponential(int(expected + 5 * math.sqrt(expected)) + 5, np.float32)
        gaps *= -1 / math.log1p(-rate)
        places = gaps.astype(np.int64)
        places += 1
        places[0] += last
        np.cumsum(places, out=places)
        found.append(places)
        last = int(places[-1])
    places = np.concatenate(found) if len(found) > 1 else found[0]
    return torch.from_numpy(places[: np.searchsorted(places, count)])


def drop(x: torch.Tensor, dropped: torch.Tensor) -> torch.Tensor:
    """A copy of `x` with the dropped elements zero (the others are not scaled)."""
    if dropped.dtype != torch.int64:
        return x * dropped
    kept = x.clone(memory_format=torch.contiguous_format)
    kept.view(-1).index_fill_(0, dropped, 0)
    return kept


def add_kept(
    x: torch.Tensor, left: torch.Tensor, right: torch.Tensor, dropped: torch.Tensor | None
) -> None:
    """`x += left @ right` in place, but for the dropped elements; x is contiguous."""
    if dropped is None:
        x.addmm_(left, right)
    elif dropped.dtype != torch.int64:
        x.addcmul_(left @ right, dropped)
    else:
        values = x.view(-1).index_select(0, dropped)
        x.addmm_(left, right)
        x.view(-1).put_(dropped, values)
