"""The runs of stage=pipeline: each method it compares and, for figure 4, each at several sizes of data."""

from dataclasses import replace

from prereq.artifacts.spec import Spec
from prereq.config import Config
from prereq.config.schema.experiment import sizes
from prereq.config.schema.judge import judges
from prereq.stages.specs import judged
from prereq.stages.specs.experiment import Specs, of_method


def compared(config: Config) -> list[Specs]:
    """All runs, those on all of the data first. A method without fictitious rows has one size."""
    return [
        of_method(_of_size(config, size), method)
        for size in sizes(config)
        for method in config.compare
        if size is None or method.fictitious
    ]


def results(specs: Specs) -> list[Spec]:
    """What a run makes in the end: its scores, and a judge's where the experiment asks for them."""
    return [specs.scores, *([judged.judged(specs)] if judges(specs.config) else [])]


def _of_size(config: Config, size: int | None) -> Config:
    if size is None:
        return config
    return replace(config, dataset=replace(config.dataset, fictitious_entities=size))
