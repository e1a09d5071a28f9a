"""What tells one experiment from another, in words: the settings that differ from the recipe's."""

import re
from dataclasses import fields, is_dataclass
from typing import Any

from prereq.config import Config
from prereq.config.shape import spelt

# What no result depends on, or what is told apart otherwise (the seed, the method's own name).
LEFT_OUT = {
    "seed",
    "output_dir",
    "compare",
    "recipe",
    "knowledge",
    "tracker",
    "stage",
    "question",
    "ask",
    "experiment",
}
LEFT_OUT |= {"dataset.seed", "eval.requests", "eval.api_key_env", "eval.bootstrap"}
LEFT_OUT |= {"eval.tokens_per_batch", "method.family", "method.colour", "show"}
LEFT_OUT |= {"format", "epoch", "push_to_hub", "private", "judge"}
# Where a user's rows are and what their columns are called; what they say is another experiment.
LEFT_OUT |= {f"dataset.{name}" for name in ("rows", "columns", "passages", "development", "test")}
LEFT_OUT |= {"dataset.fictitious_sizes", "dataset.other_form"}
SHORT = re.compile(
    r"^(dataset|adapter)\.|(?<=\.)training\."
)  # parts of a key that go without saying


def changes(config: Config) -> dict[str, Any]:
    """`{"skill.epochs": 5, …}`: every setting that differs from the recipe's, by its short name.

    Values that `stage.…` sets stand where they act: at the skill's training values.
    """
    if config.recipe is None:
        return {}
    method = config.recipe["methods"].get(config.method.name, config.recipe["method"])
    ours, recipe = dict(_flat(config)), dict(_flat(config.recipe | {"method": method}))
    for name, value in _flat(config.stage):
        if f"dataset.skill.training.{name}" in ours and value is not None:
            ours[f"dataset.skill.training.{name}"] = value
    told = {"both_forms": True} if config.dataset.both_forms else {}  # of experiment=forms itself
    return told | {
        SHORT.sub("", key): ours.get(key)
        for key in sorted({*ours, *recipe})
        if ours.get(key) != recipe.get(key) and not _is_left_out(key)
    }


def settings(config: Config) -> list[str]:
    """`["method=sft", "seed=1", "epochs=5", …]`: all that tells one job of a sweep from another."""
    chosen = {
        "stage": config.stage.name,
        "dataset": config.dataset.name,
        "model": config.model.name,
    }
    methods = config.compare or [config.method]
    chosen["method"] = ",".join(method.name for method in methods)
    if config.knowledge:
        chosen["knowledge"] = ",".join(config.knowledge)
    chosen |= {"seed": config.seed} | changes(config)
    return [spelt({key: value}) for key, value in chosen.items()]


def safe(name: str) -> str:
    """A name that somebody else has given, as one part of a path."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip(".-")[:64] or "adapter"


def _is_left_out(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in LEFT_OUT)


def _flat(value: Any, key: str = ""):
    """(dotted key, value) of every field, lists by position."""
    if is_dataclass(value):
        parts = [(f.name, getattr(value, f.name)) for f in fields(value)]
    elif isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list) and any(
        is_dataclass(part) or isinstance(part, dict) for part in value
    ):
        parts = list(enumerate(value))
    else:
        yield key, value
        return
    for name, part in parts:
        if name not in ("compare", "recipe", "methods"):
            yield from _flat(part, f"{key}.{name}" if key else str(name))
