"""From the composed configuration to dataclasses: nothing missing, every value checked.

Only what the command needs is required: plain fine-tuning needs no knowledge, knowledge LoRAs no skill.
"""

import copy
import os
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prereq.config import checks
from prereq.config.schema import Config, KnowledgeSource, Training
from prereq.config.shape import kinds, shown
from prereq.config.values import PATHS
from prereq.errors import ConfigError

Where = Callable[[str], str]  # the end of a message: in which file a missing key belongs


def build(
    cfg: DictConfig, methods: Sequence[DictConfig] = (), where: Where = lambda key: ""
) -> Config:
    """The configuration as dataclasses; `methods` are those that a pipeline compares.

    Raises ConfigError with all that is missing, or else with every problem of the values.
    """
    cfg, gaps = with_versions(cfg), []
    plain = _plain(cfg, "", gaps, where)
    compared = [_plain(method, "method.", gaps, where) for method in methods]
    gaps += _needed(plain, compared or [plain.method], where)
    if gaps:
        raise ConfigError(gaps)
    config: Config = OmegaConf.to_object(cfg)
    config.compare = [OmegaConf.to_object(method) for method in methods]
    for key in PATHS:
        _expand(config, key)
    found = checks.problems(config)
    if found:
        raise ConfigError(found)
    return config


def with_versions(cfg: DictConfig) -> DictConfig:
    """The configuration with every knowledge source of several versions as one source a version, and
    with those of the other form among them where both forms are asked for.

    Raises ConfigError where a name or split would not tell them apart.
    """
    sources, found = [], []
    listed = [(f"dataset.knowledge.{i}", s) for i, s in enumerate(cfg.dataset.knowledge)]
    if cfg.dataset.both_forms:
        listed += [(f"dataset.other_form.{i}", s) for i, s in enumerate(cfg.dataset.other_form)]
    for key, source in listed:
        source = OmegaConf.to_container(source)
        versions = source.pop("versions", None)
        if versions is None:
            sources.append(source)
            continue
        for name in ("name", "split"):
            if "{version}" not in str(source[name]):
                found.append(
                    f"{key}.{name}={shown(source[name])}: must hold {{version}}, because it has versions"
                )
        if not versions:
            found.append(
                f"{key}.versions=[]: names no version; leave it out, or list their numbers"
            )
        if source["version"] is not None:
            found.append(f"{key}: has version and versions; give one of them")
        for version in versions:
            own = {n: str(source[n]).replace("{version}", str(version)) for n in ("name", "split")}
            sources.append(source | own | {"version": version})
    if found:
        raise ConfigError(found)
    added = len(listed) > len(cfg.dataset.knowledge)
    if cfg.dataset.both_forms or any(source.versions is not None for _, source in listed):
        cfg = copy.deepcopy(cfg)
        cfg.dataset.other_form, cfg.dataset.both_forms = [], added  # told apart where it differs
        cfg.dataset.knowledge = [OmegaConf.merge(KnowledgeSource, source) for source in sources]
    return cfg


def _plain(node: Any, prefix: str, gaps: list[str], where: Where) -> Any:
    """The node as lists and namespaces; what is missing or cannot be resolved is None, and reported."""
    many = OmegaConf.is_list(node)
    values = {}
    for name in range(len(node)) if many else node:
        key, value = f"{prefix}{name}", None
        if OmegaConf.is_missing(node, name):
            gaps.append(f"{key}: missing{where(key)}")
        else:
            try:
                value = node[name]
            except (OmegaConfBaseException, RecursionError) as error:
                gaps.append(_unresolved(key, node, name, error))
        if OmegaConf.is_config(value):
            value = _plain(value, f"{key}.", gaps, where)
        values[str(name)] = value
    return list(values.values()) if many else SimpleNamespace(**values)


def _unresolved(key: str, node: Any, name: Any, error: Exception) -> str:
    raw = OmegaConf.to_container(node, resolve=False)[name]
    reason = str(error).splitlines()[0] if str(error) else "refers to itself"
    return (
        f"{key}={shown(raw)}: {reason}; an environment variable is written ${{oc.env:NAME}}, and "
        "text that holds '${' as '\\${'"
    )


def _needed(cfg: Any, methods: Sequence[Any], where: Where) -> list[str]:
    """What the command needs beyond the keys that are always there. `cfg` is plain: see `_plain`."""
    data, stage, found = cfg.dataset, cfg.stage.name, []
    trains = checks.trains_skill(cfg) and any(m.trains for m in methods)
    draws = [m.name for m in methods if m.knowledge] if trains else []
    plugs = checks.evaluates(cfg) and any(t.plug_in for t in data.tests)
    plugs = plugs and any(m.knowledge for m in methods)
    if stage == "ask":
        plugs = cfg.method.knowledge if cfg.knowledge is None else bool(cfg.knowledge)
    recipes = {}
    if trains:
        recipes["dataset.skill.training"] = [data.skill.training, cfg.stage]
        wanted = {
            "subset": "the folder of the task's rows",
            "splits": "a list, for example [train]",
        }
        found += [
            f"dataset.skill.{name}: missing ({what}); stage={stage} trains a skill{where('dataset.skill')}"
            for name, what in wanted.items()
            if getattr(data.skill, name) in (None, [])
        ]
    merges = stage == "export" and cfg.knowledge
    if stage == "cpt" or draws or merges or plugs:
        for i, source in enumerate(data.knowledge):
            named = cfg.knowledge is None or source.name in cfg.knowledge
            if draws or stage not in ("cpt", "export") or named:
                layers = [data.knowledge_training, source.training]
                layers += [cfg.stage] if stage == "cpt" else []
                recipes[f"dataset.knowledge.{i}.training"] = layers
    if (cfg.model.source == "tiny" or data.pretrain.start == "model") and stage != "report":
        recipes["dataset.pretrain"] = [data.pretrain, *([cfg.stage] if stage == "pretrain" else [])]
    for key, layers in recipes.items():
        needed = [name for name in kinds(Training) if name != "max_length"]  # has a default
        absent = [n for n in needed if all(getattr(x, n) is None for x in layers)]
        why = ""
        if key == "dataset.pretrain":
            other = " (another: model=hf model.path=…)" if cfg.model.source == "tiny" else ""
            why = f"; model={cfg.model.name} is trained by it on the embedded world's text{other}"
        if absent:
            found.append(f"{key}: no value for {', '.join(absent)}{where(key)}{why}")
    return found


def _expand(config: Config, key: str) -> None:
    """Put the home folder in place of a leading `~`."""
    *parents, name = key.split(".")
    node: Any = config
    for parent in parents:
        node = getattr(node, parent)
    if getattr(node, name):
        setattr(node, name, os.path.expanduser(getattr(node, name)))
