"""Attention over packed rows where no variable-length kernel is at hand.

Linear layers see the flat tokens of a pack; this function, registered with transformers as
`rows`, lays queries, keys and values out as rows padded at the end, runs causal attention
without a mask, and gathers the result back. No token attends across rows, and the cost grows with
the square of a row, not of the pack.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "rows"


class RowLayout:
    """Where each token of a pack stands in a block of R rows padded to the longest, L."""

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu"):
        self.rows, self.longest = len(lengths), max(lengths)
        self.full = all(length == self.longest for length in lengths)
        if self.full:
            return
        length = torch.tensor(lengths)
        start = torch.tensor([0, *accumulate(lengths)])[:-1]
        column = torch.arange(self.longest)
        inside = column < length[:, None]  # [R, L]
        # A padding cell repeats its row's last token: whatever it computes is dropped.
        self.block = (
            (start[:, None] + torch.minimum(column, length[:, None] - 1)).flatten().to(device)
        )
        self.flat = inside.flatten().nonzero()[:, 0].to(device)
        self.inside = inside.flatten().to(device)


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
    module, query, key, value, attention_mask, *, scaling, row_layout, dropout=0.0, **_
):
    """Causal attention inside each row. query [1, H, T, D], key and value [1, H_kv, T, D] → [1, T, H, D]."""
    rows, longest = row_layout.rows, row_layout.longest

    def block(x):  # [1, H, T, D] → [R, H, L, D]
        x = x[0].transpose(0, 1)
        x = x if row_layout.full else _ToBlock.apply(x, row_layout)
        return x.reshape(rows, longest, *x.shape[1:]).transpose(1, 2)

    # On a CPU the backward in 16 bits takes ten times as long as in 32.
    kind = torch.float32 if query.device.type == "cpu" else query.dtype
    out = F.scaled_dot_product_attention(
        block(query).to(kind),
        block(key).to(kind),
        block(value).to(kind),
        dropout_p=dropout,
        is_causal=True,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    out = (
        out.to(query.dtype).transpose(1, 2).reshape(rows * longest, query.shape[1], query.shape[3])
    )
    return (out if row_layout.full else _ToFlat.apply(out, row_layout))[None], None


def _no_mask(*args, **kwargs):
    return None


AttentionInterface.register(NAME, rows_attention)
AttentionMaskInterface.register(NAME, _no_mask)
