"""Dropout without a stored mask: a CPU draws the places that are dropped, a GPU keeps a seed.

A mask over every element, drawn, stored and multiplied with, took a fifth of a training step on a
CPU and as much of a GPU's memory as the activations themselves. On a CPU the places of the dropped
elements, a twentieth of all, are drawn instead; elsewhere the mask is drawn again in the backward.
"""

import math

import numpy as np
import torch

Drawn = torch.Tensor | int  # places in `x.view(-1)`, ascending, int64; or the seed of a mask


def draw(x: torch.Tensor, rate: float) -> Drawn:
    """What is dropped of a tensor, each element with probability `rate`, by torch's generator."""
    return _places(x.numel(), rate, _seed()) if x.device.type == "cpu" else _seed()


def dropped_of(like: torch.Tensor, rate: float, drawn: Drawn) -> torch.Tensor:
    """Places, or a mask in the shape and dtype of `like`: 0 where an element is dropped, else 1."""
    if not isinstance(drawn, int):
        return drawn
    mask = torch.empty_like(like, memory_format=torch.contiguous_format)
    generator = torch.Generator(like.device).manual_seed(drawn)
    return mask.bernoulli_(1 - rate, generator=generator)


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


def _seed() -> int:
    return int(torch.randint(2**62, (), device="cpu"))  # on the host: nothing waits for a GPU


def _places(count: int, rate: float, seed: int) -> torch.Tensor:
    # Between two dropped elements lie geometrically many kept ones: an exponential variable, rounded
    # down. numpy draws those faster.
    rng = np.random.Generator(np.random.SFC64(seed))
    found, last = [], -1
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
