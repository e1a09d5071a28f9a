"""Each word of the command line by itself: a choice that exists, a key that exists, a value that fits."""

from typing import Any, get_origin

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prereq.config.compose import Composer
from prereq.config.overrides import Word, as_text, filled, to_type
from prereq.config.schema import Config
from prereq.config.shape import kind_of, kinds, mismatches, nearest, shown, unknown, without_none

EXTRAS = {"hydra/sweeper=optuna": "; pip install 'prereq[optuna]'"}
NULLABLE = "experiment"  # the group of which nothing need be chosen
ADD_M = "several values make a sweep: add -m to run one job each"


def chooses(word: Word, composer: Composer) -> bool:
    """Whether the word chooses from a group: dataset=world."""
    return word.override is not None and not word.sign and word.key in composer.groups


def choice_problems(word: Word, composer: Composer, sweeps: bool, only_shown: bool) -> list[str]:
    """What is wrong with a choice from a group."""
    group, options, found = word.key, composer.options(word.key), []
    if word.override.package is not None:
        return [f"{word.text}: write {group}=… alone; where it goes is fixed"]
    if group == "hydra/launcher" and not sweeps and not only_shown:
        found.append(
            f"{word.text}: only a sweep has a launcher; add -m (without it the command runs here)"
        )
    if word.is_sweep and not sweeps:
        found.append(f"{word.text}: {ADD_M}")
    for option in word.values():
        if str(option) not in options and (option is not None or group != NULLABLE):
            near = nearest(str(option), options)
            hint = f"; did you mean {near}?" if near else EXTRAS.get(f"{group}={option}", "")
            found.append(f"{group}={shown(option)}: there is {', '.join(options)}{hint}")
    return found


def fitted(
    word: Word, config: DictConfig, composer: Composer, sweeps: bool
) -> tuple[Word, list[str]]:
    """The word as Hydra is to read it, and what is wrong with it; a right one is put into `config`.

    Where there is no such key its value is not shown: it may be a secret.
    """
    key = word.key
    if word.raw is None and word.sign != "~":
        return word, [f"{word.text!r}: not an override; write key=value, for example seed=2"]
    absent = _absent(key, config, composer)
    if absent:
        return word, [absent]
    if key in composer.groups:
        options = ", ".join(composer.options(key))
        return word, [f"{word.sign}{key}: choose one by {key}=NAME; there is {options}"]
    if word.sign in ("+", "~"):
        return word, [
            f"{word.sign}{key}: keys are fixed by the schema; write {key}=… to change one"
        ]
    if word.override is None:
        return word, [_unread(word)]
    if word.is_sweep:
        problem = _sweep_problem(word, config, sweeps)
        if problem:
            return word, [problem]
    word = as_text(word) if _kind(key) is str else word
    word = filled(word) if get_origin(_kind(key)) is dict else word
    return word, _put(word, config)


def _absent(key: str, config: DictConfig, composer: Composer) -> str | None:
    """That there is no such key, with the nearest one that there is."""
    first, *_ = parts = key.split(".")
    if first not in (*kinds(Config), *composer.groups, "hydra"):
        names = {*kinds(Config), *(group for group in composer.groups if "/" not in group)}
        return unknown(key, first, sorted(names - {"hydra"}))
    if key in composer.groups:
        return None
    node: Any = config
    for part in parts:
        if isinstance(node, ListConfig):
            names = [str(place) for place in range(len(node))]
        else:
            names = list(map(str, node)) if isinstance(node, DictConfig) and node else []
        if part not in names:
            return unknown(key, part, names)
        node = node._get_node(int(part) if isinstance(node, ListConfig) else part)
    return None


def _kind(key: str) -> Any:
    """The type of a key of ours; None of Hydra's."""
    parts = key.split(".")
    return None if parts[0] == "hydra" else without_none(kind_of(Config, parts))


def _unread(word: Word) -> str:
    """What to type instead of a value that Hydra cannot read."""
    key, kind = word.key, _kind(word.key)
    if kind in (str, None):
        return (
            f"{key}={shown(word.raw)}: cannot be read without quotes; type {to_type(key, word.raw)}"
        )
    if get_origin(kind) is list:
        return f"{key}={shown(word.raw)}: cannot be read; a list is typed {key}=[a,b]"
    return mismatches(word.raw, kind, key)[0]


def _sweep_problem(word: Word, config: DictConfig, sweeps: bool) -> str | None:
    key = word.key
    if not sweeps:
        text = f"; for one text with a comma type {to_type(key, word.raw)}"
        return f"{word.text}: {ADD_M}{text if _kind(key) is str else ''}"
    if key == "output_dir":
        return f"{word.text}: the jobs of a sweep share one output_dir"
    if not word.override.is_discrete_sweep() and "BasicSweeper" in config.hydra.sweeper._target_:
        return (
            f"{word.text}: a list of values needs no sweeper; to draw from an interval add "
            "hydra/sweeper=optuna"
        )
    return None


def _put(word: Word, config: DictConfig) -> list[str]:
    """What is wrong with the values; if nothing, the first one is put into the configuration."""
    key, found = word.key, []
    for value in word.values():
        if _kind(key) is not None:
            wrong = mismatches(value, kind_of(Config, key.split(".")), key)
            if wrong and _kind(key) is str and value is not None:
                wrong = [f"{wrong[0]}; if that is the text, type {to_type(key, word.raw)}"]
            found += wrong
        if not found:
            try:
                update(OmegaConf.merge(config), key, value)
            except OmegaConfBaseException as error:
                found.append(f"{key}={shown(value)}: {str(error).splitlines()[0]}")
    if not found:
        update(config, key, word.values()[0])
    return found


def update(config: DictConfig, key: str, value: Any) -> None:
    """Put a value where the key is; names in a mapping are the user's own."""
    OmegaConf.update(config, key, value, force_add=isinstance(value, dict))
