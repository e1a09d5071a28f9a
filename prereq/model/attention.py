"""Attention over packed rows: linear layers see the flat tokens of a pack, attention sees rows.

This function, registered with transformers as `rows`, runs PyTorch's own variable-length
FlashAttention in place where there is one (16 bits on CUDA). Elsewhere it lays queries, keys and
values out as rows padded at the end, runs causal attention without a mask, and gathers the result
back. No token attends across rows, and the cost grows with the square of a row, not of the pack.
Rows may share tokens, those that they begin with; only here does each row see its own copy of them.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from inspect import signature
from itertools import accumulate

import torch
import torch.nn.functional as F
from transformers import AttentionInterface

from prereq.data.packing import to_device
from prereq.model.numerics import ROWS
from prereq.model.self_check import Unfit


@cache
def _kernel() -> tuple[Callable[..., torch.Tensor], frozenset[str]] | None:
    """PyTorch's variable-length attention and what it takes, as releases differ.

    It is imported where it may run: elsewhere that costs 0.2 s for nothing.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:  # torch before 2.10
        return None
    return varlen_attn, frozenset(signature(varlen_attn).parameters)


def in_place(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a variable-length kernel is at hand, so that nothing needs to be padded.

    It takes 16 bits and a GPU of compute capability 8 (Ampere) or newer.
    """
    if device.type != "cuda" or dtype == torch.float32 or _kernel() is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def layout_on(device: torch.device, dtype: torch.dtype) -> str:
    """How `rows` lays rows out there, in words; a GPU that must pad is told why."""
    if in_place(device, dtype):
        return "without padding"
    if device.type != "cuda":
        return "padded"
    if dtype == torch.float32:
        return "padded, as the kernel without padding takes 16 bits only"
    return "padded, as the kernel without padding needs torch 2.10 and compute capability 8"


def variable_length(query, key, value, starts, longest: int, scale: float) -> torch.Tensor:
    """Causal attention inside each row by PyTorch's kernel.

    query [C, H, D], key and value [C, H_kv, D] → [C, H, D]. `starts`: [R + 1], int32, where rows start
    and the last one ends.
    """
    kernel, takes = _kernel()
    how = {"is_causal": True} if "is_causal" in takes else {"window_size": (-1, 0)}
    groups = query.shape[1] // key.shape[1]
    if groups > 1 and "enable_gqa" in takes:
        how["enable_gqa"] = True
    elif groups > 1:  # a kernel that does not know heads which share keys
        key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    if "scale" in takes:
        how["scale"] = scale
    else:  # it divides by √D itself
        query = query * (scale * query.shape[-1] ** 0.5)
    return kernel(query, key, value, starts, starts, longest, longest, **how)


class RowLayout:
    """Where the T tokens of a pack stand in its R rows: each row has positions, one a token.

    Padded, every row has as many positions as the longest, L; else as many as it has tokens. So there
    are C positions, R·L or fewer. What one way of attention does not read is never computed.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device | str = "cpu",
        tokens: torch.Tensor | None = None,
        padded: bool = True,
    ):
        """`tokens`: which tokens each row consists of, one row after the other (see `Pack`)."""
        self.lengths, self.device, self.padded = lengths, device, padded
        self.rows, self.longest = len(lengths), max(lengths)
        self.tokens = torch.arange(sum(lengths)) if tokens is None else tokens
        even = all(length == self.longest for length in lengths)
        self.plain = tokens is None and (even or not padded)  # tokens are positions

    @cached_property
    def starts(self) -> torch.Tensor:
        """[R + 1], int32: where rows start without padding, and where the last one ends."""
        return self._there(torch.tensor([0, *accumulate(self.lengths)], dtype=torch.int32))

    @cached_property
    def padded_positions(self) -> torch.Tensor:
        """The padded position of each of `tokens`, on the CPU."""
        if not self.padded:
            return torch.arange(len(self.tokens))
        length = torch.tensor(self.lengths)[:, None]
        return (torch.arange(self.longest) < length).flatten().nonzero()[:, 0]

    @cached_property
    def first_copies(self) -> torch.Tensor:
        """Whether a token stands here as in no row before, on the CPU, for each of `tokens`."""
        before = torch.cat([torch.tensor([-1]), self.tokens.cummax(0).values[:-1]])
        return self.tokens > before  # they are numbered in the order of their first rows

    @cached_property
    def gather_index(self) -> torch.Tensor:
        """[C]: the token at each padded position; where padding is, which nothing reads, the first one."""
        count = self.rows * self.longest if self.padded else len(self.tokens)
        index = torch.zeros(count, dtype=torch.long)
        index[self.padded_positions] = self.tokens
        return self._there(index)

    @cached_property
    def first_positions(self) -> torch.Tensor:
        """[T]: the padded position of each token, that in the first of its rows."""
        return self._there(self.padded_positions[self.first_copies])

    @cached_property
    def used(self) -> torch.Tensor:
        """[C]: whether what attention gives for a position goes on: once a token, and no padding."""
        used = torch.zeros(len(self.gather_index), dtype=torch.bool, device=self.device)
        return used.index_fill_(0, self.first_positions, True)

    @cached_property
    def duplicates(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Where tokens stand in further rows: their padded positions, and these tokens."""
        return self._there(self.padded_positions[~self.first_copies]), self._there(
            self.tokens[~self.first_copies]
        )

    def _there(self, tensor: torch.Tensor) -> torch.Tensor:
        return to_device(tensor, self.device)

    def attend(self, layer, query, key, value, scaling, dropout=0.0) -> torch.Tensor:
        """Attention of one layer: query [1, H, T, D], key and value [1, H_kv, T, D] → [T, H, D]."""
        # On a CPU the backward in 16 bits takes ten times as long as in 32.
        dtype = torch.float32 if query.device.type == "cpu" else query.dtype
        flat = (x[0].transpose(0, 1).to(dtype) for x in (query, key, value))
        rows = (x if self.plain else _ToRows.apply(x, self) for x in flat)  # [C, H, D]
        out = (self._padded if self.padded else self._in_place)(*rows, scaling, dropout)
        out = out if self.plain else _ToFlat.apply(out, self)
        return out.to(query.dtype)

    def _padded(self, query, key, value, scaling, dropout) -> torch.Tensor:
        block = (
            x.reshape(self.rows, self.longest, *x.shape[1:]).transpose(1, 2)  # [R, H, L, D]
            for x in (query, key, value)
        )
        out = F.scaled_dot_product_attention(
            *block,
            dropout_p=dropout,
            is_causal=True,
            scale=scaling,
            enable_gqa=query.shape[1] > key.shape[1],
        )
        return out.transpose(1, 2).flatten(0, 1)

    def _in_place(self, query, key, value, scaling, dropout) -> torch.Tensor:
        assert not dropout, "the kernel knows none"
        return variable_length(query, key, value, self.starts, self.longest, scaling)


class _ToRows(torch.autograd.Function):
    """[T, …] to [C, …]. The gradients of a token's duplicates are added up; padding has none."""

    @staticmethod
    def forward(ctx, x, layout):
        ctx.layout = layout
        return x.index_select(0, layout.gather_index)

    @staticmethod
    def backward(ctx, grad):
        positions, tokens = ctx.layout.duplicates
        total = grad.index_select(0, ctx.layout.first_positions)
        if len(positions):  # hundreds of rows can begin alike: not in 16 bits
            total = total.float().index_add_(0, tokens, grad.index_select(0, positions).float())
        return total.to(grad.dtype), None


class _ToFlat(torch.autograd.Function):
    """[C, …] to [T, …], each from the position that is `used`; the gradient of the others is zero."""

    @staticmethod
    def forward(ctx, x, layout):
        ctx.layout = layout
        return x.index_select(0, layout.first_positions)

    @staticmethod
    def backward(ctx, grad):
        rows = grad.index_select(0, ctx.layout.gather_index)
        return rows.mul_(ctx.layout.used[:, None, None]), None


def rows_attention(
    module,
    query,
    key,
    value,
    attention_mask,
    *,
    scaling,
    row_layout,
    dropout=0.0,
    sliding_window=None,
    softcap=None,
    s_aux=None,
    **_,
):
    """Causal attention inside each row. query [1, H, T, D], key and value [1, H_kv, T, D] → [1, T, H, D].

    Raises Unfit where a model wants more of attention than this gives.
    """
    narrow = sliding_window and row_layout.longest > sliding_window
    if softcap or s_aux is not None or narrow:
        window = f"a sliding window of {sliding_window} tokens (longest row {row_layout.longest})"
        what = "a soft cap" if softcap else "sinks" if s_aux is not None else window
        raise Unfit(f"its attention has {what}, which attention `{ROWS}` does not have")
    return row_layout.attend(module.layer_idx, query, key, value, scaling, dropout)[None], None


# Without a mask function beside it transformers makes no mask, and none is wanted.
AttentionInterface.register(ROWS, rows_attention)
