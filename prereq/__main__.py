"""The single entry point: compose → validate → dispatch.

`python -m prereq stage=S dataset=D …`. This module imports no torch, so `--help`, `--cfg job` and
every complaint about a configuration come back at once.
"""

import importlib
import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from prereq import ranks, sweeps
from prereq.command_line import check, conf_dir, register_schema
from prereq.config import Config
from prereq.console import console
from prereq.errors import ConfigError, Preempted, PrereqError
from prereq.stopping import handle, stop
from prereq.validate import problems

STAGES = {
    "pretrain": "prereq.stages.pretrain",
    "cpt": "prereq.stages.cpt",
    "sft": "prereq.stages.sft",
    "eval": "prereq.stages.eval",
    "pipeline": "prereq.stages.pipeline",
    "report": "prereq.stages.report",
}


def run(cfg: DictConfig) -> float | None:
    """One job: the composed configuration as dataclasses, checked, to the runner of its stage.

    Returns the value that a sweeper optimises: see `prereq.sweeps.outcome`.
    """
    with sweeps.recorded() as job:
        config: Config = OmegaConf.to_object(cfg)
        if config.stage.name == "pipeline":
            config.compare = _compared(config)
        found = problems(config)
        if found:
            raise ConfigError(found)
        made = importlib.import_module(STAGES[config.stage.name]).run(config)
        job.score, job.measure, job.artifact = sweeps.outcome(made, config.method.name)
        return job.score


def _compared(config: Config) -> list:
    """The methods that a pipeline runs: the one asked for, else those the dataset compares."""
    overrides = list(HydraConfig.get().overrides.task)
    if any(override.split("=")[0] == "method" for override in overrides):
        return [config.method]
    compose = hydra.compose
    return [
        OmegaConf.to_object(compose("config", [*overrides, f"method={name}"])).method
        for name in config.dataset.methods
    ]


def main() -> None:
    register_schema()
    ranks.join()
    # Hydra would print a shortened traceback of its own; errors are ours to present.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    handle(stop)

    try:
        check(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(run)()
        ranks.leave()
        if any(job.state in ("failed", "lost") for job in sweeps.jobs_here()):
            sys.exit(1)  # a sweeper may go on after a failure
    except sweeps.JobFailed:  # told where it happened, and in the table
        sys.exit(1)
    except (PrereqError, HydraException) as error:
        if ranks.first():
            console.print(f"[bold red]error[/bold red] {type(error).__name__}", highlight=False)
            console.print(str(error), markup=False)
        sys.exit(2)
    except Preempted as stopped:
        if ranks.first():
            console.print(stopped.message, markup=False)
        ranks.leave()
        raise
    except KeyboardInterrupt:
        console.print("\ninterrupted: the same command goes on from the last checkpoint")
        sys.exit(130)
    finally:
        sweeps.show()


if __name__ == "__main__":
    main()
