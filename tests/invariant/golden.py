"""Check the engine against golden numbers: `python -m tests.invariant.golden FOLDER`.

FOLDER holds `base/`, `adapters/`, `cases.json` with a safetensors file a case, and
`step_mix.safetensors`. Every case goes through the code that training uses: routes and weights
from `training.objectives`, packs, routed LoRA layers, and for the whole step the training loop
itself, on the GPU where there is one. Prints one line a case with its largest deviations; exits with 1
above the tolerance.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from prereq.config import LoraSettings, ModelConfig, Training
from prereq.data.packing import TERMS
from prereq.data.tokens import TokenRow
from prereq.model import adapters
from prereq.model.loading import load_model
from prereq.tracking.metrics import Tracker
from prereq.training.loop import Run, train
from prereq.training.objectives import SKILL, Draw, Knowledge, Subject, skill_step
from prereq.training.packed import PackedLM
from prereq.training.padded import PaddedLM
from prereq.training.plan import Plan

TOLERANCE = 1e-5
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
STEP_DRAWS = (  # (fictitious, real) of the two micro-batches of step_mix
    ("lora_fake_passage_0", "lora_real_passage"),
    ("lora_fake_statement_1", "lora_real_passage"),
)


def build(folder: Path, engine: str):
    """The golden base with every knowledge LoRA and the skill LoRA to train."""
    model = load_model(folder / "base", ModelConfig(name="golden", dtype="float32"), engine)
    frozen = {
        p.name: p for p in sorted((folder / "adapters").iterdir()) if p.name != "sft_lora_init"
    }
    start = folder / "adapters" / "sft_lora_init"
    config = json.loads((start / "adapter_config.json").read_text())
    lora = LoraSettings(r=config["r"], alpha=config["lora_alpha"], dropout=0.0)
    lora.target_modules = sorted(config["target_modules"])
    model = adapters.attach(model, SKILL, lora, folder / "base", frozen, seed=0)
    set_peft_model_state_dict(model, load_file(start / adapters.WEIGHTS), adapter_name=SKILL)
    adapters.train_only(model, [SKILL])
    return model.to(DEVICE)


def rows_of(batch: dict[str, torch.Tensor]) -> list[tuple[bool, int, TokenRow]]:
    """(fictitious, version, tokens) of each row of a right-padded batch."""
    rows = []
    for i in range(len(batch["input_ids"])):
        length = int(batch["attention_mask"][i].sum())
        labelled = (batch["labels"][i, :length] != -100).nonzero()
        start = int(labelled[0]) if len(labelled) else length
        row = TokenRow(batch["input_ids"][i, :length].tolist(), start)
        rows.append((bool(batch["fake"][i]), int(batch["version"][i]), row))
    return rows


def knowledge(name: str, fictitious: bool, version: int | None = None) -> Knowledge:
    form = "passage" if "passage" in name else "statement"
    return Knowledge(name, form, fictitious, version)


def gradients(model, engine: str, examples) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and skill gradients of one optimizer step, as the training loop computes them."""
    lm = (PackedLM(model) if engine == "packed" else PaddedLM(model)).train()
    model.zero_grad()
    total = 0.0
    for rows in lm.packs(examples, 4096):
        loss, _ = lm(lm.layout(rows, DEVICE, TERMS))
        loss.backward()
        total += float(loss.detach())
    return total, {_plain(k): p.grad for k, p in model.named_parameters() if p.grad is not None}


def _plain(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(f".{SKILL}.", ".")


def deviation(
    found: dict[str, torch.Tensor], golden: dict[str, torch.Tensor], prefix: str
) -> float:
    wanted = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
    assert wanted and set(wanted) == set(found), sorted(set(wanted) ^ set(found))[:4]
    return max(float((found[k].cpu() - v).abs().max()) for k, v in wanted.items())


def check_case(folder: Path, engine: str, case: dict) -> tuple[float, float]:
    """Largest deviations of one case: of the loss, of any gradient."""
    tensors = load_file(folder / case["file"])
    rows = rows_of(
        {k.removeprefix("batch."): v for k, v in tensors.items() if k.startswith("batch.")}
    )
    chosen = case["chosen"]
    fake = chosen.get("fake")
    if case["objective"] == "multi_version":
        version = int(fake.rsplit("_", 1)[1])  # the golden folder's names carry it
        subjects = [Subject(True, {v: row}) for f, v, row in rows if f and v == version]
        draw = Draw(knowledge(fake, True, version))
        weight = 0.0
    else:
        subjects = [Subject(f, {None: row}) for f, _, row in rows]
        real = chosen.get("real")
        draw = Draw(fake and knowledge(fake, True), real and knowledge(real, False))
        weight = case["real_weight"]
    examples = skill_step([subjects], [draw], weight)
    loss, grads = gradients(build(folder, engine), engine, examples)
    return abs(loss - case["loss"]), deviation(grads, tensors, "grad.")


def check_step(folder: Path, engine: str) -> tuple[float, float]:
    """Largest deviations of the whole optimizer step: of gradients, of the weights after it."""
    tensors = load_file(folder / "step_mix.safetensors")
    groups, draws = [], []
    for i, (fake, real) in enumerate(STEP_DRAWS):
        prefix = f"micro{i}."
        batch = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        groups.append([Subject(f, {None: row}) for f, _, row in rows_of(batch)])
        draws.append(Draw(knowledge(fake, True), knowledge(real, False)))
    examples = skill_step(groups, draws, 0.5)

    _, grads = gradients(build(folder, engine), engine, examples)
    worst = deviation(grads, tensors, "micro1.accgrad.")
    training = Training(1, 1, 1e-3, 0.01, 0.999, 0.0, 64)
    model = build(folder, engine)
    with tempfile.TemporaryDirectory() as scratch:
        tracker = Tracker(folder=Path(scratch))
        run = Run("golden step", training, engine, 4096, 600, 0, Path(scratch), tracker)
        rows, routes = [e.row for e in examples], sorted({e.route for e in examples})
        train(model, Plan(1, 1, lambda _: examples, rows, routes), run)
    after = {_plain(k): p.detach() for k, p in model.named_parameters() if p.requires_grad}
    return worst, deviation(after, tensors, "final.")


def main(folder: Path) -> int:
    """Print a line a case and engine; the number of those above the tolerance."""
    bad = 0

    def show(name: str, first: str, one: float, second: str, other: float) -> int:
        good = max(one, other) <= TOLERANCE
        print(f"{'ok ' if good else 'BAD'} {name}: {first} {one:.1e}, {second} {other:.1e}")
        return not good

    for engine in ("packed", "padded"):
        for case in json.loads((folder / "cases.json").read_text("utf-8")):
            found = check_case(folder, engine, case)
            bad += show(f"{engine} {case['name']}", "loss", found[0], "gradient", found[1])
        found = check_step(folder, engine)
        bad += show(f"{engine} step_mix", "gradient", found[0], "weights", found[1])
    return bad


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1])) else 0)
