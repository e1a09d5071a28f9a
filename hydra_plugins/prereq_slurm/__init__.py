"""Hydra finds the launcher of `hydra/launcher=slurm` here, where `prereq[slurm]` is installed."""

from importlib.util import find_spec

if find_spec("hydra_plugins.hydra_submitit_launcher"):
    from hydra_plugins.prereq_slurm.launcher import PrereqSlurmLauncher

    __all__ = ["PrereqSlurmLauncher"]
