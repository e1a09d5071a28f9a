"""How a step's time grows, and what bounds it: `python -m benchmarks.scaling [--model FOLDER_OR_SHAPE]`.

Time against the number of knowledge LoRAs loaded, against tokens a step, and against training knowledge
LoRAs one by one or together; the share of the machine's matmul rate (measured in the same run) that
a step reaches, counting 4·N FLOP a token for a frozen base of N parameters in linear layers (2·N
forward, 2·N for the gradient of the input); and what the loop itself costs on the tiny model.
"""

import itertools
import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from rich.progress import track
from rich.table import Table
from transformers import AutoConfig, AutoModelForCausalLM

from benchmarks import rows as profiles
from benchmarks.race import console, race
from benchmarks.shapes import write
from benchmarks.steps import DEVICE, adapted, command_line, prereq_step
from prereq.config import Training
from prereq.model.numerics import ROWS
from prereq.tracking.metrics import Tracker
from prereq.training import loop
from prereq.training.objectives import SKILL, Draw, Knowledge, Subject, skill_step, text_step
from prereq.training.packed import PackedLM
from prereq.training.plan import text_plan

REPEATS = 5
TABLES = ["overhead", "loras", "tokens", "together"]  # --quick takes the first two


def mix_examples(rng: random.Random, subjects: int) -> list:
    rows = profiles.questions(rng, subjects)
    group = [Subject(i % 2 == 0, {None: row}) for i, row in enumerate(rows)]
    drawn = Draw(Knowledge("k0", "passage", True, None), Knowledge("k1", "passage", False, None))
    return skill_step([group], [drawn], 0.5)


def loras(base: Path, rng: random.Random) -> Table:
    """The same mix step with 1 to 16 knowledge LoRAs loaded (with one, it serves both kinds of rows)."""
    examples = mix_examples(rng, 32)
    single = skill_step(
        [[Subject(True, {None: e.row}) for e in examples]],
        [Draw(Knowledge("k0", "passage", True, None))],
        0.0,
    )
    steps = {
        count: prereq_step(
            base,
            torch.float32,
            single if count == 1 else examples,
            [f"k{i}" for i in range(count)],
        )
        for count in (1, 2, 4, 8, 16)
    }
    records = race(steps, REPEATS)
    table = Table(
        "knowledge LoRAs", "ms a token (median)", "of the time with 2", title="LoRAs loaded"
    )
    for count, record in records.items():
        share = f"{record.median / records[2].median:.3f}"
        table.add_row(str(count), f"{record.median:.3f}", share)
    print(f"ratio loras_16_over_2 {records[16].median / records[2].median:.3f}", flush=True)
    return table


def tokens(base: Path, rng: random.Random) -> Table:
    """Tokens a step, their speed, and the share of the matmul rate."""
    table = Table(
        "dtype", "tokens a step", "tokens/s", "GFLOP/s", "of matmul", title="tokens a step"
    )
    kinds = (torch.float32, torch.bfloat16) if DEVICE == "cpu" else (torch.bfloat16,)
    for dtype in kinds:
        rate = matmul_rate(dtype)
        for subjects in (4, 16, 64) if DEVICE == "cpu" else (16, 64, 256):
            examples = mix_examples(rng, subjects)
            step = prereq_step(base, dtype, examples, ["k0", "k1"])
            speed = 1000 / race({"prereq": step}, REPEATS)["prereq"].median
            flops = 4 * linear_parameters(base) * speed
            count = sum(len(e.row.ids) for e in examples)
            numbers = f"{count}", f"{speed:,.0f}", f"{flops / 1e9:,.0f}", f"{flops / rate:.0%}"
            table.add_row(str(dtype).removeprefix("torch."), *numbers)
    return table


def linear_parameters(base: Path) -> int:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    return sum(p.numel() for n, p in model.named_parameters() if n.endswith("proj.weight"))


def matmul_rate(dtype: torch.dtype) -> float:
    """FLOP a second of a square matrix product, the best of ten."""
    size = 2048 if DEVICE == "cpu" else 8192
    a, b = (torch.randn(size, size, dtype=dtype, device=DEVICE) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        a @ b
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def together(base: Path, tiny: Path, rng: random.Random) -> Table:
    """Three knowledge LoRAs a step each, one by one and in one pass."""
    table = Table(
        "model", "text", "one by one is", title="knowledge LoRAs together: above 1 it pays"
    )
    names = ["a", "b", "c"]
    for label, folder in (("SmolLM2-135M", base), ("tiny", tiny)):
        for text, make, count in (
            ("statements", profiles.statements, 32),
            ("passages", profiles.passages, 6),
        ):
            rows = {name: make(rng, count) for name in names}
            examples = {name: text_step(rows[name], (name,)) for name in names}
            steps = [prereq_step(folder, torch.float32, examples[n], (), (n,)) for n in names]

            def singly(steps=steps) -> int:
                return sum(step() for step in steps)

            everything = [e for group in examples.values() for e in group]
            joint = prereq_step(folder, torch.float32, everything, (), names)
            records = race({"one by one": singly, "together": joint}, REPEATS)
            share = records["one by one"].median / records["together"].median
            table.add_row(label, text, f"{share:.2f}×")
    return table


def overhead(tiny: Path, rng: random.Random) -> Table:
    """The loop on the tiny model: milliseconds a step outside forward, backward and optimizer."""
    rows = profiles.rows(rng, 16 * 200, 20, 40)
    model, _ = adapted(tiny, torch.float32, ROWS, (SKILL,), ())
    inside = []

    def timed(function):
        def call(*arguments, **options):
            started = time.perf_counter()
            result = function(*arguments, **options)
            inside[-1] += time.perf_counter() - started
            return result

        return call

    plan = text_plan(rows, 16, 1, 1, (SKILL,))
    starts = []

    def step(index: int) -> list:
        starts.append(time.perf_counter())
        inside.append(0.0)
        return plan.step(index)

    kept = PackedLM.forward, Accelerator.backward, torch.optim.AdamW.step
    PackedLM.forward, Accelerator.backward = timed(kept[0]), timed(kept[1])
    torch.optim.AdamW.step = timed(kept[2])
    try:
        with tempfile.TemporaryDirectory() as folder:
            tracker = Tracker(folder=Path(folder))
            training = Training(1, 16, 1e-3, 0.0, 0.999, 0.1, 64)
            run = loop.Run(
                "overhead tiny model", training, "packed", 4096, 600, 1, Path(folder), tracker
            )
            loop.train(model, replace(plan, step=step), run)
    finally:
        PackedLM.forward, Accelerator.backward, torch.optim.AdamW.step = kept
    whole = [b - a for a, b in itertools.pairwise(starts)]
    outside = [1000 * (w - i) for w, i in zip(whole, inside, strict=False)][5:]
    table = Table("step, ms", "outside, ms", "10 %–90 %", title="the loop's own time, tiny model")
    deciles = statistics.quantiles(outside, n=10)
    median = statistics.median(outside)
    table.add_row(
        f"{1000 * statistics.median(whole):.2f}",
        f"{median:.2f}",
        f"{deciles[0]:.2f}–{deciles[-1]:.2f}",
    )
    print(f"overhead_ms {median:.2f}", flush=True)
    return table


def main() -> None:
    with command_line(__doc__, "only LoRAs loaded and the loop's time", TABLES) as (
        arguments,
        base,
        scratch,
    ):
        tiny, rng = write("tiny", scratch / "tiny"), random.Random(0)
        tables = {
            "overhead": lambda: overhead(tiny, rng),
            "loras": lambda: loras(base, rng),
            "tokens": lambda: tokens(base, rng),
            "together": lambda: together(base, tiny, rng),
        }
        chosen = [tables[n] for n in arguments.only or (TABLES[:2] if arguments.quick else TABLES)]
        made = [table() for table in track(chosen, "tables", console=console)]
    for table in made:
        console.print(table)


if __name__ == "__main__":
    main()
