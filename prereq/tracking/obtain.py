"""Artifacts found or made as `artifacts.store` does it, with a run that tracks the making."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.tracking.metrics import Tracker
from prereq.tracking.settings import Settings

Make = Callable[[Path, "Tracker"], dict[str, Any] | None]
MakeAll = Callable[[dict[Spec, Path], "Tracker"], Sequence[dict[str, Any] | None]]


def obtain(
    spec: Spec,
    settings: Settings,
    make: Make,
    uses: Sequence[Artifact] = (),
    collective: bool = False,
) -> Artifact:
    """`store.obtain` with a tracker: `make(folder, tracker)`; `uses` is what the payload is made from."""

    def make_all(missing: dict[Spec, Path], tracker: Tracker) -> list[dict | None]:
        return [make(missing[spec], tracker)]

    return obtain_all([spec], settings, make_all, uses, collective)[0]


def obtain_all(
    specs: Sequence[Spec],
    settings: Settings,
    make: MakeAll,
    uses: Sequence[Artifact] = (),
    collective: bool = False,
) -> list[Artifact]:
    """`store.obtain_all` with one tracker, whose run and metrics are those of the first that is missing.

    A run starts only where something is made, and ends, published or not, before this returns.
    """
    keys: set[str] = set()
    with Tracker(settings, specs[0], uses=uses) as tracker:

        def tracked(missing: dict[Spec, Path]) -> Sequence[dict[str, Any] | None]:
            keys.update(spec.key for spec in missing)
            tracker.spec = next(iter(missing))
            tracker.start(missing[tracker.spec])
            return make(missing, tracker)

        artifacts = store.obtain_all(specs, settings.config, tracked, collective)
        for artifact in artifacts:
            if artifact.reference in keys:
                tracker.made(artifact)
    return artifacts


def report(
    settings: Settings, spec: Spec, scores: Sequence[Artifact], files: Sequence[Path]
) -> None:
    """The report's table and pictures as a run of its own, made from the scores artifacts."""
    with Tracker(settings, spec, uses=scores) as tracker:
        tracker.start()
        tracker.tell(lambda dashboard: dashboard.report(tracker.run, spec, files))
