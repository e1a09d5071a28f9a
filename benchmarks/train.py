"""Training speed as ratios in one run: `python -m benchmarks.train [--quick] [--model FOLDER]`.

Each line `ratio NAME VALUE` is the other's median time a useful token over this project's, taking
turns in one process: above 1, this project is faster. See `benchmarks/steps.py` for the steps.
"""

import random
from pathlib import Path

import torch
from rich.progress import track

from benchmarks import rows as profiles
from benchmarks.race import console, race, ratio, show
from benchmarks.steps import DEVICE, command_line, plain_step, prereq_step, trl_step
from prereq.training.objectives import SKILL, Draw, Knowledge, Subject, skill_step, text_step

KNOWLEDGE = (
    Knowledge("fictitious", "passage", True, None),
    Knowledge("real", "passage", False, None),
)
LORAS = [k.name for k in KNOWLEDGE]
NAMES = (
    "mix_fp32 mix_bf16 cpt_statements cpt_passages cpt_trl_packing "
    "passages_trl statements_trl sft_trl passages_bf16 statements_bf16"
).split()
QUICK = 5  # how many of them --quick takes


def mix(base: Path, dtype: torch.dtype, rng: random.Random, subjects: int) -> dict:
    """One draw group of subjects, half of them fictitious, with the plain term (popqa's recipe)."""
    fictitious, real = (profiles.questions(rng, subjects // 2) for _ in range(2))
    subjects = [Subject(True, {None: r}) for r in fictitious]
    subjects += [Subject(False, {None: r}) for r in real]
    terms = [
        (fictitious, ["fictitious", SKILL], "main", 1.0),
        (real, ["real", SKILL], "main", 1.0),
        (real, [SKILL], "plain", 0.5),
    ]
    examples = skill_step([subjects], [Draw(*KNOWLEDGE)], 0.5)
    return {
        "prereq": prereq_step(base, dtype, examples, LORAS),
        "plain PEFT": plain_step(base, dtype, terms, LORAS),
    }


def text(base: Path, rows: list, dtype: torch.dtype = torch.float32) -> dict:
    """Plain text through one trained adapter."""
    return {
        "prereq": prereq_step(base, dtype, text_step(rows, (SKILL,))),
        "plain PEFT": plain_step(base, dtype, [(rows, [SKILL], "main", 1.0)]),
    }


def with_trl(base: Path, rows: list, scratch: Path, kinds=("packing", "padding")) -> dict:
    """The same rows against TRL, packed to 1,024 tokens and in padded batches."""
    return {"prereq": prereq_step(base, torch.float32, text_step(rows, (SKILL,)))} | {
        f"TRL, {kind}": trl_step(base, torch.float32, rows, kind == "packing", scratch)
        for kind in kinds
    }


def main() -> None:
    with command_line(__doc__, "smaller batches, fewer contests", NAMES) as (
        arguments,
        base,
        scratch,
    ):
        rng = random.Random(0)
        small, large, passages = (12, 16, 3) if arguments.quick else (32, 32, 8)
        statements, passages = profiles.statements(rng, 32), profiles.passages(rng, passages)
        questions = profiles.questions(rng, 32)
        contests = {
            "mix_fp32": lambda: mix(base, torch.float32, rng, small),
            "mix_bf16": lambda: mix(base, torch.bfloat16, rng, large),
            "cpt_statements": lambda: text(base, statements),
            "cpt_passages": lambda: text(base, passages),
            "cpt_trl_packing": lambda: with_trl(base, passages, scratch, ("packing",)),
            "passages_trl": lambda: with_trl(base, passages, scratch),
            "statements_trl": lambda: with_trl(base, statements, scratch),
            "sft_trl": lambda: with_trl(base, questions, scratch),
            "passages_bf16": lambda: text(base, passages, torch.bfloat16),
            "statements_bf16": lambda: text(base, statements, torch.bfloat16),
        }
        wanted = arguments.only or (NAMES[:QUICK] if arguments.quick else NAMES)
        contests = {name: contests[name] for name in wanted}
        repeats = 5
        results = {
            name: race(prepare(), repeats)
            for name, prepare in track(contests.items(), "contests", console=console)
        }
    threads = (
        f"{torch.get_num_threads()} threads" if DEVICE == "cpu" else torch.cuda.get_device_name()
    )
    show(f"medians of {repeats} turns; torch {torch.__version__}, {threads}", results)
    for name, records in results.items():
        ratio(name, records, next(k for k in records if k != "prereq"))


if __name__ == "__main__":
    main()
