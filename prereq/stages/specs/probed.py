"""What is asked of the base model, and which methods go by its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prereq.artifacts.spec import Spec
from prereq.config import Config
from prereq.config.schema import probe as settings
from prereq.config.schema.method import asks_base
from prereq.config.schema.probe import unfit
from prereq.errors import PrereqError
from prereq.stages.specs import choices

if TYPE_CHECKING:
    from prereq.stages.specs.experiment import Specs

FILE = "probe.jsonl"  # a line a real row
EDITION = 1  # of the way of asking: raised when the same settings give other prompts or shares
ROWS = ("fictitious", "real", "known_only", "popular")  # what a method says of its rows
# What it may say beside these; part of a key only where it is said.
LEARNT = {"gate": None, "known_last": 0.0, "own_answers": 0.0}


def splits(config: Config) -> list[tuple[str, str]]:
    """The (subset, split) pairs that stage=probe asks: training rows, then tests of real facts."""
    tests = [] if config.eval.scoring == "long_form" else choices.tests(config)
    asked = [(t.subset, t.split) for t in tests if not t.plug_in and t.role != "fictitious"]
    return list(dict.fromkeys([*choices.modelled_on(config), *asked]))


def probe(specs: Specs, subset: str, split: str) -> Spec:
    """What the base answers to the real rows of a split. Raises where they can't be asked."""
    config, asked = specs.config, specs.config.probe
    if reasons := list(unfit(config)):
        raise PrereqError("\n".join(reasons))
    exemplars = settings.exemplars(config)
    content = {
        "base": specs.base,
        "rows": specs.rows(subset, split),
        "exemplars": exemplars,
        "prompts": settings.prompts(config),
        "samples": asked.samples,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "max_new_tokens": max_new_tokens(config),
        "edition": EDITION,
        "seed": config.seed,
    }
    content |= specs.computed() | specs.prompt() | specs.scoring()
    if exemplars:
        content["exemplars from"] = [specs.rows(*each) for each in choices.modelled_on(config)]
    labels = {"seed": config.seed, "split": f"{subset}/{split}"}
    data, model = config.dataset.name, config.model.name
    return Spec(specs.root, data, model, "probe", split, content, labels)


def max_new_tokens(config: Config) -> int:
    return config.probe.max_new_tokens or config.eval.max_new_tokens


def training(specs: Specs) -> list[Spec]:
    """The probes that the method learns by, one a split of real training rows; [] where it needs none."""
    if not asks_base(specs.config, specs.config.method):
        return []
    return [probe(specs, *split) for split in choices.modelled_on(specs.config)]


def rows(specs: Specs) -> dict[str, Any]:
    """What determines the rows that a method learns from, and what each of them counts."""
    method = specs.config.method
    found = {key: getattr(method, key) for key in ROWS}
    found |= {"entities": specs.config.dataset.fictitious_entities}
    found |= {k: getattr(method, k) for k, usual in LEARNT.items() if getattr(method, k) != usual}
    if probes := training(specs):
        found |= {"probe": probes, "known_from": specs.config.probe.known_from}
    return found
