"""Training speed as ratios in one run: `python -m benchmarks.train [--quick] [--model FOLDER]`.

Each line `ratio NAME VALUE` is the median time of a plain PEFT step over the median of this
project's, taking turns in one process: above 1, this project is faster. The plain step is what one
would write by hand: padded batches, `set_adapter`, one forward a term of the objective, the whole
batch through the LM head. Both include the backward and the optimizer's step.
"""

import argparse
import random
import statistics
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from rich.console import Console
from rich.table import Table

from benchmarks import rows as profiles
from prereq.data.batches import pack, split
from prereq.model.attention import NAME as ROWS
from prereq.model.gguf import convert_smollm2
from prereq.model.lora import route
from prereq.training.objectives import SKILL, Draw, Knowledge, Subject, skill_step, text_step
from prereq.training.packed import PackedLM

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
DROPOUT = 0.05  # as published
KNOWLEDGE = ("fictitious", "real")


def model_with_adapters(
    folder: Path, dtype: torch.dtype, attention: str, knowledge: tuple[str, ...]
):
    """The base with a skill LoRA that trains and knowledge LoRAs that do not, all drawn at random."""
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
    lora = LoraConfig(r=32, lora_alpha=64, lora_dropout=DROPOUT, target_modules=MODULES)
    model = get_peft_model(base, lora, adapter_name=SKILL)
    for name in knowledge:
        model.add_adapter(name, lora)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = 0.01 * torch.randn(parameter.shape, generator=generator)
    return model


def train_only_skill(model) -> list[torch.nn.Parameter]:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(f".{SKILL}." in name)
    return [p for p in model.parameters() if p.requires_grad]


def our_step(folder: Path, dtype: torch.dtype, examples, knowledge=KNOWLEDGE, dropout=DROPOUT):
    model = model_with_adapters(folder, dtype, ROWS, knowledge)
    parameters = train_only_skill(model)
    routing = route(model)
    routing.dropout[SKILL] = dropout
    packed = PackedLM(model, routing).train()
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def step() -> None:
        for part in split(examples, 4096):
            loss, _ = packed(pack(part))
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def plain_step(folder: Path, dtype: torch.dtype, terms):
    """`terms`: (rows, active adapters, weight of the term's mean)."""
    model = model_with_adapters(folder, dtype, "sdpa", KNOWLEDGE).train()
    optimizer = torch.optim.AdamW(train_only_skill(model), lr=1e-4, fused=True)

    def losses(token_rows, active):
        model.base_model.set_adapter(active)
        train_only_skill(model)
        longest = max(len(r.ids) for r in token_rows)
        ids = torch.tensor([r.ids + [0] * (longest - len(r.ids)) for r in token_rows])
        mask = torch.tensor([[1] * len(r.ids) + [0] * (longest - len(r.ids)) for r in token_rows])
        labels = torch.full_like(ids, -100)
        for i, row in enumerate(token_rows):
            labels[i, row.start : len(row.ids)] = ids[i, row.start : len(row.ids)]
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        flat = logits.reshape(-1, logits.shape[-1]).float()
        wanted = labels[:, 1:].reshape(-1)
        return F.cross_entropy(flat, wanted, reduction="sum"), (wanted != -100).sum()

    def step() -> None:
        total, means = 0.0, {}
        for token_rows, active, group, weight in terms:
            value, count = losses(token_rows, active)
            before = means.get(group, (0.0, 0, weight))
            means[group] = (before[0] + value, before[1] + count, weight)
        for value, count, weight in means.values():
            total = total + weight * value / count
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def mix_contest(folder: Path, dtype: torch.dtype, rng: random.Random) -> dict:
    """One draw group of 32 subjects, half fictitious, with the plain term (popqa's recipe)."""
    fictitious, real = profiles.questions(rng, 16), profiles.questions(rng, 16)
    subjects = [Subject(True, {None: r}) for r in fictitious]
    subjects += [Subject(False, {None: r}) for r in real]
    draw = Draw(*(Knowledge(k, "passage", k == "fictitious", None) for k in KNOWLEDGE))
    examples = skill_step([subjects], [draw], 0.5)
    terms = [
        (fictitious, ["fictitious", SKILL], "main", 1.0),
        (real, ["real", SKILL], "main", 1.0),
        (real, [SKILL], "plain", 0.5),
    ]
    return {
        "prereq": our_step(folder, dtype, examples),
        "plain": plain_step(folder, dtype, terms),
        "tokens": sum(len(e.row.ids) for e in examples),
    }


def text_contest(folder: Path, token_rows: list) -> dict:
    """Plain text through one trained adapter, 32 statements or 8 passages at a time."""
    return {
        "prereq": our_step(folder, torch.float32, text_step(token_rows, (SKILL,))),
        "plain": plain_step(folder, torch.float32, [(token_rows, [SKILL], "main", 1.0)]),
        "tokens": sum(len(row.ids) for row in token_rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three repeats (default: nine)")
    parser.add_argument(
        "--model", type=Path, help="folder of the base model (default: SmolLM2-135M)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or Path(scratch)
        if not arguments.model:
            convert_smollm2(folder)
        rng = random.Random(0)
        contests = {
            "mix_fp32": lambda: mix_contest(folder, torch.float32, rng),
            "mix_bf16": lambda: mix_contest(folder, torch.bfloat16, rng),
            "cpt_statements": lambda: text_contest(folder, profiles.statements(rng, 32)),
            "cpt_passages": lambda: text_contest(folder, profiles.passages(rng, 8)),
        }
        run(contests, repeats=3 if arguments.quick else 9)


def run(contests: dict, repeats: int) -> None:
    table = Table(
        title=f"seconds a step, median (range) of {repeats}; {torch.get_num_threads()} threads"
    )
    for heading in ("contest", "prereq", "plain PEFT", "prereq, useful tokens/s"):
        table.add_column(heading)
    ratios = {}
    for name, prepare in contests.items():
        contest = prepare()
        tokens = contest.pop("tokens")
        seconds = profiles.race(contest, repeats)
        ours, plain = (statistics.median(seconds[k]) for k in ("prereq", "plain"))
        ratios[name] = plain / ours
        table.add_row(
            name,
            profiles.spread(seconds["prereq"]),
            profiles.spread(seconds["plain"]),
            f"{tokens / ours:,.0f}",
        )
    Console().print(table)
    for name, ratio in ratios.items():
        print(f"ratio {name} {ratio:.2f}")


if __name__ == "__main__":
    main()
