"""Attention over packed rows: linear layers see the flat tokens of a pack, attention sees rows.

This function, registered with transformers as `rows`, runs PyTorch's own variable-length
FlashAttention in place where there is one (16 bits on CUDA). Elsewhere it lays queries, keys and
values out as rows padded at the end, runs causal attention without a mask, and gathers the result
back. No token attends across rows, and the cost grows with the square of a row, not of the pack.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface

from prereq.data.batches import to_device
from prereq.errors import PrereqError

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # torch before 2.10
    varlen_attn = None

NAME = "rows"


def in_place(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a variable-length kernel is at hand, so that nothing needs to be padded."""
    return varlen_attn is not None and device.type == "cuda" and dtype != torch.float32


class RowLayout:
    """Where each token of a pack stands in a block of R rows padded to the longest, L.

    What only one of the two ways of attention reads is computed where it is first read.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu"):
        self.lengths, self.device = lengths, device
        self.rows, self.longest = len(lengths), max(lengths)
        self.full = all(length == self.longest for length in lengths)

    @cached_property
    def starts(self) -> torch.Tensor:
        """[R + 1], int32: where rows start in the pack, and where the last one ends."""
        return self._there(torch.tensor([0, *accumulate(self.lengths)], dtype=torch.int32))

    @cached_property
    def block(self) -> torch.Tensor:
        """[R·L]: the token in each cell; a padding cell repeats its row's last one."""
        length = torch.tensor(self.lengths)[:, None]
        start = torch.tensor([0, *accumulate(self.lengths)])[:-1, None]
        cell = start + torch.minimum(torch.arange(self.longest), length - 1)
        return self._there(cell.flatten())

    @cached_property
    def inside(self) -> torch.Tensor:
        """[R·L]: whether a cell holds a token of its own."""
        return self._there(self._inside())

    @cached_property
    def flat(self) -> torch.Tensor:
        """[T]: the cell of each token."""
        return self._there(self._inside().nonzero()[:, 0])

    def _inside(self) -> torch.Tensor:
        length = torch.tensor(self.lengths)[:, None]
        return (torch.arange(self.longest) < length).flatten()

    def _there(self, tensor: torch.Tensor) -> torch.Tensor:
        return to_device(tensor, self.device)

    def attend(self, layer, query, key, value, scaling, dropout=0.0) -> torch.Tensor:
        """Attention of one layer: query [1, H, T, D], key and value [1, H_kv, T, D] → [T, H, D]."""
        grouped = query.shape[1] // key.shape[1]
        if in_place(query.device, query.dtype) and not dropout:
            flat = query, key.repeat_interleave(grouped, 1), value.repeat_interleave(grouped, 1)
            ends = self.starts, self.starts, self.longest, self.longest
            causal = (-1, 0)
            flat = (x[0].transpose(0, 1) for x in flat)  # [T, H, D]
            return varlen_attn(*flat, *ends, scale=scaling, window_size=causal)

        def block(x):  # [1, H, T, D] → [R, H, L, D]
            x = x[0].transpose(0, 1)
            x = x if self.full else _ToBlock.apply(x, self)
            return x.reshape(self.rows, self.longest, *x.shape[1:]).transpose(1, 2)

        # On a CPU the backward in 16 bits takes ten times as long as in 32.
        kind = torch.float32 if query.device.type == "cpu" else query.dtype
        out = F.scaled_dot_product_attention(
            *(block(x).to(kind) for x in (query, key, value)),
            dropout_p=dropout,
            is_causal=True,
            scale=scaling,
            enable_gqa=grouped > 1,
        )
        out = out.to(query.dtype).transpose(1, 2)  # [R, L, H, D]
        out = out.reshape(self.rows * self.longest, *out.shape[2:])
        return out if self.full else _ToFlat.apply(out, self)


class _ToBlock(torch.autograd.Function):
    """[T, …] to [R·L, …]. Padding cells receive no gradient, so none is gathered from them."""

    @staticmethod
    def forward(ctx, x, layout):
        ctx.layout = layout
        return x.index_select(0, layout.block)

    @staticmethod
    def backward(ctx, grad):
        return grad.index_select(0, ctx.layout.flat), None


class _ToFlat(torch.autograd.Function):
    """[R·L, …] to [T, …]; the gradient of a padding cell is zero."""

    @staticmethod
    def forward(ctx, x, layout):
        ctx.layout = layout
        return x.index_select(0, layout.flat)

    @staticmethod
    def backward(ctx, grad):
        block = grad.index_select(0, ctx.layout.block)
        return block.mul_(ctx.layout.inside[:, None, None]), None


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

    Raises where a model wants more of attention than this gives.
    """
    narrow = sliding_window and row_layout.longest > sliding_window
    if softcap or s_aux is not None or narrow:
        what = "a soft cap" if softcap else "sinks" if s_aux is not None else "a sliding window"
        raise PrereqError(
            f"{type(module).__name__}: its attention has {what}, which attention `{NAME}` does not know"
            f" (sliding_window={sliding_window}, longest row {row_layout.longest}); use "
            "model.attn_implementation=eager, or flash_attention_2 on a GPU"
        )
    return row_layout.attend(module.layer_idx, query, key, value, scaling, dropout)[None], None


def _no_mask(*args, **kwargs):
    return None


AttentionInterface.register(NAME, rows_attention)
AttentionMaskInterface.register(NAME, _no_mask)
