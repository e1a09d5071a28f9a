"""The configuration as Hydra composes it from conf/, from a user's own folder and from choices."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hydra
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from omegaconf import DictConfig, OmegaConf

from prereq.config import files
from prereq.config.schema import Config
from prereq.errors import ConfigError
from prereq.runtime.files import shipped

SCHEMAS = ("schema", "prereq_slurm")  # fields and types, not choices


def conf_dir() -> Path:
    return shipped("conf")


def register_schema() -> None:
    ConfigStore.instance().store(name="schema", node=Config)
    # metrics.jsonl in each artifact, and nothing else.
    ConfigStore.instance().store(group="tracker", name="none", node={"name": "none"})


class Composer:
    """Composes the configuration of a command's choices, and knows what there is to choose from."""

    def __init__(self, name: str, config_dir: str | None):
        self.name = name
        self.folders = [conf_dir(), *([Path(config_dir)] if config_dir else [])]
        search_path = create_config_search_path(str(conf_dir()))
        if config_dir:
            folder = f"file://{Path(config_dir).resolve()}"
            search_path.prepend("command-line", folder, SearchPathQuery(provider="schema"))
        self._loader = Hydra.create_main_hydra2("prereq", search_path).config_loader
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self.groups = set(self._groups(""))

    def _groups(self, parent: str) -> Iterator[str]:
        """Every group: ours and Hydra's (`hydra/launcher`, `hydra/sweeper/sampler`, …)."""
        for name in self._loader.repository.get_group_options(parent, ObjectType.GROUP):
            group = f"{parent}/{name}" if parent else name
            yield group
            yield from self._groups(group)

    def has(self, name: str) -> bool:
        return self._loader.repository.config_exists(name)

    def options(self, group: str) -> list[str]:
        return [o for o in self._loader.repository.get_group_options(group) if o not in SCHEMAS]

    def compose(self, choices: Sequence[str]) -> DictConfig:
        """The configuration of these choices with Hydra's own part, to be changed at will.

        Raises ConfigError, which names the files and what is wrong in them.
        """
        choices = tuple(choices)
        if choices not in self._composed:
            try:
                config = hydra.compose(self.name, list(choices), return_hydra_config=True)
            except Exception as error:  # of many kinds, whatever a file makes of Hydra
                raise ConfigError(self._faults(choices) or [files.reason(error)]) from None
            OmegaConf.set_readonly(config.hydra, False)
            self._composed[choices] = config
        return OmegaConf.merge(self._composed[choices])

    def _faults(self, choices: tuple[str, ...]) -> list[str]:
        broken = [fault for folder in self.folders for fault in files.unreadable(folder)]
        if broken:
            return broken
        try:
            return self.file_problems(choices)
        except Exception:  # of Hydra again: it will be reported as such
            return []

    def file_problems(self, choices: Sequence[str]) -> list[str]:
        """Unknown keys and wrong types in the files of these choices."""
        used = files.used(self._loader, self.name, choices)
        return [problem for package, file in used for problem in files.problems(package, file)]

    def where(self, choices: Sequence[str]) -> Callable[[str], str]:
        """For the end of a message: in which file a missing key belongs."""

        def place(key: str) -> str:
            used = files.used(self._loader, self.name, choices)
            of_key = [u for u in used if u[0] and f"{key}.".startswith(f"{u[0]}.")]
            return f"; set it in {of_key[-1][1]}" if of_key else ""

        return place
