"""What is known: the specs of probes, and which a method needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prereq.artifacts.spec import Spec
from prereq.config import Config
from prereq.config.schema.probe import by_probe
from prereq.evaluation.scoring import RULES
from prereq.stages.specs import choices

if TYPE_CHECKING:
    from prereq.stages.specs.experiment import Specs

Split = tuple[str, str]  # subset and split


def probe(specs: Specs, split: Split) -> Spec:
    """What the base knows of the real rows of a split. Exemplars come from the training rows."""
    config = specs.config
    content = {
        "base": specs.base,
        "rows": specs.rows(*split),
        "exemplars": [specs.rows(*other) for other in choices.modelled_on(config)],
        "probe": choices.probe(config),
        "scoring": config.eval.scoring,
        "rules": RULES,
        "prompt": config.dataset.prompt,
        "seed": config.seed,
    } | specs.computed()
    data, model = config.dataset.name, config.model.name
    return Spec(specs.root, data, model, "probe", split[1], content, {"seed": config.seed})


def needed(config: Config) -> list[Split]:
    """The splits of which the method has to be told what is known."""
    if config.skill or not by_probe(config, config.method):
        return []
    return choices.modelled_on(config)


def told(specs: Specs) -> dict[str, Any]:
    """What a skill is made from beside its rows, where what is known of them plays a part."""
    config = specs.config
    known = [probe(specs, split) for split in needed(config)]
    gate = {"gate": config.method.gate} if config.method.gate else {}
    return gate | ({"known": known} if known else {})


def asked(specs: Specs) -> list[Split]:
    """The splits that `stage=probe` asks about: real rows to train on, and those of tests."""
    config = specs.config
    tests = [(t.subset, t.split) for t in config.dataset.tests if t.role != "fictitious"]
    return list(dict.fromkeys([*choices.modelled_on(config), *tests]))
