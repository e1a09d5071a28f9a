"""Checkpoints of a run: the trained parameters, the optimizer's moments, the position.

Safetensors and JSON only, so that nothing is unpickled from disk. Everything that is drawn follows
from the seed and the step, so no generator state is needed. A checkpoint is flushed to disk before it
takes the place of the one before it, which stays as a reserve. It says by digests what belongs to
it, its own state and the files that the run had written by then; one that is damaged is set aside.
"""

import os
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from prereq.artifacts.publish import remove
from prereq.errors import PrereqError
from prereq.model.adapters import full_tensor, shard_like
from prereq.runtime import files, ranks
from prereq.runtime.console import say

LAST, RESERVE, UNFINISHED = "checkpoint", "checkpoint.previous", "checkpoint.unfinished"
STATE, POSITION = "state.safetensors", "position.json"
METRICS = (
    "metrics.jsonl"  # grows with every step; `track` cuts it to the step that a run resumes at
)
MOMENTS = ("exp_avg", "exp_avg_sq")


def save(
    folder: Path,
    step: int,
    steps: int,
    trained: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write `folder/checkpoint`, from which the run goes on at `step` of `steps`, in every process."""
    tensors = {}
    for name, parameter in trained.items():
        state = optimizer.state.get(parameter, {})  # none yet: its part has not begun
        values = {"parameter": parameter} | {m: state[m] for m in MOMENTS if m in state}
        for kind, value in values.items():
            tensors[f"{kind}:{name}"] = full_tensor(value).cpu().contiguous()
    if not ranks.is_main():
        return
    scratch, place, reserve = (folder / name for name in (UNFINISHED, LAST, RESERVE))
    if scratch.exists():
        remove(scratch)
    scratch.mkdir(parents=True)
    save_file(tensors, scratch / STATE)
    kept = [path for path in _beside(folder) if path.is_file()]
    beside = {file.relative_to(folder).as_posix(): files.sha256(file) for file in kept}
    last = place / POSITION
    flushed = files.read_json(last, "remove it")["files"] if last.exists() else {}
    new = [folder / name for name, digest in beside.items() if flushed.get(name) != digest]
    for file in (scratch / STATE, folder / METRICS, *new):
        if file.exists():
            files.flush(file)
    position = {"step": step, "steps": steps}
    position |= {"state": files.sha256(scratch / STATE), "files": beside}
    position["checksum"] = files.checksum(position)
    files.write_json(scratch / POSITION, position)  # flushed, and its folder too
    if place.exists():
        if reserve.exists():
            remove(reserve)
        os.rename(place, reserve)
    os.rename(scratch, place)
    files.flush(folder)


def load(
    folder: Path,
    trained: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    steps: int,
) -> int:
    """Restore parameters and optimizer in place; the step to go on at (0: no checkpoint is sound).

    `folder` is the run's scratch folder: with a checkpoint in it, sound or not, whatever the run had
    not written by the step that it goes on at is removed. Every process calls it.
    """
    shapes = {name: list(parameter.shape) for name, parameter in trained.items()}
    place, step = ranks.on_main_process(lambda: _choose(folder, shapes, steps))
    if place is None:
        return 0
    tensors = load_file(place / STATE)
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


def _choose(folder: Path, shapes: Mapping[str, list[int]], steps: int) -> tuple[Path | None, int]:
    """The newest sound checkpoint and its step; damaged ones are set aside, each with one line."""
    places = [folder / name for name in (LAST, RESERVE) if os.path.lexists(folder / name)]
    for place, following in zip_longest(places, places[1:]):
        try:
            position = _read(place, folder, shapes, steps)
        except PrereqError as damage:
            aside = place.with_name(f"{place.name}.damaged")
            if os.path.lexists(aside):
                remove(aside)
            os.rename(place, aside)
            then = f"{following.name} comes next" if following else "the run begins anew"
            say("set aside", escape(f"{damage}; kept as {aside.name}, {then}"))
        else:
            _keep(folder, position["files"])
            return place, position["step"]
    if places:
        _keep(folder, {})
    return None, 0


def _read(place: Path, folder: Path, shapes: Mapping[str, list[int]], steps: int) -> dict[str, Any]:
    """The position of a checkpoint. Raises PrereqError, naming the file, where something is wrong."""
    file, state = place / POSITION, place / STATE
    position = files.read_json(file, "this checkpoint is of no use")
    known = {"step": int, "steps": int, "state": str, "files": dict, "checksum": str}
    if not isinstance(position, dict) or any(
        type(position.get(key)) is not kind for key, kind in known.items()
    ):
        raise PrereqError(f"{file}: lacks one of {', '.join(known)}")
    if files.checksum(position) != position["checksum"]:
        raise PrereqError(f"{file}: was altered, its content does not fit its checksum")
    if position["steps"] != steps or not 0 < position["step"] <= steps:
        of = f"{position['step']} of {position['steps']}"
        raise PrereqError(f"{file}: is at step {of}, and this run has {steps} steps")
    beside = {folder / name: digest for name, digest in position["files"].items()}
    for part, digest in ({state: position["state"]} | beside).items():
        try:
            if files.sha256(part) != digest:
                raise PrereqError(f"{part}: was altered, its content does not fit its checksum")
        except OSError as error:
            raise PrereqError(f"{part}: cannot be read ({error.strerror})") from None
    _compare(state, shapes)
    return position


def _compare(state: Path, shapes: Mapping[str, list[int]]) -> None:
    """Raise PrereqError where the tensors are not those that this run trains, with their moments."""
    try:
        with safe_open(state, "pt") as tensors:
            found = {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise PrereqError(f"{state}: not in the format of safetensors ({error})") from None
    wanted = {f"parameter:{name}": shape for name, shape in shapes.items()}
    known = wanted | {f"{m}:{name}": shape for m in MOMENTS for name, shape in shapes.items()}
    for name in {**wanted, **found}:
        if found.get(name) != known.get(name):
            raise PrereqError(
                f"{state}: {name} has the shape {found.get(name)}, and {known.get(name)} in this run"
            )


def _beside(folder: Path) -> list[Path]:
    """What is in a run's folder beside its checkpoints and metrics; a folder before what it holds."""
    tops = (p for p in sorted(folder.iterdir()) if not p.name.startswith((LAST, METRICS)))
    return [path for top in tops for path in (top, *sorted(top.rglob("*")))]


def _keep(folder: Path, kept: Mapping[str, str]) -> None:
    """Remove what is beside the checkpoints, except the files to be kept."""
    for path in reversed(_beside(folder)):
        if path.is_symlink() or not path.is_dir():
            if path.relative_to(folder).as_posix() not in kept:
                path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
