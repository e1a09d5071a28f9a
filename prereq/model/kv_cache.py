"""The KV cache of generation: keys and values of the rows that are continued, each at its own length.

Both forwards take one flat sequence, as in training: `Prefill` the prompts of some rows without padding,
what they begin with alike once; `Decode` one token of every row. Each writes its keys and values to its
rows of the cache; nothing is concatenated, and a row that has ended leaves its place to another.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F

from prereq.data.packing import to_device
from prereq.model.attention import RowLayout

STEP = 64  # tokens that lengths are rounded up to where shapes are to recur


class KVCache:
    """`count` rows of `room` tokens, `limit` at most. The first `len(lengths)` of them are in use.

    With `recurring` shapes decoding sees a power of two of rows and a multiple of `STEP` tokens, so that
    few shapes occur: cuDNN makes a plan for each new one, which takes longer than the step.
    """

    def __init__(
        self,
        count: int,
        room: int,
        limit: int,
        device: torch.device,
        recurring: bool | None = None,
    ):
        """`recurring`: None for what suits the device."""
        self.recurring = device.type == "cuda" if recurring is None else recurring
        self.count, self.device = count, device
        self.limit = self.rounded(limit)
        self.room = min(self.rounded(room), self.limit)
        self.lengths: list[int] = []  # tokens of each row so far
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # [count, room, H_kv, D]

    def write(self, layer: int, key: torch.Tensor, value: torch.Tensor, places: torch.Tensor):
        """Tokens [H_kv, T, D] to `places`, [T], numbered row · room + place; the whole layer."""
        if layer not in self.layers:
            shape = self.count, self.room, key.shape[0]
            # Zeros, as what is masked must still be a number.
            self.layers[layer] = tuple(x.new_zeros(*shape, x.shape[2]) for x in (key, value))
        for whole, new in zip(self.layers[layer], (key, value), strict=True):
            whole.view(-1, *whole.shape[2:]).index_copy_(0, places, new.transpose(0, 1))
        return self.layers[layer]

    def grow(self) -> None:
        """Half as much room again. Most answers are short, so that the limit is seldom needed."""
        more = min(self.limit, self.rounded(self.room + self.room // 2)) - self.room
        self.room += more
        for layer, pair in self.layers.items():
            self.layers[layer] = tuple(F.pad(whole, (0, 0, 0, 0, 0, more)) for whole in pair)

    def evict(self, ended: Sequence[int]) -> list[int]:
        """Remove rows that have ended; which rows are in the cache now, by their old numbers."""
        left = len(self.lengths) - len(ended)
        gone = set(ended)
        holes = [row for row in ended if row < left]
        movers = [row for row in range(left, len(self.lengths)) if row not in gone]
        if holes:
            longest = max(self.lengths[row] for row in movers)
            to, source = self.there(holes), self.there(movers)
            for pair in self.layers.values():
                for whole in pair:
                    whole[to, :longest] = whole[source, :longest]
        places = list(range(left))
        for hole, mover in zip(holes, movers, strict=True):
            places[hole] = mover
        self.lengths = [self.lengths[row] for row in places]
        return places

    def rounded(self, tokens: int) -> int:
        """Up to a multiple of STEP, where shapes are to recur."""
        return -(-tokens // STEP) * STEP if self.recurring else tokens

    def there(self, numbers: Sequence[int]) -> torch.Tensor:
        return to_device(torch.tensor(numbers), self.device)


class Prefill(RowLayout):
    """The prompts of rows that take the next free rows of the cache."""

    def __init__(self, lengths: Sequence[int], tokens: Sequence[int], cache: KVCache, padded: bool):
        """`tokens`: which tokens each prompt consists of, one prompt after the other."""
        super().__init__(lengths, cache.device, torch.tensor(tokens), padded)
        first = len(cache.lengths)
        self.cache = cache
        self.last = cache.there([tokens[end - 1] for end in accumulate(lengths)])  # of each row
        self.all = cache.there(tokens)
        self.places = cache.there(
            [(first + row) * cache.room + i for row, n in enumerate(lengths) for i in range(n)]
        )
        cache.lengths += lengths

    def attend(self, layer, query, key, value, scaling, dropout=0.0) -> torch.Tensor:
        self.cache.write(
            layer, *(x[0].index_select(1, self.all) for x in (key, value)), self.places
        )
        return super().attend(layer, query, key, value, scaling)


class Decode:
    """One more token of every row; attention sees S rows, those in use and perhaps some that are not."""

    def __init__(self, cache: KVCache):
        self.cache, self.rows = cache, len(cache.lengths)
        self.shown, self.longest = self.rows, max(cache.lengths) + 1
        if self.longest > cache.room:
            cache.grow()
        if cache.recurring:
            self.shown = min(cache.count, 1 << (self.rows - 1).bit_length())
            self.longest = cache.rounded(self.longest)
        # A row that is not in use sees its first token, whatever that is; nobody reads the result.
        position = cache.there([*cache.lengths, *[0] * (self.shown - self.rows)])  # [S]
        used = position[: self.rows]
        self.places = used + torch.arange(self.rows, device=cache.device) * cache.room
        seen = torch.arange(self.longest, device=cache.device) <= position[:, None]
        self.seen = seen[:, None, None]  # [S, 1, 1, L]
        cache.lengths = [length + 1 for length in cache.lengths]

    def attend(self, layer, query, key, value, scaling, dropout=0.0) -> torch.Tensor:
        heads, width = query.shape[1], query.shape[3]
        keys, values = (
            whole[: self.shown, : self.longest].transpose(1, 2)  # [S, H_kv, L, D]
            for whole in self.cache.write(layer, key[0], value[0], self.places)
        )
        # Heads that share keys stand as queries of one head, so that no key is repeated.
        query = query[0].transpose(0, 1).reshape(self.rows, key.shape[1], -1, width)
        if self.shown > self.rows:
            query = F.pad(query, (0, 0, 0, 0, 0, 0, 0, self.shown - self.rows))
        out = F.scaled_dot_product_attention(query, keys, values, self.seen, scale=scaling)
        return out[: self.rows].reshape(self.rows, heads, -1)
