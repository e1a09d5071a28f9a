"""`tracker=…`: where runs are shown, besides each artifact's own `metrics.jsonl`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from prereq.config.shape import one_of

if TYPE_CHECKING:
    from prereq.config.schema import Config


@dataclass
class TrackerConfig:
    name: str = "none"  # none | wandb | offline | trackio
    project: str = "prereq"
    entity: str | None = None
    group: str | None = None  # None: the dataset's and the model's name
    upload: bool = True  # adapters, answers and scores whole; False: their manifests alone


def problems(config: Config) -> list[str]:
    """What is wrong with the tracker's keys, one line each."""
    tracker = config.tracker
    found = one_of("tracker.name", tracker.name, ("none", "wandb", "offline", "trackio"))
    if tracker.name != "trackio":
        return found
    if find_spec("trackio") is None:
        found.append("tracker=trackio needs the package trackio: pip install 'prereq[trackio]'")
    if tracker.entity is not None:
        found.append(
            f"tracker.entity={tracker.entity}: Trackio keeps runs on this disk, where nobody owns them; "
            "leave it out, or use tracker=wandb"
        )
    if not tracker.upload:
        found.append("tracker.upload=false: tracker=trackio uploads nothing; leave it out")
    return found
