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

from prereq import ranks
from prereq.model.adapters import full_tensor, shard_like

MOMENTS = ("exp_avg", "exp_avg_sq")


def save(folder: Path, step: int, trained: dict[str, torch.Tensor], optimizer) -> None:
    """Write `folder/checkpoint`, from which the run goes on at `step`. Every process calls it."""
    tensors = {}
    for name, parameter in trained.items():
        state = optimizer.state.get(parameter, {})  # none yet: its part has not begun
        values = {"parameter": parameter} | {m: state[m] for m in MOMENTS if m in state}
        for kind, value in values.items():
            tensors[f"{kind}:{name}"] = full_tensor(value).cpu().contiguous()
    if not ranks.first():
        return
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
    if {name for name in tensors if name.startswith("parameter:")} != {
        f"parameter:{name}" for name in trained
    }:
        return 0  # of a run that trained other adapters together
    for name, parameter in trained.items():
        parameter.data.copy_(shard_like(parameter, tensors[f"parameter:{name}"]))
        moments = {
            m: shard_like(parameter, tensors[f"{m}:{name}"])
            for m in MOMENTS
            if f"{m}:{name}" in tensors
        }
        if moments:
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step), device=parameter.device),
                **moments,
            }
    return step
