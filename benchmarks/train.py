"""Training speed as ratios in one run: `python -m benchmarks.train [--quick] [--model FOLDER_OR_SHAPE]`.

Each line `ratio NAME VALUE` is the other's median time a useful token over this project's, taking
turns in one process: above 1, this project is faster. See `benchmarks/steps.py` for the steps. On a
GPU everything is in bfloat16, at sizes that fill it, for example `--model llama3_8b`.
"""

import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.progress import track

from benchmarks import rows as profiles
from benchmarks.race import Record, console, machine, race, ratio, show
from benchmarks.steps import DEVICE, command_line, plain_step, prereq_step, trl_step
from prereq.data.tokens import TokenRow
from prereq.training.objectives import SKILL, Draw, Knowledge, Subject, skill_step, text_step

KNOWLEDGE = (
    Knowledge("fictitious", "passage", True, None),
    Knowledge("real", "passage", False, None),
)
LORAS = [k.name for k in KNOWLEDGE]
NAMES = (
    "mix_fp32 mix_bf16 cpt_statements cpt_passages cpt_trl_packing mix_popqa multi_version "
    "passages_trl statements_trl sft_trl passages_bf16 statements_bf16 passages_trl_bf16"
).split()
QUICK = NAMES[:5]
GPU = "mix_bf16 mix_popqa multi_version cpt_statements cpt_passages passages_trl sft_trl".split()
REPEATS = 5


def mix(base: Path, dtype: torch.dtype, rows: list[TokenRow]) -> dict:
    """One draw group of subjects, half of them fictitious, with the skill-only loss (popqa's recipe)."""
    fictitious, real = rows[::2], rows[1::2]
    subjects = [Subject(True, {None: r}) for r in fictitious]
    subjects += [Subject(False, {None: r}) for r in real]
    examples = skill_step([subjects], [Draw(*KNOWLEDGE)], 0.5)
    return {
        "prereq": prereq_step(base, dtype, examples, LORAS),
        "plain PEFT": plain_step(base, dtype, examples, LORAS),
    }


def multi_version(base: Path, dtype: torch.dtype, rows: list[TokenRow]) -> dict:
    """Four draw groups, each on the knowledge LoRA of another of five versions (bio's recipe)."""
    versions = [Knowledge(f"version{v}", "passage", True, v) for v in range(5)]
    names = [knowledge.name for knowledge in versions]
    groups = [rows[g::4] for g in range(4)]
    subjects = [[Subject(True, {v: r}) for r in group] for v, group in enumerate(groups)]
    examples = skill_step(subjects, [Draw(versions[v]) for v in range(4)], 0.0)
    return {
        "prereq": prereq_step(base, dtype, examples, names),
        "plain PEFT": plain_step(base, dtype, examples, names),
    }


def text(base: Path, rows: list, dtype: torch.dtype = torch.float32) -> dict:
    """Plain text through one trained adapter."""
    examples = text_step(rows, (SKILL,))
    return {
        "prereq": prereq_step(base, dtype, examples),
        "plain PEFT": plain_step(base, dtype, examples),
    }


def with_trl(
    base: Path, dtype: torch.dtype, rows: list, scratch: Path, kinds=("packing", "padding")
) -> dict:
    """The same rows against TRL, packed to 1,024 tokens and in padded batches."""
    return {"prereq": prereq_step(base, dtype, text_step(rows, (SKILL,)))} | {
        f"TRL, {kind}": trl_step(base, dtype, rows, kind == "packing", scratch) for kind in kinds
    }


def contest(name: str, base: Path, scratch: Path, quick: bool) -> dict[str, Record]:
    """Prepare and run one of NAMES."""
    rng = random.Random(0)
    subjects, facts, texts = (16, 40, 4) if quick else (32, 64, 8)
    if DEVICE != "cpu":  # a step that fills it
        subjects, facts, texts = 128, 256, 64
    statements, passages = profiles.statements(rng, facts), profiles.passages(rng, texts)
    questions = profiles.questions(rng, subjects)
    usual = torch.float32 if DEVICE == "cpu" else torch.bfloat16
    contests = {
        "mix_fp32": lambda: mix(base, torch.float32, questions),
        "mix_bf16": lambda: mix(base, torch.bfloat16, questions),
        "mix_popqa": lambda: mix(base, usual, profiles.popqa(rng, subjects)),
        "multi_version": lambda: multi_version(base, usual, questions),
        "cpt_statements": lambda: text(base, statements, usual),
        "cpt_passages": lambda: text(base, passages, usual),
        "cpt_trl_packing": lambda: with_trl(base, usual, passages[:3], scratch, ("packing",)),
        "passages_trl": lambda: with_trl(base, usual, passages, scratch),
        "statements_trl": lambda: with_trl(base, usual, statements, scratch),
        "sft_trl": lambda: with_trl(base, usual, questions, scratch),
        "passages_bf16": lambda: text(base, passages, torch.bfloat16),
        "statements_bf16": lambda: text(base, statements, torch.bfloat16),
        "passages_trl_bf16": lambda: with_trl(base, torch.bfloat16, passages, scratch),
    }
    return race(contests[name](), REPEATS)


def main() -> None:
    with command_line(__doc__, "smaller batches, fewer contests", NAMES) as (
        arguments,
        base,
        scratch,
    ):
        wanted = arguments.only or (QUICK if arguments.quick else NAMES)
        wanted = wanted if arguments.only or DEVICE == "cpu" else GPU
        results = {}
        for name in track(wanted, "contests", console=console):
            # A process each, so that no contest has less memory for those before it.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                done = pool.submit(contest, name, base, scratch, arguments.quick)
                results[name] = done.result()
            ratio(name, results[name], next(k for k in results[name] if k != "prereq"))
    show(f"medians of {REPEATS} turns; torch {torch.__version__}, {machine()}", results)


if __name__ == "__main__":
    main()
