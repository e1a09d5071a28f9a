"""The one training loop: it serves `pretrain`, `cpt` and `sft`, which differ in plan and model.

An optimizer step is laid out by the plan, and its gradient computed by `prereq.training.step`.
Accelerate gives devices and processes; nothing of that kind is here.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import nn

from prereq.config import StageConfig, Training
from prereq.errors import Preempted, PrereqError
from prereq.model.adapters import full_tensor, set_dropout
from prereq.model.memory import GIB, checkpoints_activations, estimate
from prereq.model.self_check import check_ids, check_length
from prereq.runtime import ranks
from prereq.runtime.console import progress, say
from prereq.runtime.signals import Asked
from prereq.tracking.metrics import Tracker
from prereq.training import checkpoints, probe
from prereq.training.log import StepLog
from prereq.training.packed import PackedLM
from prereq.training.padded import PaddedLM
from prereq.training.plan import Plan
from prereq.training.step import DEFAULT, Gradients

CLIP = 1.0  # largest gradient norm, as published
AGREE_EVERY = 5  # steps between two times that several processes ask whether one must stop


@dataclass(frozen=True)
class Run:
    """What the loop needs to know besides the model and the plan."""

    label: str
    training: Training  # complete
    engine: str  # packed | padded
    tokens_per_forward: int | str  # or auto
    checkpoint_seconds: int
    seed: int
    folder: Path  # scratch folder of the artifact; the checkpoint lives in it
    tracker: Tracker

    @classmethod
    def of(
        cls,
        stage: StageConfig,
        seed: int,
        label: str,
        training: Training,
        folder: Path,
        tracker: Tracker,
    ) -> "Run":
        return cls(
            label,
            training,
            stage.engine,
            stage.tokens_per_forward,
            stage.checkpoint_seconds,
            seed,
            folder,
            tracker,
        )


@dataclass(frozen=True)
class Part:
    """Parameters with a schedule and a gradient norm of their own: those of one adapter."""

    adapter: str | None  # None: whatever trains
    training: Training
    steps: int

    def of(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """Name → parameter. Looked up again once the model is wrapped: FSDP replaces parameters."""
        mark = f".{self.adapter}." if self.adapter else ""
        return {n: p for n, p in model.named_parameters() if p.requires_grad and mark in n}


def train(
    model: nn.Module,
    plan: Plan,
    run: Run,
    dropout: Mapping[str, float] | None = None,
    on_epoch: Callable[[int], None] = lambda epoch: None,
    parts: Sequence[Part] = (),
) -> dict[str, float]:
    """Train every parameter of `model` that requires a gradient; resume from a checkpoint if any.

    `dropout`: the share of its input that each adapter drops. `on_epoch(e)` is called after epoch e
    (from 1), in every process. With `parts` each of them has its own schedule. Returns a summary for
    the manifest. Raises `Preempted` when asked to stop (`prereq.runtime.signals`), its checkpoint
    saved, and PrereqError for a model that the engine cannot compute, and for a loss that is not finite.
    """
    parts = list(parts) or [Part(None, run.training, plan.steps)]
    idle = DistributedDataParallelKwargs(find_unused_parameters=len(parts) > 1)
    accelerator = Accelerator(kwargs_handlers=[idle])
    lm = language_model(model, plan, run, dropout or {}, accelerator)
    wrapped, optimizer = accelerator.prepare(lm, _optimizer(model, parts))
    wrapped.train()
    fixed = any((dropout or {}).values())
    budget = run.tokens_per_forward if isinstance(run.tokens_per_forward, int) else DEFAULT
    gradients = Gradients(accelerator, wrapped, lm, run.label, run.seed, budget, fixed, plan.terms)
    trained = [part.of(model) for part in parts]
    everything = {name: p for group in trained for name, p in group.items()}
    start = checkpoints.load(run.folder, everything, optimizer, plan.steps)
    if run.tokens_per_forward == "auto":
        gradients.fit(plan.step(0))
    _say_memory(run, lm, gradients.tokens, accelerator.device)
    log = StepLog(run.tracker, plan.terms, start)
    stop = Asked()
    saved, kept = time.monotonic(), start
    with progress(run.label, plan.steps, start) as advance, stop:
        for step in range(start, plan.steps):
            for part, group in zip(parts, optimizer.param_groups, strict=True):
                factor = cosine(step, part.steps, part.training.warmup)
                group["lr"] = part.training.learning_rate * factor
            examples = plan.step(step)
            loss, sums, packs = gradients.step(examples, step)
            norms = [accelerator.clip_grad_norm_(list(g.values()), CLIP) for g in trained]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            rate = optimizer.param_groups[0]["lr"]
            # Of a part that has ended the norm is a zero on the CPU.
            norm = torch.stack([full_tensor(norm).to(loss.device) for norm in norms]).max()
            log.add(step, loss, norm, sums, rate, examples, lm.padding(packs))
            advance(1, log.note)

            done = step + 1
            if done % plan.steps_per_epoch == 0:
                on_epoch(done // plan.steps_per_epoch)
            last = done == plan.steps
            if accelerator.num_processes > 1 and done % AGREE_EVERY and not last:
                continue
            due = not last and time.monotonic() - saved > run.checkpoint_seconds
            stopping, due = _agreed(accelerator, stop.asked, due)
            if stopping or due or last or accelerator.num_processes > 1:
                log.flush()
            if log.broken:  # in all processes: they log the same numbers
                raise not_finite(run, log.broken, kept)
            if stopping or due:
                checkpoints.save(run.folder, done, plan.steps, everything, optimizer)
                saved, kept = time.monotonic(), done
            if stopping:
                raise Preempted(
                    f"{run.label}: stopped at step {done} of {plan.steps}; checkpoint saved"
                )
    return {"steps": plan.steps, "tokens": log.tokens, "train_seconds": round(log.seconds(), 1)}


def _say_memory(run: Run, lm: PackedLM | PaddedLM, tokens: int, device: torch.device) -> None:
    """What the run will take of the GPU's memory, before the first step."""
    if device.type != "cuda" or ranks.sharded():
        return
    expected = estimate(lm.model, tokens, checkpoints_activations(lm.inner))
    if expected:
        room = torch.cuda.get_device_properties(device).total_memory / GIB
        say(
            "memory",
            f"{run.label}: about {expected} of {room:.0f} GiB at {tokens:,} tokens a forward",
        )


def _optimizer(model: nn.Module, parts: Sequence[Part]) -> torch.optim.AdamW:
    """AdamW, with a group of parameters a part."""
    groups = [
        {
            "params": list(part.of(model).values()),
            "betas": (0.9, part.training.beta2),
            "weight_decay": part.training.weight_decay,
        }
        for part in parts
    ]
    return torch.optim.AdamW(groups, fused=True)


def language_model(
    model: nn.Module, plan: Plan, run: Run, dropout: Mapping[str, float], accelerator: Accelerator
) -> PackedLM | PaddedLM:
    """The model as `run.engine` computes it, checked, on the device where it trains."""
    check_tables(model, plan, run.label)
    if not ranks.sharded() and not getattr(model, "is_quantized", False):
        model.to(accelerator.device)
    if run.engine == "padded":
        if dropout:
            set_dropout(model, dropout)
        lm = PaddedLM(model)
    else:
        lm = PackedLM(model, dropout)
    # Sharded, only the first process holds the weights.
    ranks.on_main_process(lambda: probe.check(lm, plan.rows, plan.routes))
    return lm


def not_finite(run: Run, what: str, kept: int) -> PrereqError:
    """A run whose numbers are lost: nothing of it is published; its checkpoint is of step `kept`."""
    last = f"the last checkpoint is of step {kept}" if kept else "no checkpoint was saved before"
    return PrereqError(
        f"{run.label}: {what}. Nothing is published; {last}. Lower "
        f"stage.learning_rate ({run.training.learning_rate:g} now); in 16 bits model.dtype=float32 may "
        "help as well"
    )


def check_tables(model: nn.Module, plan: Plan, label: str) -> None:
    """Refuse token ids and positions that the model has no row for in its tables."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    check_ids(inner, max(max(row.ids) for row in plan.rows), label)
    check_length(inner.config, max(len(row.ids) for row in plan.rows), label, "max_length")


def _agreed(accelerator: Accelerator, *flags: bool) -> list[bool]:
    """Each flag, up in all processes if it is up in any."""
    if accelerator.num_processes == 1:
        return list(flags)
    up = accelerator.reduce(torch.tensor(flags, device=accelerator.device).float(), "sum")
    return [value > 0 for value in up.tolist()]


def cosine(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate: linear from 0 over the warm-up, then a cosine to 0."""
    warm = math.ceil(steps * warmup)
    if step < warm:
        return step / warm
    if step >= steps:  # another part of the run goes on
        return 0.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
