"""What is asked of the base model, and which methods go by its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prereq.artifacts.spec import Spec
from prereq.config import Config
from prereq.config.schema import probe as settings
from prereq.config.schema.probe import unfit
from prereq.data.sources import read_skill
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
    if not uses(specs):
        return []
    return [probe(specs, *split) for split in choices.modelled_on(specs.config)]


def uses(specs: Specs) -> bool:
    """Whether what the method learns depends on the base's answers."""
    method = specs.config.method
    by_default = method.trains and method.real and method.asks_known and method.known_by is None
    return method.probes or (by_default and not says_known(specs))


def says_known(specs: Specs) -> bool:
    """Whether the data says of its real training rows what the base knows (column `known`)."""
    if specs.config.dataset.source != "hub":
        return specs.config.dataset.source in ("world", "cities")
    try:
        rows = [
            row
            for subset, split in choices.modelled_on(specs.config)
            for row in read_skill(specs.folder(subset), subset, split)
        ]
    except PrereqError:  # which the check of all rows will tell, with every other problem
        return True
    return any(row.known is not None for row in rows if not row.fictitious)


def rows(specs: Specs) -> dict[str, Any]:
    """What determines the rows that a method learns from, and what each of them counts."""
    method = specs.config.method
    found = {key: getattr(method, key) for key in ROWS}
    found |= {"entities": specs.config.dataset.fictitious_entities}
    found |= {k: getattr(method, k) for k, usual in LEARNT.items() if getattr(method, k) != usual}
    if probes := training(specs):
        found |= {"probe": probes, "known_from": specs.config.probe.known_from}
    return found
