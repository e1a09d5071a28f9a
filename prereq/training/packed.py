"""The packed forward: flat tokens through the model, the head at labels only, a weighted loss."""

import torch
from torch import nn

from prereq.data.batches import Pack
from prereq.model.attention import NAME as ROWS
from prereq.model.attention import RowLayout, in_place
from prereq.model.head import label_losses
from prereq.model.lora import Routing


class PackedLM(nn.Module):
    """A causal language model that takes a pack and returns its loss.

    Returns the weighted sum of the token losses (a scalar), and for each of the pack's terms the
    unweighted sum of token losses and their count, [2, terms], for the log.
    """

    def __init__(self, model: nn.Module, routing: Routing | None = None):
        super().__init__()
        self.model = model
        self.routing = routing or Routing()
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.rows = inner.config._attn_implementation == ROWS
        object.__setattr__(self, "inner", inner)  # registered once, under `model`

    def pads(self, device: torch.device) -> bool:
        """Whether attention lays rows out as padded blocks there."""
        dropout = getattr(self.inner.config, "attention_dropout", 0.0)
        return self.rows and bool(dropout or not in_place(device, self.inner.dtype))

    def forward(self, pack: Pack) -> tuple[torch.Tensor, torch.Tensor]:
        self.routing.spans, self.routing.input = pack.spans, None
        layout, device = {}, pack.input_ids.device
        if self.rows:
            rows = RowLayout(pack.lengths, device, pack.tokens, self.pads(device))
            layout = {"row_layout": rows}
        else:
            assert pack.tokens is None, "only attention `rows` knows tokens that rows share"
        # With a cache transformers would drop its packed mask and attend across rows.
        out = self.inner.base_model(
            input_ids=pack.input_ids, position_ids=pack.position_ids, use_cache=False, **layout
        )
        hidden = out.last_hidden_state[0].index_select(0, pack.predict)  # [M, width]
        loss, losses = label_losses(self.inner, hidden, pack.targets, pack.weights)
        parts = torch.zeros(2, len(pack.names), device=losses.device)
        parts[0].index_add_(0, pack.terms, losses)
        parts[1].index_add_(0, pack.terms, torch.ones_like(losses))  # bincount waits for the host
        return loss, parts
