"""The command line, checked before Hydra runs: everything that is wrong, in one message.

Hydra stops at the first problem. Here each override is tried on its own against the composed
configuration, and every value of a sweep is checked before the first job begins.
"""

import argparse
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from prereq.config import plugins, words
from prereq.config.build import build, with_versions
from prereq.config.compose import Composer
from prereq.config.overrides import Word, read
from prereq.config.shape import one_of
from prereq.errors import ConfigError


def arguments(words: list[str]) -> tuple[argparse.Namespace, argparse.ArgumentParser]:
    """Hydra's options and the overrides, in any order. Raises ConfigError."""

    def refuse(message: str) -> NoReturn:
        raise ConfigError([f"{message}; python -m prereq --help shows what there is"])

    parser = get_args_parser()
    parser.prog, parser.error = "prereq", refuse
    args = parser.parse_intermixed_args(words)
    found = []
    if args.experimental_rerun:
        found.append(
            "--experimental-rerun: reads a pickle, which may run any code; type the command"
        )
    if args.config_path:
        found.append("--config-path: takes conf/ away; add a folder of your own by --config-dir")
    modes = [args.run, args.multirun, args.cfg, args.info, args.shell_completion]
    if sum(map(bool, modes)) > 1:
        found.append("--run, --multirun, --cfg, --info and --shell-completion exclude each other")
    if args.resolve and not args.cfg:
        found.append("--resolve: only with --cfg")
    if args.config_dir and not Path(args.config_dir).is_dir():
        found.append(
            f"--config-dir {args.config_dir}: no such folder; it holds groups as conf/ does, for "
            "example dataset/mine.yaml"
        )
    if found:
        raise ConfigError(found)
    return args, parser


def check(args: argparse.Namespace) -> tuple[list[str], str, str | None]:
    """The overrides as Hydra is to read them, the output folder, and the stage (None for a sweep).

    Raises one ConfigError that lists everything that is wrong with the overrides and their values.
    """
    typed = [read(text) for text in args.overrides]
    try:
        composer = Composer(args.config_name or "config", args.config_dir)
        return _check(typed, composer, args)
    finally:
        GlobalHydra.instance().clear()


def _check(
    typed: list[Word], composer: Composer, args: argparse.Namespace
) -> tuple[list[str], str, str | None]:
    sweeps = args.multirun or any(w.key == "hydra.mode" and w.raw == "MULTIRUN" for w in typed)
    found: list[str] = []
    # Each word by itself: first the choices, then the values that they have room for.
    choices, values, unset = [], [], []
    added = [w.text for w in typed if w.override and w.sign and w.key.startswith("hydra.")]
    for word in typed:
        if words.chooses(word, composer):
            problems = words.choice_problems(word, composer, sweeps, bool(args.cfg))
            found += problems
            choices += [] if problems else [word]
    first = [*_chosen(choices, {}), *added]
    config = composer.compose(first)
    for i, word in enumerate(typed):
        if not words.chooses(word, composer) and word.text not in added:
            typed[i], problems = words.fitted(word, config, composer, sweeps)
            found += problems
            values += [] if problems else [typed[i]]
            unset += [word.key] if problems else []
    jobs: Iterable[dict[str, Any]] = _jobs([*choices, *values])
    if found:
        jobs = [{}]  # what is right must fit together all the same
    else:
        found += plugins.problems(config.hydra)
        found += composer.file_problems(first) if args.config_dir else []
        if found:
            raise ConfigError(found)

    # Then what they give together, in every job of a sweep.
    folders: set[str] = set()
    stage = None
    for picked in jobs:

        def compose(chosen: Sequence[str], picked: dict[str, Any] = picked) -> DictConfig:
            cfg = composer.compose(chosen)
            for word in values:
                words.update(cfg, word.key, picked.get(word.key, word.values()[0]))
            with open_dict(cfg):
                del cfg["hydra"]
            return cfg

        chosen = [*_chosen(choices, picked), *added]
        try:
            cfg = compose(chosen)
            for name in cfg.ask.against if OmegaConf.select(cfg, "stage.name") == "ask" else ():
                found += one_of("ask.against", name, composer.options("method"))
            asks = OmegaConf.select(cfg, "stage.name") == "ask"
            methods = compared(cfg, chosen, compose) if (sweeps or asks) and not found else []
            config = build(cfg, methods, composer.where(chosen))
            folders.add(config.output_dir)
            stage = None if sweeps else config.stage.name
        except ConfigError as error:  # not of a key whose value could not be read
            found += [p for p in error.problems if not p.startswith((*unset, "\0"))]
    if len(folders) > 1:
        found.append(
            f"output_dir: the jobs of a sweep share one; it is {' and '.join(folders)} here"
        )
    if found:
        raise ConfigError(list(dict.fromkeys(found)))
    return [word.override.input_line for word in typed], folders.pop(), stage


def _chosen(choices: Sequence[Word], picked: dict[str, Any]) -> list[str]:
    """The choices of one job as Hydra reads them: `picked` of what is swept, else the first."""
    pairs = ((word.key, picked.get(word.key, word.values()[0])) for word in choices)
    return [f"{key}={'null' if option is None else option}" for key, option in pairs]


def _jobs(swept: Sequence[Word]) -> Iterator[dict[str, Any]]:
    """What jobs of a sweep pick: the first values together, then every other value once."""
    yield {}
    for word in swept:
        for value in word.values()[1:]:
            yield {word.key: value}


def recipe(
    overrides: Sequence[str],
    groups: Collection[str],
    methods: Sequence[DictConfig],
    compose: Callable[[Sequence[str]], DictConfig],
) -> dict[str, Any]:
    """The same choices without a value changed, as plain values: what a run's settings differ from.

    Under `methods` it holds each of the methods that a pipeline compares.
    """
    chosen = [override for override in overrides if override.split("=")[0] in groups]
    values = _plain(with_versions(compose(chosen)))
    found = {values["method"]["name"]: values["method"]}
    for name in {method.name for method in methods} - set(found):
        found[name] = _plain(compose([*chosen, f"method={name}"]).method)
    return values | {"methods": found}


def _plain(cfg: DictConfig) -> Any:
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)


def compared(
    cfg: DictConfig, overrides: Sequence[str], compose: Callable[[Sequence[str]], DictConfig]
) -> list[DictConfig]:
    """The methods that a pipeline runs: the one asked for, else those that the dataset compares.

    With stage=ask those that answer: the one asked for (unless an adapter is given in its place) first.
    """
    stage = OmegaConf.select(cfg, "stage.name")
    if stage == "ask":
        own = [] if cfg.skill else [cfg.method]
        others = [name for name in cfg.ask.against if cfg.skill or name != cfg.method.name]
        words = [override for override in overrides if override.split("=")[0] != "method"]
        return [*own, *(compose([*words, f"method={name}"]).method for name in others)]
    if stage != "pipeline":
        return []
    if any(override.split("=")[0] == "method" for override in overrides):
        return [cfg.method]
    if not cfg.dataset.methods:
        raise ConfigError(
            ["dataset.methods: empty; name the methods to compare, or one by method=…"]
        )
    names = dict.fromkeys(cfg.dataset.methods)
    return [compose([*overrides, f"method={name}"]).method for name in names]
