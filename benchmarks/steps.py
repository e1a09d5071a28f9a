"""One optimizer step: this project's, the plain PEFT one, and TRL's, over the same rows.

The plain step is what one would write by hand: padded batches (on a GPU of the published micro-batch),
`set_adapter`, one forward a term of the objective, dropout in every active adapter. TRL's is
`SFTTrainer` with its own collator, loss and packing. All include backward and optimizer, and train
in `dtype` with adapters in float32.
"""

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks.shapes import SHAPES, random_weights, write
from prereq.data.packing import TERMS, pack, split
from prereq.data.tokens import Example, TokenRow
from prereq.model.gguf import convert_smollm2
from prereq.model.numerics import ROWS
from prereq.training.objectives import SKILL
from prereq.training.packed import PackedLM
from prereq.training.padded import PaddedLM

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
DROPOUT = 0.05  # as published
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# Rows of a plain forward: on a GPU the published micro-batch, or 8B would not fit; on a CPU all of them.
MICRO_BATCH = 32 if DEVICE == "cuda" else 10**9
Step = Callable[[], int]


def lora(r: int = 32) -> LoraConfig:
    return LoraConfig(
        r=r, lora_alpha=2 * r, lora_dropout=DROPOUT, target_modules=MODULES, task_type="CAUSAL_LM"
    )


def adapted(base: Path, dtype: torch.dtype, attention: str, trained, frozen: Sequence[str]):
    """The base with LoRAs drawn at random, float32; those named in `trained` require gradients."""
    model = load(base, dtype, attention)
    names = [*trained, *frozen]
    model = get_peft_model(model, lora(), adapter_name=names[0])
    for name in names[1:]:
        model.add_adapter(name, lora())
    model.to(DEVICE)
    generator = torch.Generator(DEVICE).manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float().normal_(std=0.01, generator=generator)
    return model.train(), train_only(model, trained)


def load(base: Path, dtype: torch.dtype, attention: str):
    """The model in a folder; without weights there, its shape with random ones, made on the device."""
    how = {"dtype": dtype, "attn_implementation": attention}
    if not random_weights(base):
        return AutoModelForCausalLM.from_pretrained(base, **how)
    torch.manual_seed(0)  # all contestants have the same ones
    with torch.device(DEVICE):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base), **how)


def train_only(model, trained: Sequence[str]) -> list[torch.nn.Parameter]:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(f".{t}." in name for t in trained))
    return [p for p in model.parameters() if p.requires_grad]


@contextmanager
def command_line(
    about: str, quick: str, names: Sequence[str] = ()
) -> Iterator[tuple[argparse.Namespace, Path, Path]]:
    """Arguments of a benchmark (`about` is its help, `quick` that of --quick), base, scratch folder."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument(
        "--model",
        metavar="FOLDER_OR_SHAPE",
        help=f"folder of the base, or a shape with random weights: {', '.join(SHAPES)} "
        "(default: SmolLM2-135M)",
    )
    if names:
        told = f"these alone, quick or not: {', '.join(names)}"
        parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=told)
    arguments = parser.parse_args()
    if arguments.model and arguments.model not in SHAPES and not Path(arguments.model).is_dir():
        shapes = ", ".join(SHAPES)
        parser.error(f"--model {arguments.model}: no such folder, and no shape (shapes: {shapes})")
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        if arguments.model in SHAPES:
            write(arguments.model, base)
        elif arguments.model:
            base = Path(arguments.model)
        else:
            convert_smollm2(base)
        yield arguments, base, Path(scratch)


def update(parameters, optimizer: torch.optim.Optimizer) -> None:
    """The end of every step: clip, update, forget the gradients."""
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def optimizer_of(parameters) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-4, fused=True)


def prereq_step(
    base: Path,
    dtype: torch.dtype,
    examples: Sequence[Example],
    frozen: Sequence[str] = (),
    trained: Sequence[str] = (SKILL,),
    budget: int = 4096,
) -> Step:
    """Packed, routed, one forward a pack."""
    model, parameters = adapted(base, dtype, ROWS, trained, frozen)
    packed = PackedLM(model, dict.fromkeys(trained, DROPOUT)).train()
    optimizer = optimizer_of(parameters)
    tokens = sum(len(e.row.ids) for e in examples)

    def step() -> int:
        for part in split(examples, budget):
            loss, _ = packed(pack(part, DEVICE))
            loss.backward()
        update(parameters, optimizer)
        return tokens

    return step


def plain_step(
    base: Path, dtype: torch.dtype, examples: Sequence[Example], frozen: Sequence[str] = ()
) -> Step:
    """Padded, one forward and backward a route: `stage.engine=padded`, dropout in every adapter."""
    model, parameters = adapted(base, dtype, "sdpa", (SKILL,), frozen)
    padded, optimizer = PaddedLM(model).train(), optimizer_of(parameters)
    tokens = sum(len(e.row.ids) for e in examples)

    def step() -> int:
        for route in padded.packs(examples, 10**9):
            for start in range(0, len(route), MICRO_BATCH):
                rows = route[start : start + MICRO_BATCH]
                loss, _ = padded(padded.layout(rows, torch.device(DEVICE), TERMS))
                loss.backward()
        update(parameters, optimizer)
        return tokens

    return step


def trl_step(
    base: Path, dtype: torch.dtype, rows: Sequence[TokenRow], packing: bool, scratch: Path
) -> Step:
    """TRL's `SFTTrainer`: its next batch, loss and backward, then clipping and optimizer."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    settings = SFTConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=1 if packing else len(rows),
        packing=packing,
        max_length=min(1024, sum(len(row.ids) for row in rows)),
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=DEVICE == "cpu",
        report_to="none",
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    shuffled = list(rows) * 4 if packing else list(rows)
    random.Random(0).shuffle(shuffled)
    trainer = SFTTrainer(
        model=load(base, dtype, "sdpa").to(DEVICE),
        args=settings,
        train_dataset=Dataset.from_list(
            [{"input_ids": r.ids, "labels": [-100] * r.start + r.ids[r.start :]} for r in shuffled]
        ),
        peft_config=lora(),
        processing_class=AutoTokenizer.from_pretrained(base),
    )
    trainer.current_gradient_accumulation_steps = 1
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    optimizer = optimizer_of(parameters)
    batches = cycle(trainer.get_train_dataloader())

    def step() -> int:
        inputs = next(batches)
        mask = inputs.get("attention_mask")
        tokens = int(mask.sum()) if mask is not None else inputs["input_ids"].numel()
        trainer.training_step(trainer.model, inputs)
        update(parameters, optimizer)
        return tokens

    return step
