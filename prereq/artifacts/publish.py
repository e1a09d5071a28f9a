"""Publishing an artifact: its manifest is written last, all is flushed to disk, one rename shows it."""

import importlib.metadata
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from prereq import __version__
from prereq.artifacts import audit
from prereq.artifacts.spec import FORMAT, Spec, plain
from prereq.runtime import files, machine

PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "hydra-core")
CHECKPOINTS = "checkpoint*"  # in a scratch folder only: see training.checkpoints


def publish(
    spec: Spec, config: dict[str, Any], scratch: Path, extra: dict[str, Any] | None, seconds: float
) -> None:
    """Turn the scratch folder into the artifact; `extra` is what its manifest says beyond the usual."""
    for leftover in scratch.glob(CHECKPOINTS):
        remove(leftover)
    OmegaConf.save(OmegaConf.create(config), scratch / "config.yaml")
    manifest = {
        "format": FORMAT,
        "kind": spec.kind,
        "name": spec.name,
        "dataset": spec.dataset,
        "model": spec.model,
        "key": spec.key,
        "experiment": spec.experiment,
        "content": plain(spec.content),
        "labels": plain(spec.labels),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "version": __version__,
        "commit": _commit(),
        "machine": machine.described(),
        "packages": packages(),
        "files": audit.payload(scratch),
    } | plain(extra or {})
    for path in sorted(scratch.rglob("*"), reverse=True):  # what is in a folder before the folder
        files.flush(path)
    manifest["checksum"] = files.checksum(manifest)
    files.write_json(scratch / audit.MANIFEST, manifest)
    if spec.path.exists():  # without a manifest: the remains of something
        shutil.rmtree(spec.path)
    os.rename(scratch, spec.path)
    files.flush(spec.path.parent)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def packages() -> dict[str, str | None]:
    """The versions of the packages that a result can depend on; None of one that is absent."""
    return {name: _package_version(name) for name in PACKAGES}


def _package_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The git commit of the code, with a `+` where the working tree differs from it."""
    here = str(Path(__file__).parent)
    options = ["--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        result = subprocess.run(
            ["git", "-C", here, "describe", *options], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
