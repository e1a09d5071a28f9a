"""Trains three small adapters, in as many processes as `torchrun` starts: see `test_several.py`.

torchrun --nproc-per-node 2 -m tests.invariant.several FOLDER [fsdp] [padded]
"""

import os
import random
import sys
from pathlib import Path

import torch
from torch.distributed.fsdp import FSDPModule

from prereq.config import LoraSettings, ModelConfig, Training
from prereq.data.tokens import TokenRow
from prereq.model import adapters
from prereq.model.loading import load_model
from prereq.runtime import ranks
from prereq.tracking.metrics import Tracker
from prereq.training.loop import Run, train
from prereq.training.objectives import SKILL, Knowledge, Subject
from prereq.training.plan import Plan, skill_plan, text_plan
from tests.conftest import REPOSITORY, llama
from tests.invariant import oracle

FILE = REPOSITORY / "launchers" / "accelerate" / "fsdp.yaml"
TRAINING = Training(2, 8, 3e-3, 0.01, 0.999, 0.1, 64)


def row(rng: random.Random) -> TokenRow:
    length = rng.randint(4, 12)
    return TokenRow([1] + [rng.randint(4, 255) for _ in range(length - 1)], length // 2)


def plans() -> dict[str, tuple[Plan, list[Knowledge]]]:
    rng = random.Random(0)
    real, fictitious = (
        Knowledge("real", "passage", False, None),
        Knowledge("v0", "passage", True, 0),
    )
    other = Knowledge("v1", "statement", True, 1)
    versions = [Subject(True, {0: row(rng), 1: row(rng)}) for _ in range(18)]
    mixed = [Subject(n % 3 == 0, {None: row(rng)}) for n in range(18)]
    unversioned = Knowledge("v0", "passage", True, None)
    sizes = {"batch_size": 8, "draw_group": 4, "epochs": 2, "seed": 1}
    return {
        "cpt": (text_plan([row(rng) for _ in range(19)], 8, 2, 1, (SKILL,)), []),
        "mix": (
            skill_plan(mixed, [unversioned, real], real_weight=0.5, **sizes),
            [real, unversioned],
        ),
        "multi_version": (
            skill_plan(versions, [fictitious, other], alternate=True, **sizes),
            [fictitious, other],
        ),
    }


def shard() -> None:
    """Accelerate's FSDP by our launch file, on CPU processes: it keeps to accelerators, so say that
    these are such."""
    from accelerate import DistributedType, PartialState
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    parser = launch_command_parser()
    arguments, *_ = _validate_launch_command(
        parser.parse_args(["--config_file", str(FILE), "--num_processes", "2", "-m", "prereq"])
    )
    wanted = prepare_multi_gpu_env(arguments)
    os.environ |= {key: value for key, value in wanted.items() if "FSDP" in key}
    ranks.state()
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def base(folder: Path, tied: bool) -> Path:
    """A random Llama on disk, as every process reads it."""
    if ranks.is_main():
        model = llama()
        model.config.tie_word_embeddings = tied
        model.tie_weights()
        model.save_pretrained(folder)
    ranks.on_main_process(lambda: None)
    return folder


def main(folder: Path, sharded: bool, engine: str) -> None:
    torch.set_num_threads(1)
    if sharded:
        shard()
    for name, (plan, knowledge) in plans().items():
        place = folder / name
        ranks.on_main_process(lambda place=place: place.mkdir(parents=True, exist_ok=True))
        frozen = {k.name: folder / k.name for k in knowledge}
        if frozen and ranks.is_main():
            made = oracle.peft_model(llama(), {k: 4 for k in frozen}, 7)
            for key in frozen:
                adapters.save(made, key, folder / key, 0.0)
        path = base(folder / f"base-{name}", tied=name == "mix")
        model = load_model(path, ModelConfig(name="test"), engine)
        whole = [p for p in model.parameters() if p.device.type == "cpu"]
        assert bool(whole) == (ranks.is_main() or not sharded), "only the first process reads it"
        lora = LoraSettings(r=4, dropout=0.05, target_modules=oracle.MODULES)
        model = adapters.attach(model, SKILL, lora, "base", frozen, seed=3)
        tracker = Tracker(folder=place)
        run = Run(name, TRAINING, engine, 30, 600, 1, place, tracker)
        train(model, plan, run, {SKILL: lora.dropout})
        if sharded:
            layers = [m for m in model.modules() if type(m).__name__.endswith("DecoderLayer")]
            assert layers and all(isinstance(layer, FSDPModule) for layer in layers)
        adapters.save(model, SKILL, place, 0.0)


if __name__ == "__main__":
    engine = "padded" if "padded" in sys.argv else "packed"
    ranks.run(lambda: main(Path(sys.argv[1]), "fsdp" in sys.argv, engine))
