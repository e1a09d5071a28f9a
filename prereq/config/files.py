"""The YAML files that a command is composed from, each compared with the schema.

Hydra stops at the first fault and names no file; here every fault of every file is named with both.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prereq.config.schema import Config
from prereq.config.shape import kind_of, mismatches

UNREADABLE = (yaml.YAMLError, UnicodeDecodeError, RecursionError, OSError, ValueError)


def used(loader: ConfigLoader, name: str, choices: Sequence[str]) -> list[tuple[str, Path]]:
    """(package, file) of every file of ours or the user's that these choices are composed from.

    Raises what Hydra raises where one cannot be read.
    """
    defaults = loader.compute_defaults_list(name, list(choices), RunMode.RUN).defaults
    found = []
    for default in defaults:
        result = loader.repository.load_config(default.config_path)
        if result is not None and result.provider in ("main", "command-line"):
            folder = Path(result.path.removeprefix("file://"))
            found.append((default.package or "", folder / f"{default.config_path}.yaml"))
    return found


def problems(package: str, file: Path) -> list[str]:
    """Unknown keys and values of a wrong type in a file whose values go to `package`."""
    if package.partition(".")[0] == "hydra":
        return []
    content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    content.pop("defaults", None)
    if not package:
        content.pop("hydra", None)
    kind = kind_of(Config, package.split(".")) if package else Config
    return [f"{file}: {problem}" for problem in mismatches(content, kind, package)]


def unreadable(folder: Path) -> list[str]:
    """The YAML files under `folder` that are not UTF-8, not YAML, or no group of values."""
    found = []
    for file in sorted(folder.rglob("*.yaml")):
        try:
            content: Any = OmegaConf.load(file)
        except UNREADABLE as error:
            found.append(f"{file}: {_fault(error)}")
            continue
        if not OmegaConf.is_dict(content):
            found.append(
                f"{file}: must be keys with values (key: value), not a list or a single value"
            )
    return found


def _fault(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        problem = " ".join(filter(None, (error.context, error.problem)))
        return f"not YAML (line {mark.line + 1}, column {mark.column + 1}: {problem})"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte {error.start}); save it as UTF-8"
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror})"
    return f"not YAML ({' '.join(str(error).split())[:200]})"


def reason(error: Exception) -> str:
    """What went wrong inside Hydra, as one line."""
    if "prereq_slurm" in str(error):
        return "hydra/launcher: SLURM needs hydra-submitit-launcher; pip install 'prereq[slurm]'"
    texts = [str(error)]
    if isinstance(error, HydraException) and isinstance(error.__cause__, OmegaConfBaseException):
        texts.append(str(error.__cause__))
    return " ".join(" ".join(texts).split())[:500] or type(error).__name__
