"""The packed engine: flat tokens through the model, the head at labels only, a weighted loss."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from prereq.data import packing
from prereq.data.packing import Pack
from prereq.data.tokens import Example
from prereq.model.attention import RowLayout, in_place
from prereq.model.head import distilled_losses, label_losses
from prereq.model.numerics import ROWS
from prereq.model.routed_lora import route


class PackedLM(nn.Module):
    """A causal language model that takes a pack and returns its loss.

    Adapters on the model get the routed forward; `dropout` is the share of its input that each
    adapter drops in training.
    """

    def __init__(self, model: nn.Module, dropout: Mapping[str, float] | None = None):
        super().__init__()
        self.model = model
        self.routing = route(model)
        self.routing.dropout |= dropout or {}
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.rows = inner.config._attn_implementation == ROWS
        # Where Accelerate's FSDP looks for the layers that it is to wrap.
        self._no_split_modules = getattr(inner, "_no_split_modules", None)
        object.__setattr__(self, "inner", inner)  # registered once, under `model`

    def tie_weights(self) -> None:
        """Accelerate ties the weights again that sharding has taken apart."""
        self.inner.tie_weights()

    def packs(self, examples: Sequence[Example], budget: int) -> list[list[Example]]:
        """Rows into packs of at most `budget` tokens (a longer row has a pack of its own)."""
        return packing.split(examples, budget)

    def layout(self, rows: Sequence[Example], device: torch.device, names: tuple[str, ...]) -> Pack:
        """The tensors of one forward. Only attention `rows` can tell tokens that rows share."""
        return packing.pack(rows, device, names, shared_prefixes=self.rows)

    def padding(self, packs: Sequence[Sequence[Example]]) -> float:
        """Share of padding in what attention computes, in [0, 1); linear layers see none."""
        device = next(self.inner.parameters()).device
        pads = self.rows and not in_place(device, self.inner.dtype)
        return packing.padding(packs) if pads else 0.0

    def forward(self, pack: Pack) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted sum of the token losses (a scalar), and for each of the pack's terms the sum
        of its token losses and their number, [2, terms]."""
        loss, losses = self.label_losses(pack)
        parts = torch.zeros(2, len(pack.names), device=losses.device)
        parts[0].index_add_(0, pack.terms, losses)
        parts[1].index_add_(0, pack.terms, torch.ones_like(losses))  # bincount waits for the host
        return loss, parts

    def label_losses(self, pack: Pack) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted sum of the token losses, and each of them, [M], detached."""
        if pack.teaching is None:
            return label_losses(self.inner, self._states(pack), pack.targets, pack.weights)
        # The teacher reads first: where activations are computed again, the routes are the student's.
        with torch.no_grad():
            taught = self._states(pack.teaching.rows).index_select(0, pack.teaching.order)
        shares, hidden = pack.teaching.shares, self._states(pack)
        return distilled_losses(self.inner, hidden, taught, pack.targets, pack.weights, shares)

    def _states(self, pack: Pack) -> torch.Tensor:
        """The hidden states that labels are predicted from, [M, width]."""
        self.routing.spans, self.routing.input = pack.spans, None
        layout, device = {}, pack.input_ids.device
        if self.rows:
            padded = not in_place(device, self.inner.dtype)
            layout = {"row_layout": RowLayout(pack.lengths, device, pack.tokens, padded)}
        else:
            assert pack.tokens is None, "only attention `rows` knows tokens that rows share"
        # With a cache transformers would drop its packed mask and attend across rows.
        out = self.inner.base_model(
            input_ids=pack.input_ids, position_ids=pack.position_ids, use_cache=False, **layout
        )
        return out.last_hidden_state[0].index_select(0, pack.predict)
