"""Checkpoints of a run: the trained parameters, the optimizer's moments, the position.

Safetensors and JSON only, so that nothing is unpickled from disk. Everything that is drawn follows
from the seed and the step, so no generator state is needed. Written whole: a new folder takes
the old one's place by renaming.
"""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

MOMENTS = ("exp_avg", "exp_avg_sq")


def save(folder: Path, step: int, trained: dict[str, torch.Tensor], optimizer) -> None:
    """Write `folder/checkpoint`, from which the run goes on at `step`."""
    state = optimizer.state
    tensors = {}
    for name, parameter in trained.items():
        tensors[f"parameter:{name}"] = parameter.detach().cpu().contiguous()
        for moment in MOMENTS:
            tensors[f"{moment}:{name}"] = state[parameter][moment].cpu().contiguous()
    scratch, place, old = (
        folder / "checkpoint.new",
        folder / "checkpoint",
        folder / "checkpoint.old",
    )
    for leftover in (scratch, old):
        shutil.rmtree(leftover, ignore_errors=True)
    scratch.mkdir(parents=True)
    save_file(tensors, scratch / "state.safetensors")
    (scratch / "position.json").write_text(json.dumps({"step": step}))
    if place.exists():
        os.rename(place, old)
    os.rename(scratch, place)
    shutil.rmtree(old, ignore_errors=True)


def load(folder: Path, trained: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> int:
    """Restore parameters and optimizer in place; the step to go on at (0: no checkpoint)."""
    place = next(
        (p for p in (folder / "checkpoint", folder / "checkpoint.old") if p.exists()), None
    )
    if place is None:
        return 0
    step = json.loads((place / "position.json").read_text())["step"]
    tensors = load_file(place / "state.safetensors")
    for name, parameter in trained.items():
        parameter.data.copy_(tensors[f"parameter:{name}"])
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step)),
            **{m: tensors[f"{m}:{name}"].to(parameter.device) for m in MOMENTS},
        }
    return step
