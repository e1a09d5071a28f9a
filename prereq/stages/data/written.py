"""The data set of an experiment: given as a folder or Hub id, or made here of a user's rows or from the seed.

No model is needed for it, so base models can be trained on it. Those that a model may word are in `sets`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.data import custom
from prereq.stages.specs import Specs
from prereq.synth.wording import state


def data_set(specs: Specs) -> Artifact:
    """The data set, which is there."""
    if isinstance(specs.data, Artifact):
        return specs.data
    return store.obtain(specs.data, specs.settings.config, partial(write, specs))


def write(specs: Specs, folder: Path) -> dict[str, Any] | None:
    """The rows of a data set that is made here, in the published layout; what its manifest says of it."""
    config, data = specs.config, specs.config.dataset
    if data.source == "custom":
        return custom.write(folder, data, config.seed, state)
    if data.task == "unsure":
        from prereq.world import unsure

        unsure.write(folder, data.world, data.unsure, config.seed)
    elif data.source == "world":
        from prereq.world import build

        build.write(folder, data.world, data.task, config.seed)
    else:
        from prereq.world import cities

        cities.write(folder, data.cities, config.seed)
    return None
