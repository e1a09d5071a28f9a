"""Hydra finds the launcher of `hydra/launcher=slurm` here, where `prereq[slurm]` is installed.

The underscore of `_launcher` keeps Hydra from importing it by itself where it is not.
"""

from importlib.util import find_spec

if find_spec("hydra_plugins.hydra_submitit_launcher"):
    from hydra_plugins.prereq_slurm._launcher import PrereqSlurmLauncher

    __all__ = ["PrereqSlurmLauncher"]
