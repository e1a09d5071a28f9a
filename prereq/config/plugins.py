"""What Hydra itself is configured with: its installed plugins only, and nothing secret.

Hydra calls the classes that its configuration names and writes all of it to a sweep's
`multirun.yaml`; a file from elsewhere must not run code that way, nor a key end up there.
"""

from collections.abc import Iterator
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf

from prereq.config.values import SECRET_NAME, text

OTHERS = ("logging.", "colorlog.", "optuna.samplers.")  # handlers and formatters; samplers
SHOWN_BY_HYDRA = ("help", "hydra_help", "runtime", "overrides")  # no settings


def problems(hydra: DictConfig) -> list[str]:
    """What must not stand in Hydra's own part of the configuration."""
    found = []
    settings = OmegaConf.to_container(hydra, resolve=False)
    for name in SHOWN_BY_HYDRA:
        settings.pop(name, None)
    plugins = Plugins.instance()
    classes = {
        f"hydra.{kind.__name__.lower()}._target_": [
            f"{c.__module__}.{c.__name__}" for c in plugins.discover(kind)
        ]
        for kind in (Launcher, Sweeper)
    }
    for key, value in _leaves(settings, "hydra"):
        name = key.rpartition(".")[2]
        if key in classes and value not in classes[key]:
            found.append(
                f"{key}={value}: must be a class of an installed plugin ({', '.join(classes[key])})"
            )
        elif key not in classes and name in ("_target_", "()", "class"):
            if not str(value).startswith(OTHERS):
                found.append(
                    f"{key}={value}: prereq lets Hydra call its own plugins only; remove it"
                )
        elif isinstance(value, str) and value.strip() and "${" not in value:
            found += text(key, value)
    for name in [*settings["job"]["env_set"], *settings["job"]["env_copy"]]:
        if SECRET_NAME.search(name):
            found.append(
                f"hydra.job.env_set: {name} would be written to the sweep's multirun.yaml; set it in "
                "the shell instead, jobs see it there"
            )
    if settings["job"]["chdir"]:
        found.append(
            "hydra.job.chdir=true: relative paths would mean another folder; leave it false, "
            "artifacts have folders of their own"
        )
    return found


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    parts = node.items() if isinstance(node, dict) else enumerate(node)
    for name, value in parts:
        if isinstance(value, dict | list):
            yield from _leaves(value, f"{key}.{name}")
        else:
            yield f"{key}.{name}", value
