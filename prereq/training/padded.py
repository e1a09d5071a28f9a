"""The padded engine: plain PEFT forwards on padded rows, slow and right for every causal model.

Rows of one route make a batch, padded at the end; PEFT activates the route's adapters, and the model
runs its own forward on it. Each batch is followed by its backward before the next route's
adapters are activated: recomputation in the backward (activation checkpointing) would otherwise see
the wrong ones. This is also what the packed engine is tested and measured against.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from prereq.data.packing import Teaching, teaching, to_device
from prereq.data.tokens import Example
from prereq.model.adapters import lora_layers, train_only
from prereq.model.head import context_distillation


@dataclass(frozen=True)
class PaddedBatch:
    """R rows of one route, padded to L tokens, with M labels.

    `input_ids`, `attention_mask`: [R, L]. `predict`: [M], places in the flattened [R·L] of the tokens
    whose next one is a label; `targets`, `weights`, `terms`: [M]. `names`: what the numbers in
    `terms` stand for.
    """

    route: tuple[str, ...]
    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    predict: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    terms: torch.Tensor
    names: tuple[str, ...]
    teaching: "Teaching[PaddedBatch] | None" = None


class PaddedLM(nn.Module):
    """A causal language model that takes a padded batch and returns its loss, as `PackedLM` does."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        object.__setattr__(self, "inner", inner)  # registered once, under `model`
        self._no_split_modules = getattr(inner, "_no_split_modules", None)  # for FSDP
        self.trained = [
            name
            for _, layer in lora_layers(model)
            for name in layer.lora_A
            if layer.lora_A[name].weight.requires_grad
        ]
        self.active: tuple[str, ...] = ()

    def tie_weights(self) -> None:
        """Accelerate ties the weights again that sharding has taken apart."""
        self.inner.tie_weights()

    def packs(self, examples: Sequence[Example], budget: int) -> list[list[Example]]:
        """Rows of one route together, at most `budget` tokens with padding (one row at least)."""
        packs: list[list[Example]] = []
        for example in sorted(examples, key=lambda e: (e.route, -e.tokens)):
            pack = packs[-1] if packs else []
            fits = pack and pack[0].route == example.route
            if not fits or (len(pack) + 1) * pack[0].tokens > budget:
                packs.append([])
            packs[-1].append(example)
        return packs

    def layout(
        self, rows: Sequence[Example], device: torch.device, names: tuple[str, ...]
    ) -> PaddedBatch:
        """The tensors of one forward."""
        rows = sorted(rows, key=lambda e: e.row.ids)
        longest = max(len(e.row.ids) for e in rows)
        ids = [e.row.ids + [0] * (longest - len(e.row.ids)) for e in rows]
        mask = [[1] * len(e.row.ids) + [0] * (longest - len(e.row.ids)) for e in rows]
        predict = [
            number * longest + place
            for number, e in enumerate(rows)
            for place in range(e.row.start - 1, len(e.row.ids) - 1)
        ]

        def tensor(values: list, dtype: torch.dtype = torch.long) -> torch.Tensor:
            return to_device(torch.tensor(values, dtype=dtype), device)

        return PaddedBatch(
            route=rows[0].route,
            input_ids=tensor(ids),
            attention_mask=tensor(mask),
            predict=tensor(predict),
            targets=tensor([token for e in rows for token in e.row.ids[e.row.start :]]),
            weights=tensor([e.weight for e in rows for _ in range(e.row.labels)], torch.float32),
            terms=tensor([names.index(e.term) for e in rows for _ in range(e.row.labels)]),
            names=names,
            teaching=teaching(rows, device, lambda each: self.layout(each, device, names)),
        )

    def padding(self, packs: Sequence[Sequence[Example]]) -> float:
        """Share of padding among the tokens of these batches, in [0, 1)."""
        lengths = [[len(example.row.ids) for example in rows] for rows in packs]
        return 1 - sum(map(sum, lengths)) / sum(len(rows) * max(rows) for rows in lengths)

    def forward(self, batch: PaddedBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted sum of token losses; for each term their sum and number, [2, terms]."""
        loss, losses = self.label_losses(batch)
        parts = torch.zeros(2, len(batch.names), device=losses.device)
        parts[0].index_add_(0, batch.terms, losses)
        parts[1].index_add_(0, batch.terms, torch.ones_like(losses))
        return loss, parts

    def label_losses(self, batch: PaddedBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted sum of the token losses, and each of them, [M], detached."""
        losses = self.token_losses(batch)
        return (losses * batch.weights).sum(), losses.detach()

    def token_losses(self, batch: PaddedBatch) -> torch.Tensor:
        """The loss of each label, [M], in float32: its cross-entropy, or what it learns from a teacher."""
        if batch.teaching is None:
            return F.cross_entropy(self._logits(batch), batch.targets, reduction="none")
        # The teacher reads first: where activations are computed again, the student's adapters are on.
        with torch.no_grad(), self.model.disable_adapter():
            taught = self._logits(batch.teaching.rows).index_select(0, batch.teaching.order)
        train_only(self.model, self.trained)  # PEFT turns other gradients on, on leaving
        shares = batch.teaching.shares
        return context_distillation(self._logits(batch), taught, batch.targets, shares)

    def _logits(self, batch: PaddedBatch) -> torch.Tensor:
        """The logits that labels are predicted by, [M, vocabulary], in float32."""
        if batch.route and batch.route != self.active:
            self.model.base_model.set_adapter(list(batch.route))
            train_only(self.model, self.trained)  # PEFT lets every active adapter train
            self.active = batch.route
        out = self.model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        )
        return out.logits.flatten(0, 1).index_select(0, batch.predict).float()
