"""Direct preference optimisation of a skill LoRA (Rafailov et al. 2023), by TRL's trainer.

The adapter goes on from where it is, and a frozen copy of it is the reference. Rows come as token ids,
so that prompts and answers are those of all other training. TRL computes padded forwards without dropout;
its log-probabilities are held against the model's own before the first step. Needs `prereq[facttune]`.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import (
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from trl import DPOConfig, DPOTrainer

from prereq.artifacts.publish import remove
from prereq.errors import Preempted, PrereqError
from prereq.model.adapters import train_only
from prereq.model.self_check import Unfit, compare, plain_logits, refusal, rounded_anew
from prereq.runtime import files, ranks
from prereq.runtime.console import progress
from prereq.runtime.signals import Asked
from prereq.training.loop import CLIP, Run
from prereq.training.preferences import PairTokens
from prereq.training.step import DEFAULT

ADAPTER = "default"  # the name by which TRL finds the adapter that it copies as the reference
CHECKPOINTS = "checkpoint"  # in the scratch folder; TRL's own lie in it, one a folder
SOUND = "sound"  # a file in a checkpoint, written once all of it is on the disk
# In a checkpoint of TRL's are pickles, which transformers reads with torch's `weights_only`.
CHECKED = 4  # pairs whose log-probabilities are checked
KEPT = ("loss", "grad_norm", "learning_rate")  # of what TRL logs; and all of these groups
GROUPS = ("rewards/", "logps/")


class _Trainer(DPOTrainer):
    """TRL's trainer on rows that are tokens already; a step's loss is the mean over its pairs."""

    def _prepare_dataset(self, dataset, *_):
        return dataset

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The mean over a forward's pairs, times their share of the step over that of an equal part.

        The last forward of an epoch may be smaller than the others that it is averaged with.
        """
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        size = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        count = len(self.train_dataset)
        number = self.state.global_step % math.ceil(count / size)
        share = len(inputs["input_ids"]) // 2 / min(size, count - number * size)
        return loss * share * self.current_gradient_accumulation_steps


def train(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[PairTokens],
    run: Run,
    beta: float,
    on_epoch: Callable[[int], None],
) -> dict[str, float]:
    """Train the adapter `default` of `model` on pairs; resume from a checkpoint if any.

    `on_epoch(e)` is called after epoch e (from 1). Returns a summary for the manifest. Raises `Preempted`
    when asked to stop, its checkpoint saved, and PrereqError for a model whose log-probabilities TRL
    does not compute rightly, and for a loss that is not finite.
    """
    place = run.folder / CHECKPOINTS
    try:
        return _train(model, tokenizer, pairs, run, beta, on_epoch)
    finally:
        if _last_sound(place) is None and place.exists():
            remove(place)  # or the scratch folder would be kept for nothing


def _train(model, tokenizer, pairs, run: Run, beta: float, on_epoch) -> dict[str, float]:
    steps_per_epoch = math.ceil(len(pairs) / run.training.batch_size)
    steps = run.training.epochs * steps_per_epoch
    watch = _Watch(run, steps_per_epoch, on_epoch)
    rows = [{f"{name}_ids": ids for name, ids in asdict(pair).items()} for pair in pairs]
    trainer = _Trainer(
        model=model,
        args=_arguments(run, beta, pairs),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    train_only(model, [ADAPTER])
    check(trainer, model, pairs)
    last = _last_sound(run.folder / CHECKPOINTS)
    start = int(last.name.rpartition("-")[2]) if last else 0
    run.tracker.resume(start)
    started = time.monotonic()
    with progress(run.label, steps, start) as watch.advance, Asked() as watch.stop:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        done = trainer.state.global_step
        if done < steps:
            raise Preempted(f"{run.label}: stopped at step {done} of {steps}; checkpoint saved")
    seconds = round(time.monotonic() - started, 1)
    return {"steps": steps, "pairs": len(pairs), "train_seconds": seconds}


def _arguments(run: Run, beta: float, pairs: Sequence[PairTokens]) -> DPOConfig:
    """The settings of every other training here, as TRL names them."""
    training = run.training
    forward = pairs_per_forward(pairs, training.batch_size, run.tokens_per_forward)
    values: dict[str, Any] = dict(
        output_dir=str(run.folder / CHECKPOINTS),
        beta=beta,
        num_train_epochs=training.epochs,
        per_device_train_batch_size=forward,
        gradient_accumulation_steps=training.batch_size // forward,
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=training.warmup,  # below 1: a share of all steps
        weight_decay=training.weight_decay,
        adam_beta2=training.beta2,
        max_grad_norm=CLIP,
        max_length=None,
        disable_dropout=True,
        gradient_checkpointing=False,  # of the model itself, where `model.gradient_checkpointing` says so
        bf16=False,  # the base is in the dtype of the configuration, the adapter in float32
        use_cpu=ranks.device().type == "cpu",
        seed=run.seed % 2**32,  # the most that NumPy takes
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",  # by the clock: see `_Watch`
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    with warnings.catch_warnings():  # of a name that older versions have no other for
        warnings.simplefilter("ignore", FutureWarning)
        settings = DPOConfig(**values)
    settings._n_gpu = min(1, settings.n_gpu)  # or it would use every GPU that it sees
    return settings


def pairs_per_forward(pairs: Sequence[PairTokens], batch_size: int, tokens: int | str) -> int:
    """The largest divisor of the batch whose padded pairs fit `tokens` (auto: the default), at least 1.

    A step's forwards are of one size, so that the mean of their losses is the mean over its pairs.
    """
    budget = tokens if isinstance(tokens, int) else DEFAULT
    longest = max(len(p.prompt) + max(len(p.chosen), len(p.rejected)) for p in pairs)
    fitting = (n for n in range(batch_size, 0, -1) if batch_size % n == 0)
    return next((n for n in fitting if 2 * n * longest <= budget), 1)


@torch.no_grad()
def check(trainer: DPOTrainer, model: PeftModel, pairs: Sequence[PairTokens]) -> None:
    """Refuse a model whose log-probabilities TRL does not compute as its own forward gives them.

    TRL's are those of the reference, the model's own those of the adapter that will train: both are the
    same before the first step.
    """
    few = pairs[:CHECKED]
    batch = trainer.data_collator([{f"{k}_ids": v for k, v in asdict(p).items()} for p in few])
    inputs = {name: values.to(model.device) for name, values in batch.items()}

    def expected() -> torch.Tensor:
        answers = [(p.prompt, p.chosen) for p in few] + [(p.prompt, p.rejected) for p in few]
        return torch.stack([log_probability(model, *each) for each in answers])[None]

    model.eval()
    found = torch.cat(trainer.compute_ref_log_probs(model, inputs))[None]
    right, dtype = expected(), model.get_base_model().dtype

    def rounded() -> torch.Tensor:
        with rounded_anew(model, dtype):
            return expected()

    try:
        compare("the log-probabilities of answers", found, right, dtype, rounded)
    except Unfit as unfit:
        works = "model.dtype=float32, or another method than one with method.dpo"
        raise refusal(model.get_base_model(), str(unfit), works) from None


def log_probability(model: PeftModel, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """log p(answer | prompt) in nats, the sum over the answer's tokens, by the model's own forward."""
    ids = torch.tensor([prompt + answer], device=model.device)
    logs = plain_logits(model, ids)[0, len(prompt) - 1 : -1].log_softmax(-1)
    return logs.gather(1, ids[0, len(prompt) :, None]).sum()


class _Watch(TrainerCallback):
    """What the trainer is to do besides: log, show how far it is, save by the clock, stop when asked."""

    advance: Callable
    stop: Asked

    def __init__(self, run: Run, steps_per_epoch: int, on_epoch: Callable[[int], None]):
        self.run, self.steps_per_epoch, self.on_epoch = run, steps_per_epoch, on_epoch
        self.saved, self.note = time.monotonic(), ""

    def on_step_end(self, args, state: TrainerState, control: TrainerControl, **_) -> None:
        self.advance(1, self.note)
        if state.global_step % self.steps_per_epoch == 0:
            self.on_epoch(state.global_step // self.steps_per_epoch)
        if state.global_step == state.max_steps:  # all is done
            return
        due = time.monotonic() - self.saved > self.run.checkpoint_seconds
        control.should_save = due or self.stop.asked
        control.should_training_stop = self.stop.asked

    def on_log(self, args, state: TrainerState, control, logs: dict | None = None, **_) -> None:
        values = {k: v for k, v in (logs or {}).items() if k in KEPT or k.startswith(GROUPS)}
        if "loss" not in values:  # the summary of the whole run
            return
        step = state.global_step - 1
        if not all(map(math.isfinite, values.values())):
            raise PrereqError(
                f"{self.run.label}: step {step} (from 0) has loss {values['loss']} and gradient norm "
                f"{values.get('grad_norm')}. Nothing is published. Lower method.dpo.learning_rate_factor "
                f"(the learning rate is {self.run.training.learning_rate:g} now)"
            )
        self.run.tracker.log(step, values)
        self.note = f"loss {values['loss']:.3f}  right {100 * values['rewards/accuracies']:.0f} %"

    def on_save(self, args, state: TrainerState, control, **_) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for path in sorted(folder.rglob("*"), reverse=True):
            files.flush(path)
        files.write_text(folder / SOUND, "")
        self.saved = time.monotonic()


def _last_sound(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole; what is left of others is removed."""
    with suppress(FileNotFoundError):
        for each in folder.iterdir():
            if not (each / SOUND).exists():
                remove(each)
    found = sorted(folder.glob("checkpoint-*"), key=lambda f: int(f.name.rpartition("-")[2]))
    return found[-1] if found else None
