"""What holds for every value of its kind: numbers finite and within bounds, names safe, no secrets."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

from prereq.config.schema import (
    Architecture,
    CitiesConfig,
    Config,
    DatasetConfig,
    Distillation,
    EvalConfig,
    Judge,
    KnowledgeSource,
    LoraSettings,
    MethodConfig,
    ModelConfig,
    Pretrain,
    Probe,
    Server,
    SkillRecipe,
    StageConfig,
    Synth,
    TestSplit,
    Training,
    WorldConfig,
)
from prereq.config.schema.sources import GROUPS, PEOPLE, Shares
from prereq.config.shape import shown
from prereq.errors import IN_URL

WORDINGS = 6  # in which the embedded world can state a fact
VERSIONS = 60  # the values of the world's smallest relation; an entity's versions all differ
COUNTRIES = 36  # of the `cities` data; an invented town's versions all differ
SEEDS = 2**63 - 1  # the largest that torch takes


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, which itself is excluded where `below`."""

    low: float
    high: float = inf
    below: bool = False

    def problem(self, key: str, value: float) -> list[str]:
        if self.low <= value < self.high or (value == self.high and not self.below):
            return []
        if self.high == inf or (value < self.low and not self.below):
            return [f"{key}={value}: must be at least {self.low:,}"]
        upper = f"{'below ' if self.below else ''}{self.high:,}"
        return [f"{key}={value}: must be from {self.low:,} to {upper}"]


SHARE = Range(0, 1, below=True)
RANK = Range(1, 2**16)
PLACES = ("known", "validation", "held_out", "unknown", "unseen", "fictitious", "plug_in")

# Beyond these no value can be meant. What is not here must still be finite and within 64 bits.
RANGES: dict[type, dict[str, Range]] = {
    Config: {"seed": Range(0, SEEDS), "show": Range(0, 10**4)},
    Training: {
        "epochs": Range(1, 10**6),
        "batch_size": Range(1, 10**7),
        "learning_rate": Range(0),
        "weight_decay": Range(0),
        "beta2": SHARE,
        "warmup": SHARE,
        "max_length": Range(2, 10**7),
    },
    Pretrain: {"r": RANK},
    StageConfig: {
        "tokens_per_forward": Range(1, 10**9),
        "checkpoint_seconds": Range(0, 10**9),
        "processes": Range(1, 1024),
    },
    KnowledgeSource: {
        "version": Range(0, 10**6),
        "wordings": Range(1, 10**4),
        "repeats": Range(1, 10**4),
    },
    SkillRecipe: {"draw_group": Range(1, 10**7), "real_weight": Range(0)},
    DatasetConfig: {
        "knowledge_r": RANK,
        "skill_r": RANK,
        "dropout": SHARE,
        "fictitious_entities": Range(1, 10**9),
        "seed": Range(0, SEEDS),
    },
    Distillation: {"weight": Range(0.001, 1), "context": Range(1, 10**6)},
    Shares: {"development": SHARE, "test": SHARE},
    WorldConfig: {
        **dict.fromkeys(GROUPS, Range(0, PEOPLE)),
        "versions": Range(1, VERSIONS),
        "often": Range(0, 10**4),
        "seldom": Range(0, 10**4),
        "question_share": Range(0, 1),
        "wordings": Range(1, WORDINGS),
    },
    CitiesConfig: {
        **dict.fromkeys(PLACES, Range(0, 10**5)),
        "versions": Range(1, COUNTRIES),
        "wordings": Range(1, 8),
    },
    Architecture: {
        "layers": Range(1, 256),
        "width": Range(1, 2**14),
        "heads": Range(1, 1024),
        "feed_forward": Range(1, 2**16),
        "initializer_range": Range(1e-6, 1),
    },
    LoraSettings: {"r": RANK, "alpha": Range(1, 10**6), "dropout": SHARE},
    MethodConfig: {"real_weight": Range(0), "known_last": SHARE, "own_answers": Range(0, 1)},
    Probe: {
        "exemplars": Range(0, 100),
        **dict.fromkeys(("prompts", "samples"), Range(1, 1000)),
        "temperature": Range(0.01, 2),
        "top_p": Range(0, 1),
        "max_new_tokens": Range(1, 10**6),
        "known_from": Range(0.001, 1),
    },
    EvalConfig: {
        "max_new_tokens": Range(1, 10**6),
        "tokens_per_batch": Range(1, 10**9),
        "bootstrap": Range(1, 10**6),
        "requests": Range(1, 1024),
    },
    Synth: {
        **dict.fromkeys(("questions", "facts", "versions", "copies"), Range(1, 10**6)),
        **dict.fromkeys(("wordings", "passages", "tries"), Range(1, 1000)),
        "plug_in": SHARE,
        "temperature": Range(0, 2),
        "top_p": Range(0, 1),
        "max_tokens": Range(1, 10**6),
        "tokens_per_batch": Range(1, 10**9),
    },
    Judge: {
        **dict.fromkeys(("max_tokens", "items"), Range(1, 10**6)),
        "tokens_per_batch": Range(1, 10**9),
        "passages": Range(1, 100),
        "passage_words": Range(10, 10**5),
        "penalised_below": Range(0),
    },
    Server: {
        "requests": Range(1, 1024),
        "requests_per_minute": Range(0.01, 10**6),
        "timeout": Range(1, 10**5),
        "price_in": Range(0),
        "price_out": Range(0),
    },
}
NAMED = (DatasetConfig, ModelConfig, MethodConfig, EvalConfig, KnowledgeSource, TestSplit)
NAMED += (Judge,)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PATHS = ("output_dir", "skill", "dataset.path", "dataset.topics", "model.path")
PATHS += ("synth.titles", "dataset.rows", "dataset.passages", "dataset.development", "dataset.test")
PATHS += ("judge.knowledge", "judge.validate", "judge.prompts", "judge.model.path")
LONGEST = 10_000  # characters of a text

SECRET_NAME = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD)$", re.I)


def problems(config: Config) -> list[str]:
    """Every value that is wrong in itself, wherever it stands."""
    found = within(config)
    for key in PATHS:
        found += _path(key, _at(config, key))
    return found


def within(node: Any, prefix: str = "") -> list[str]:
    """What is wrong with a single value of a dataclass, or of those that it holds."""
    found = []
    for key, owner, name, value in leaves(node, prefix):
        if isinstance(value, str):
            found += text(key, value) or _named(key, owner, name, value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found += _number(key, owner, name, value)
    return found


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, type, str, Any]]:
    """(key, class that holds it, field, value) of every single value, list elements one by one."""
    for field in fields(node):
        value, key = getattr(node, field.name), f"{prefix}{field.name}"
        parts = [(key, value)]
        if isinstance(value, list):
            parts = [(f"{key}.{i}", part) for i, part in enumerate(value)]
        for place, part in parts:
            if is_dataclass(part):
                yield from leaves(part, f"{place}.")
            else:
                yield place, type(node), field.name, part


def text(key: str, value: str) -> list[str]:
    """What is wrong with any text. A secret is never shown."""
    if not value.strip():
        return [f"{key}: empty; write a value, or leave the key out"]
    if len(value) > LONGEST:
        return [f"{key}: {len(value):,} characters; must be at most {LONGEST:,}"]
    if not _is_text(value):
        return [f"{key}={value!a}: holds what is no text in UTF-8, or a control character"]
    if IN_URL.search(value):
        return [
            f"{key}: a URL with a user name, password or key in it, which would be written to files; "
            "leave it out of the URL: the key of a server is read from the environment (api_key_env)"
        ]
    for name, secret in os.environ.items():
        if SECRET_NAME.search(name) and len(secret) >= 8 and "/" not in secret and secret in value:
            return [
                f"{key}: holds the value of ${name}, which would be written to files; leave it out"
            ]
    return []


def server(asked: Server, url: str, model: str, needed_by: str | None) -> list[str]:
    """What is wrong with a server; `url` and `model` are its keys, `needed_by` is what asks it, if any."""
    found = []
    if asked.url and not re.fullmatch(r"https?://[^/\s]+\S*", asked.url):
        found.append(f"{url}={shown(asked.url)}: must be a URL, for example http://127.0.0.1:8000")
    if needed_by:
        found += [
            f"{key}: empty; {needed_by} needs {what}"
            for key, value, what in (
                (url, asked.url, "a URL"),
                (model, asked.model, "the model's name there"),
            )
            if not value
        ]
    if (asked.price_in is None) != (asked.price_out is None):
        prefix = url.rpartition(".")[0]
        found.append(
            f"{prefix}.price_in={shown(asked.price_in)}, {prefix}.price_out={shown(asked.price_out)}: give "
            "both prices, or neither"
        )
    return found


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return not any(c < " " or c == "\x7f" for c in value if c not in "\n\t")


def _named(key: str, owner: type, name: str, value: str) -> list[str]:
    """Names that become folders, files or keys of adapters; names of subsets and splits."""
    if name == "name" and owner in NAMED and not NAME.fullmatch(value):
        return [
            f"{key}={shown(value)}: becomes part of a path; must be at most 64 ASCII letters, digits, "
            "'_', '-' and '.', the first a letter or digit"
        ]
    is_part = name in ("subset", "split", "splits")
    if is_part and (re.search(r"[/\\*?]|^\.\.?$", value) or len(value.encode()) > 200):
        return [f"{key}={shown(value)}: must be one name, without '/', '\\', '*' or '?'"]
    if name == "api_key_env" and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
        return [
            f"{key}: must be the name of an environment variable (capital letters, digits, '_'), never "
            "the key itself"
        ]
    return []


def _number(key: str, owner: type, name: str, value: float) -> list[str]:
    if not isfinite(value):
        return [f"{key}={value}: must be a finite number"]
    for kind in owner.__mro__:
        if name in RANGES.get(kind, {}):
            return RANGES[kind][name].problem(key, value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return [f"{key}={shown(value)}: must fit in 64 bits"]
    return []


def _path(key: str, value: str | None) -> list[str]:
    if value is None:
        return []
    if value.startswith("~"):
        return [f"{key}={shown(value)}: there is no such user's home folder; write the whole path"]
    if len(value.encode(errors="replace")) > 4000 or any(len(p) > 255 for p in Path(value).parts):
        return [f"{key}={shown(value)}: longer than a path can be"]
    return []


def _at(config: Config, key: str) -> str | None:
    node: Any = config
    for part in key.split("."):
        node = getattr(node, part)
    return node
