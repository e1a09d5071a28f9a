"""The one training loop: it serves `pretrain`, `cpt` and `sft`, which differ in plan and model.

An optimizer step is laid out by the plan, packed by a token budget, and spread over the processes;
each label already carries its weight, so the gradient of a step does not depend on the packing or
on the number of processes. Accelerate gives devices and processes; nothing of that kind is here.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from torch import nn

from prereq.config import Config, Training
from prereq.console import progress
from prereq.data.batches import TERMS, pack, split
from prereq.data.tokens import Example, TokenRow
from prereq.errors import Preempted
from prereq.model.lora import Routing
from prereq.stopping import Asked
from prereq.track import Tracker
from prereq.training import checkpoints
from prereq.training.packed import PackedLM
from prereq.training.plan import Plan

CLIP = 1.0  # largest gradient norm, as published


@dataclass(frozen=True)
class Run:
    """What the loop needs to know besides the model and the plan."""

    label: str
    training: Training  # complete
    tokens_per_forward: int
    checkpoint_seconds: int
    seed: int
    folder: Path  # scratch folder of the artifact; the checkpoint lives in it
    tracker: Tracker

    @classmethod
    def of(cls, config: Config, label: str, training: Training, folder: Path, tracker: Tracker):
        stage = config.stage
        return cls(
            label,
            training,
            stage.tokens_per_forward,
            stage.checkpoint_seconds,
            config.seed,
            folder,
            tracker,
        )


def device() -> torch.device:
    """Where this process trains."""
    return PartialState().device


def train(
    model: nn.Module,
    plan: Plan,
    run: Run,
    routing: Routing | None = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
) -> dict[str, float]:
    """Train every parameter of `model` that requires a gradient; resume from a checkpoint if any.

    `on_epoch(e)` is called after epoch e (from 1). Returns a summary for the manifest. Raises
    `Preempted` when told to stop (`prereq.stopping`), its checkpoint saved.
    """
    accelerator = Accelerator()
    packed = PackedLM(model, routing)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        trained.values(),
        lr=run.training.learning_rate,
        betas=(0.9, run.training.beta2),
        weight_decay=run.training.weight_decay,
        fused=True,
    )
    first = checkpoints.load(run.folder, trained, optimizer)
    wrapped, optimizer = accelerator.prepare(packed, optimizer)
    wrapped.train()
    run.tracker.resume(first)
    stop = Asked()
    saved = time.monotonic()
    tokens = 0
    started = time.monotonic()
    with progress(run.label, plan.steps, first) as advance, stop:
        for step in range(first, plan.steps):
            learning_rate = run.training.learning_rate * cosine(
                step, plan.steps, run.training.warmup
            )
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            began = time.monotonic()
            examples = plan.step(step)
            loss, parts = _backward(accelerator, wrapped, examples, run, step)
            norm = accelerator.clip_grad_norm_(list(trained.values()), CLIP)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

            useful = sum(len(example.row.ids) for example in examples)
            tokens += useful
            seconds = time.monotonic() - began
            loss = float(loss)
            values = {"loss": loss, "grad_norm": float(norm), "learning_rate": learning_rate}
            values |= {"tokens_per_second": useful / seconds} | _means(parts)
            run.tracker.log(step, values)
            advance(1, f"loss {loss:.3f}  {tokens / (time.monotonic() - started):,.0f} tok/s")

            done = step + 1
            if done % plan.steps_per_epoch == 0:
                on_epoch(done // plan.steps_per_epoch)
            due = done < plan.steps and time.monotonic() - saved > run.checkpoint_seconds
            if stop.asked or due:
                if accelerator.is_main_process:
                    checkpoints.save(run.folder, done, trained, optimizer)
                saved = time.monotonic()
            if stop.asked:
                raise Preempted(
                    f"{run.label}: stopped at step {done} of {plan.steps}; checkpoint saved"
                )
    return {
        "steps": plan.steps,
        "tokens": tokens,
        "train_seconds": round(time.monotonic() - started, 1),
    }


def _backward(
    accelerator: Accelerator, wrapped: nn.Module, examples: list[Example], run: Run, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Forward and backward of one optimizer step; its loss and parts, summed over processes."""
    processes = accelerator.num_processes
    packs = split(examples, max(run.tokens_per_forward, 1))
    mine = packs[accelerator.process_index :: processes]
    # Every process makes the same number of backwards; one without a pack has a row of weight 0.
    mine += [[_idle(examples)]] * (math.ceil(len(packs) / processes) - len(mine))
    loss, parts = torch.zeros((), device=accelerator.device), 0
    for number, rows in enumerate(mine):
        # Dropout masks belong to the pack, whichever process computes it.
        place = number * processes + accelerator.process_index
        torch.manual_seed(hash((run.seed, step, place)) % 2**63)
        batch = pack(rows, accelerator.device)
        last = number == len(mine) - 1
        with accelerator.no_sync(wrapped) if not last else nullcontext():
            part_loss, part = wrapped(batch)
            accelerator.backward(part_loss * processes)  # DDP averages over processes
        loss, parts = loss + part_loss.detach(), parts + part
    if processes > 1:
        loss, parts = accelerator.reduce((loss, parts), reduction="sum")
    return loss, parts


def cosine(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate: linear from 0 over the warm-up, then a cosine to 0."""
    warm = math.ceil(steps * warmup)
    if step < warm:
        return step / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _means(parts: torch.Tensor) -> dict[str, float]:
    sums, counts = parts.tolist()
    return {
        f"loss/{t}": s / n for t, s, n in zip(TERMS, sums, counts, strict=True) if n and t != "text"
    }


def _idle(examples: list[Example]) -> Example:
    shortest = min(examples, key=lambda e: len(e.row.ids))
    return Example(
        TokenRow(shortest.row.ids, len(shortest.row.ids) - 1), shortest.route, shortest.term
    )
