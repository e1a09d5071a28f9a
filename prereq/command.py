"""One command: compose, check, dispatch to its stage.

This module imports no torch, so `--help`, `--cfg job` and every complaint about a configuration come
at once.
"""

import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template

import hydra
from hydra import version
from hydra._internal.utils import _run_hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from prereq import __version__
from prereq.config import identity
from prereq.config.build import build
from prereq.config.command_line import arguments, check, compared, recipe
from prereq.config.compose import Composer, conf_dir, register_schema
from prereq.config.files import reason
from prereq.errors import BUG, ConfigError, Failed, Preempted, explained
from prereq.runtime import ranks, signals, sweeps
from prereq.runtime.console import console, end, say
from prereq.tracking import trackio

STAGES = {
    "pretrain": "prereq.stages.pretrain",
    "data": "prereq.stages.data.show",
    "synth": "prereq.stages.data.synth",
    "probe": "prereq.stages.probe",
    "cpt": "prereq.stages.cpt",
    "sft": "prereq.stages.sft",
    "eval": "prereq.stages.eval",
    "judge": "prereq.stages.judge.run",
    "ask": "prereq.stages.ask.run",
    "export": "prereq.stages.export.run",
    "pipeline": "prereq.stages.pipeline",
    "report": "prereq.stages.report",
    "dry_run": "prereq.stages.dry_run",
}


def run(cfg: DictConfig) -> float | None:
    """One job: the composed configuration as dataclasses, checked, to the runner of its stage.

    Returns the value that a sweeper optimises: see `prereq.runtime.sweeps.outcome`.
    """
    context = HydraConfig.get()
    try:
        with sweeps.recorded() as job, signals.unaltered():

            @cache  # a pipeline's methods are composed to be run, and again as the recipe has them
            def composed(overrides: tuple[str, ...]) -> DictConfig:
                return hydra.compose(context.job.config_name, list(overrides))

            def compose(overrides: Sequence[str]) -> DictConfig:
                return composed(tuple(overrides))

            overrides = list(context.overrides.task)
            methods = compared(cfg, overrides, compose)
            config = build(cfg, methods)
            config.recipe = recipe(overrides, context.runtime.choices, methods, compose)
            job.settings = identity.settings(config)
            _set_allocator()
            if config.tracker.name == "trackio":
                trackio.choose_folder(Path(config.output_dir).resolve())
            with signals.imports():
                name = "dry_run" if config.stage.dry_run else config.stage.name
                stage = importlib.import_module(STAGES[name])
            made = stage.run(config)
            job.score, job.measure, job.artifact = sweeps.outcome(made, config.method.name)
            return job.score
    except Exception as error:
        if context.mode == RunMode.MULTIRUN:
            raise
        raise Failed from error


def _set_allocator() -> None:
    """Let torch's allocator on a GPU grow its segments, as packs differ in size; it reads this once."""
    names = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
    if sys.platform == "linux" and not any(name in os.environ for name in names):
        os.environ[names[0]] = "expandable_segments:True"


def main() -> None:
    """The command line: exits with 0, 1 (a bug, or a job that failed), 2 (bad input), 75 or 130."""
    ranks.run(_shown)


def _shown() -> None:
    """The command, with what it ends with in words."""
    sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal without our signs
    try:
        _main(sys.argv[1:])
        sys.stdout.flush()
    except Failed as failed:
        sys.exit(_explain(failed.__cause__))
    except Exception as error:
        sys.exit(_explain(error))
    except Preempted as stopped:
        if ranks.is_main():
            console.print(stopped.message, markup=False)
        raise
    except KeyboardInterrupt:
        if ranks.is_main():
            console.print("\ninterrupted: the same command goes on from the last checkpoint")
        sys.exit(signals.INTERRUPTED)
    finally:
        end()
        sweeps.show()
        signals.at_once()


def _main(words: list[str]) -> None:
    if "--version" in words:
        print(f"prereq {__version__} (Hydra {hydra.__version__})")
        return
    register_schema()
    ranks.join()
    # Hydra would print a shortened traceback of its own; errors are ours to present.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    version.setbase("1.3")
    args, parser = arguments(words)
    if args.help:
        print(_help(Composer("config", args.config_dir)))
        return
    if not (args.hydra_help or args.shell_completion or args.info):
        args.overrides, folder, stage = check(args)
        if not args.cfg:
            _make(folder)
            # That takes seconds. A report needs none, and the jobs of a sweep may run elsewhere.
            if stage not in (None, "report"):
                say("loading", "PyTorch")
    signals.unwind()
    try:
        with signals.unaltered():
            _run_hydra(args, parser, run, str(conf_dir()), "config")
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([reason(error)]) from None
    if any(job.state in ("failed", "lost") for job in sweeps.jobs_here()):
        sys.exit(1)  # a sweeper may go on after a failure


def _help(composer: Composer) -> str:
    """The help of conf/config.yaml; what there is to choose from is read off the folders."""
    text = OmegaConf.load(conf_dir() / "config.yaml").hydra.help.template
    groups = sorted(group for group in composer.groups if not group.startswith("hydra"))
    lines = [f"{group}: {', '.join(composer.options(group))}" for group in groups]
    return Template(text).substitute(APP_CONFIG_GROUPS="\n".join(lines) + "\n")


def _make(folder: str) -> None:
    """Make the output folder, and a file in it for a moment: before anything else is made."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            [
                f"output_dir={folder}: cannot be written ({error.strerror}); choose a folder of your own"
            ]
        ) from None


def _explain(error: BaseException) -> int:
    """Print what went wrong, a bug with its traceback; the exit code."""
    if isinstance(error, sweeps.JobFailed):  # shown where it happened, and in the table
        return 1
    if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as shells have it: 128 and SIGPIPE
    message = explained(error)
    if message is None:
        traceback.print_exception(error)
        console.print(f"[bold red]error[/bold red] {BUG.format(__version__)}")
        return 1
    if ranks.is_main():
        console.print("[bold red]error[/bold red]", end=" ")
        console.print(message, markup=False)
    return 2
