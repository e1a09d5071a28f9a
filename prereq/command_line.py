"""The command line, checked before Hydra runs: every misspelt key and wrong value in one message.

Hydra stops at the first problem. Here each override is tried on its own against the composed
configuration, so that all of them are reported, each with the nearest name that exists.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from prereq.config import Config
from prereq.errors import ConfigError, PrereqError
from prereq.validate import problems

SCHEMAS = ("schema", "prereq_slurm")  # fields and types, not choices
EXTRAS = {"hydra/sweeper=optuna": "; pip install 'prereq[optuna]'"}


def conf_dir() -> Path:
    """The packaged `prereq/conf` of a wheel, or `conf/` beside the package in a clone."""
    here = Path(__file__).resolve().parent
    for folder in (here / "conf", here.parent / "conf"):
        if (folder / "config.yaml").exists():
            return folder
    raise PrereqError(f"no conf/config.yaml in {here} or {here.parent}; reinstall prereq")


def register_schema() -> None:
    ConfigStore.instance().store(name="schema", node=Config)
    # metrics.jsonl in each artifact, and nothing else.
    ConfigStore.instance().store(group="tracker", name="none", node={"name": "none"})


def check(arguments: list[str]) -> None:
    """Raise one `ConfigError` that lists all that is wrong with the overrides and their values."""
    args = get_args_parser().parse_args(arguments)
    if args.help or args.hydra_help or args.shell_completion or args.info:
        return
    parsed, found = _parse(args.overrides)
    chosen = {override.key_or_group for override in parsed}
    if args.multirun and "hydra/sweeper" not in chosen:
        found += [
            f"{override.input_line}: a list of values needs no sweeper; to draw from an interval add "
            "hydra/sweeper=optuna"
            for override in parsed
            if override.is_sweep_override() and not override.is_discrete_sweep()
        ]
    if not args.multirun and not args.cfg:
        found += [
            f"{override.input_line}: only a sweep has a launcher; add -m (without it the command runs here)"
            for override in parsed
            if override.key_or_group == "hydra/launcher"
        ]
    search_path = create_config_search_path(str(conf_dir()))
    if args.config_dir and not Path(args.config_dir).is_dir():
        found.append(
            f"--config-dir {args.config_dir}: no such folder; it holds groups as conf/ does"
        )
    elif args.config_dir:
        folder = f"file://{Path(args.config_dir).resolve()}"
        search_path.prepend("command-line", folder, SearchPathQuery(provider="schema"))
    loader = Hydra.create_main_hydra2("prereq", search_path).config_loader
    try:
        config = _compose(loader, parsed, found)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([*found, _composing(error)]) from None
    finally:
        GlobalHydra.instance().clear()
    if not found:
        found = problems(OmegaConf.to_object(config))
    if found:
        raise ConfigError(found)


def _parse(overrides: list[str]) -> tuple[list[Override], list[str]]:
    parser, parsed, found = OverridesParser.create(), [], []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except HydraException:
            found.append(f"{text!r}: not an override; write key=value, for example seed=2")
    return parsed, found


def _compose(loader: ConfigLoader, parsed: list[Override], found: list[str]) -> DictConfig:
    """The configuration of the overrides that are right (a sweep: of its first choice)."""
    groups = set(_groups(loader))
    choices, values = [], []
    for override in parsed:
        name = override.key_or_group
        if name == "output_dir" and override.is_sweep_override():
            found.append(f"{override.input_line}: the jobs of a sweep share one output_dir")
        if name in groups and not override.is_delete():
            options = sorted(o for o in loader.get_group_options(name) if o not in SCHEMAS)
            wrong = [c for c in _choices(override) if c is not None and str(c) not in options]
            found += [
                f"{name}={c}: there is {', '.join(options)}{_hint(str(c), options)}"
                + EXTRAS.get(f"{name}={c}", "")
                for c in wrong
            ]
            if not wrong:
                choices.append(f"{name}={_first(override)}")
        else:
            values.append(override)
    config = compose("config", choices, return_hydra_config=True)
    OmegaConf.set_readonly(config.hydra, False)
    for override in values:
        problem = _problem(config, override)
        if problem:
            found.append(problem)
    with open_dict(config):
        del config["hydra"]
    return config


def _groups(loader: ConfigLoader, parent: str = "") -> Iterator[str]:
    """Every group: ours and Hydra's (`hydra/launcher`, `hydra/sweeper/sampler`, …)."""
    for name in loader.list_groups(parent):
        group = f"{parent}/{name}" if parent else name
        yield group
        yield from _groups(loader, group)


def _problem(config: DictConfig, override: Override) -> str | None:
    """Set one value; what is wrong with it, if anything."""
    key = override.key_or_group
    if override.is_add() or override.is_delete():
        if key.startswith("hydra."):
            return None  # Hydra's own, and those of its plugins, are Hydra's to check
        return (
            f"{override.input_line}: keys are fixed by the schema; write {key}=value to change one"
        )
    _, *rest = _walk(config, key.split("."))
    if rest:
        part, names = rest
        return f"{key}: no such key ({part!r}){_hint(part, names, key)}"
    for value in _choices(override):
        trial = OmegaConf.merge(config)
        try:
            OmegaConf.update(trial, key, value)
        except OmegaConfBaseException as error:
            return f"{key}={value}: {_first_line(error)}"
    OmegaConf.update(config, key, _choices(override)[0])
    return None


def _walk(node: Any, parts: list[str]) -> tuple:
    """Follow a key; `(node,)`, or `(node, the part that is missing, the names that exist)`."""
    for part in parts:
        if isinstance(node, ListConfig) and part.isdigit() and int(part) < len(node):
            node = node._get_node(int(part))
        elif isinstance(node, DictConfig) and not node._is_none() and part in node:
            node = node._get_node(part)
        else:
            names = [str(k) for k in node] if isinstance(node, DictConfig) else []
            return node, part, names
    return (node,)


def _choices(override: Override) -> list:
    if override.is_sweep_override():
        if not override.is_discrete_sweep():  # interval(a, b), for a sweeper that draws from it
            return [override.value().start, override.value().end]
        values = list(override.sweep_iterator())
        return values or [None]
    return [override.value()]


def _first(override: Override) -> Any:
    value = _choices(override)[0]
    return "null" if value is None else value


def _hint(name: str, names: list[str], key: str = "") -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not near:
        return f"; there is {', '.join(names)}" if key and names else ""
    whole = ".".join([*key.split(".")[: key.split(".").index(name)], near[0]]) if key else near[0]
    return f"; did you mean {whole}?"


def _composing(error: Exception) -> str:
    if "prereq_slurm" in str(error):
        return "hydra/launcher: SLURM needs hydra-submitit-launcher; pip install 'prereq[slurm]'"
    return _first_line(error)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
