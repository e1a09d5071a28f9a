"""Trains three small adapters, in as many processes as `torchrun` starts: see `test_several.py`.

torchrun --nproc-per-node 2 -m tests.invariant.several FOLDER [fsdp]
"""

import os
import random
import sys
from pathlib import Path

import torch

from prereq import ranks
from prereq.config import Config, LoraSettings, Training
from prereq.data.tokens import TokenRow
from prereq.model import adapters
from prereq.model.attention import NAME as ROWS
from prereq.track import Tracker
from prereq.training.loop import Run, train
from prereq.training.objectives import SKILL, Knowledge, Subject
from prereq.training.plan import Plan, skill_plan, text_plan
from tests.conftest import llama
from tests.invariant import oracle

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
    """Accelerate's FSDP on CPU processes, which it keeps to accelerators: say these are such."""
    from accelerate import DistributedType, PartialState

    ranks.state()
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    os.environ |= {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_TRANSFORMER_CLS_TO_WRAP": "LlamaDecoderLayer",
        "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
    }


def main(folder: Path, sharded: bool) -> None:
    torch.set_num_threads(1)
    if sharded:
        shard()
    config = Config()
    for name, (plan, knowledge) in plans().items():
        place = folder / name
        ranks.by_first(lambda place=place: place.mkdir(parents=True, exist_ok=True))
        frozen = {k.name: folder / k.name for k in knowledge}
        if frozen and ranks.first():
            made = oracle.peft_model(llama(), {k: 4 for k in frozen}, 7)
            for key in frozen:
                adapters.save(made, key, folder / key, 0.0)
        ranks.by_first(lambda: None)
        lora = LoraSettings(r=4, dropout=0.05, target_modules=oracle.MODULES)
        model = adapters.attach(llama(ROWS), SKILL, lora, "base", frozen, seed=3)
        tracker = Tracker(config, None, place)
        train(model, plan, Run(name, TRAINING, "packed", 30, 600, 1, place, tracker), {SKILL: 0.05})
        adapters.save(model, SKILL, place, 0.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "fsdp" in sys.argv)
    ranks.leave()
