"""What an export is made from."""

from pathlib import Path

from prereq.artifacts.spec import Artifact, Spec
from prereq.config import KnowledgeSource
from prereq.config.identity import safe
from prereq.model.numerics import dtype_of
from prereq.stages.specs.experiment import Specs

EDITION = 1  # of what is written beside the weights: raised when the same inputs give other files


def export(specs: Specs, form: str) -> Spec:
    """The skill of the method, in the weights or as an adapter. `form`: merged | adapter."""
    config = specs.config
    content = {
        "base": specs.base,
        "skill": specs.skill,
        "knowledge": [specs.knowledge(source) for source in merged(specs)],
        "epoch": config.epoch,
        "format": form,
        "dtype": dtype_of(config.model),
        "prompt": config.dataset.prompt,
        "edition": EDITION,
    }
    if config.epoch == "best":  # by the answers to the split that selects
        content["chosen by"] = specs.generations
    method = config.method.name
    name = safe(Path(specs.skill.path).name) if isinstance(specs.skill, Artifact) else method
    labels = {"method": method, "seed": config.seed}
    data, model = config.dataset.name, config.model.name
    return Spec(specs.root, data, model, "export", f"{name}-{form}", content, labels)


def merged(specs: Specs) -> list[KnowledgeSource]:
    """The knowledge that is added to the weights beside the skill: `knowledge=[NAME, …]`."""
    wanted = specs.config.knowledge or ()
    return [source for source in specs.config.dataset.knowledge if source.name in wanted]
