"""Data sets that a stage reads: the experiment's own, and fictitious ones made of its rows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.stages.data import invented, written
from prereq.stages.specs import Specs


def data_sets(specs: Specs, subsets: Iterable[str]) -> list[Artifact]:
    """What holds these subsets, each once. Whatever is made here is made now."""
    places = {place.path: place for place in map(specs.place, subsets)}
    return [obtained(specs, place) for place in places.values()]


def obtained(specs: Specs, place: Spec | Artifact) -> Artifact:
    """A data set that is there."""
    if isinstance(place, Artifact) or place.kind != "synth":
        return written.data_set(specs)
    return store.obtain(place, specs.settings.config, partial(write, specs, place))


def write(specs: Specs, place: Spec, folder: Path) -> dict[str, Any] | None:
    """The rows of a data set that is made here, in the published layout; what its manifest says of it."""
    if place.kind != "synth":
        return written.write(specs, folder)
    if specs.config.dataset.source != "custom":  # whose rows are read from the user's file
        written.data_set(specs)
    return invented.write(specs, folder)
