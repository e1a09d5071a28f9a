"""The forward and backward of one optimizer step: in the memory there is, whole in 16 bits.

The packs of a step are dealt out over the processes. Each label already carries its weight, so the
gradient does not depend on the packing or on the number of processes.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import nn

from prereq.data.tokens import Example, TokenRow
from prereq.errors import PrereqError
from prereq.model.memory import checkpoint_activations, checkpoints_activations
from prereq.runtime.console import say
from prereq.training.packed import PackedLM
from prereq.training.padded import PaddedLM

Packs = list[list[Example]]
DEFAULT = 4096  # tokens a forward
MEASURED = 2048  # tokens of the pack whose memory is measured
SPARE = 0.1  # of what is free, kept for packs that take more than that one
MOST = 2**16  # tokens a forward; beyond, nothing is won


@dataclass
class Gradients:
    """What computes the gradients of a run. `tokens`: of a forward, fewer once memory has run out."""

    accelerator: Accelerator
    wrapped: nn.Module  # `lm`, as Accelerate prepared it
    lm: PackedLM | PaddedLM
    label: str  # of the run, for messages
    seed: int
    tokens: int
    fixed: bool  # dropout is drawn a pack: other packs would be another experiment
    terms: tuple[str, ...]

    def step(
        self, examples: Sequence[Example], number: int
    ) -> tuple[torch.Tensor, torch.Tensor, Packs]:
        """Add up the gradients of optimizer step `number`.

        Returns its loss and for each term the sum and the number of its token losses, [2, terms],
        over all processes, and its packs. Where memory runs out, it makes room and begins the step
        again; raises PrereqError where nothing more can be done.
        """
        while True:
            packs = self.lm.packs(examples, self.tokens)
            try:
                loss, sums = self._backward(packs, examples, number)
                return loss, sums, packs
            except torch.OutOfMemoryError as error:
                reason = str(error).partition(". ")[0]
            # Out here nothing refers to the failed forward any more.
            self._make_room(reason, packs)

    def fit(self, examples: Sequence[Example]) -> None:
        """Choose `tokens` by what a pack of these examples takes of the GPU's memory."""
        self.tokens, device = DEFAULT, self.accelerator.device
        if device.type != "cuda":
            return
        rows = max(self.lm.packs(examples, MEASURED), key=lambda rows: _largest([rows]))
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        self.tokens = MEASURED
        self.step(rows, 0)
        used = torch.cuda.max_memory_allocated(device) - before
        self.wrapped.zero_grad()
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(device)
        states = 8 * sum(p.numel() for p in self.wrapped.parameters() if p.requires_grad)
        found = tokens_that_fit(used, _largest([rows]), free - states)
        # A process without a pack has measured a row; the one with the pack has the fewest tokens.
        every = self.accelerator.gather(torch.tensor([found], device=device))
        self.tokens = int(every.min())
        say(
            "using", f"{self.label}: stage.tokens_per_forward={self.tokens}, as memory has room for"
        )

    def _backward(
        self, packs: Packs, examples: Sequence[Example], number: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        accelerator, wrapped = self.accelerator, self.wrapped
        count, rank = accelerator.num_processes, accelerator.process_index
        device = accelerator.device
        mine = packs[rank::count]
        # Every process makes the same number of backwards; one without a pack has a row of weight 0.
        mine += [[_idle(packs)]] * (math.ceil(len(packs) / count) - len(mine))
        scale = loss_scale(examples) if self.lm.inner.dtype == torch.float16 else 1.0
        loss = torch.zeros((), device=device)
        sums = torch.zeros(2, len(self.terms), device=device)
        # torch.manual_seed asks every kind of device there might be, which a small step can feel.
        on_cpu = device.type == "cpu"
        seed = torch.default_generator.manual_seed if on_cpu else torch.manual_seed
        for place, rows in enumerate(mine):
            # Dropout masks belong to the pack, whichever process computes it.
            seed(hash((self.seed, number, place * count + rank)) % 2**63)
            batch = self.lm.layout(_scaled(rows, scale), device, self.terms)
            last = place == len(mine) - 1
            with accelerator.no_sync(wrapped) if not last else nullcontext():
                part_loss, part = wrapped(batch)
                accelerator.backward(part_loss * count)  # DDP averages over processes
            loss, sums = loss + part_loss.detach() / scale, sums + part
        if scale != 1:
            for parameter in wrapped.parameters():
                if parameter.grad is not None:
                    parameter.grad.div_(scale)
        if count > 1:
            loss, sums = accelerator.reduce((loss, sums), reduction="sum")
        return loss, sums

    def _make_room(self, reason: str, packs: Packs) -> None:
        """Less memory for the same gradients: smaller packs, else activations computed twice."""
        longest = max(example.tokens for rows in packs for example in rows)
        several = sum(map(len, packs)) > len(packs)  # rows that could be apart
        self.wrapped.zero_grad()
        if self.accelerator.num_processes > 1:  # the others wait in the middle of the step
            raise PrereqError(f"{self.label}: {reason}. {self._remedies()}")
        if several and self.tokens > longest and not self.fixed:
            self.tokens = max(longest, min(self.tokens, _largest(packs)) // 2)
            done = f"going on with stage.tokens_per_forward={self.tokens}, the result is the same"
        elif not checkpoints_activations(self.lm.inner):
            checkpoint_activations(self.lm.inner)
            done = "going on with model.gradient_checkpointing=true, the result is the same"
        else:
            raise PrereqError(f"{self.label}: {reason}. {self._remedies()}")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        say("noted", f"{self.label}: out of memory; {done}")

    def _remedies(self) -> str:
        return (
            f"Lower stage.tokens_per_forward ({self.tokens} now), set model.gradient_checkpointing=true, "
            "choose a smaller model or a GPU with more memory"
        )


def loss_scale(examples: Sequence[Example]) -> float:
    """A power of two by which the mean weight of the labels becomes about 1.

    A mean over thousands of labels gives each a weight, and so hidden states gradients, below what
    float16 can hold. The scale depends on the step's rows alone, so a resumed run has the same.
    """
    labels = sum(e.row.labels for e in examples)
    total = sum(e.weight * e.row.labels for e in examples)
    return 2.0 ** round(math.log2(labels / total)) if total > 0 else 1.0


def tokens_that_fit(used: int, tokens: int, free: int) -> int:
    """Tokens a forward for `free` bytes, where `tokens` took `used`: a multiple of 256, from 256 to MOST."""
    fit = int((1 - SPARE) * free * tokens / max(used, 1))
    return max(256, min(MOST, fit // 256 * 256))


def _scaled(rows: Sequence[Example], scale: float) -> list[Example]:
    return list(rows) if scale == 1 else [replace(e, weight=e.weight * scale) for e in rows]


def _largest(packs: Packs) -> int:
    return max(sum(example.tokens for example in rows) for rows in packs)


def _idle(packs: Packs) -> Example:
    shortest = min((e for rows in packs for e in rows), key=lambda e: len(e.row.ids))
    return Example(
        TokenRow(shortest.row.ids, len(shortest.row.ids) - 1), shortest.route, shortest.term
    )
