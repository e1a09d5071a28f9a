"""Data sets: given as a folder or Hub id, made here of a user's rows or from the seed, or invented."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.data import custom
from prereq.stages.data import synth
from prereq.stages.specs import Specs


def data_sets(specs: Specs, subsets: Iterable[str]) -> list[Artifact]:
    """What holds these subsets, each once. Whatever is made here is made now."""
    places = {place.path: place for place in map(specs.place, subsets)}
    return [obtained(specs, place) for place in places.values()]


def obtained(specs: Specs, place: Spec | Artifact) -> Artifact:
    """A data set that is there."""
    if isinstance(place, Artifact):
        return place
    return store.obtain(place, specs.settings.config, partial(write, specs, place))


def write(specs: Specs, place: Spec, folder: Path) -> dict[str, Any] | None:
    """The rows of a data set that is made here, in the published layout; what its manifest says of it."""
    config, data = specs.config, specs.config.dataset
    if place.kind == "synth":
        if data.source != "custom":  # whose rows are read from the user's file
            data_sets(specs, [data.skill.subset or ""])
        return synth.write(specs, folder)
    if data.source == "custom":
        return custom.write(folder, data, config.seed, synth.state)
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
