"""What `stage=ask` needs: who answers, and the adapters that they answer with."""

from dataclasses import replace

from prereq.artifacts.spec import Artifact, Spec
from prereq.config import Config
from prereq.stages.specs import choices
from prereq.stages.specs.experiment import Specs, of_method


def asked(config: Config) -> list[Specs]:
    """Who answers: the command's own skill (of its method, or given by hand), then the other methods."""
    others = config.compare if config.skill else config.compare[1:]
    plain = replace(config, skill=None, knowledge=[])  # which is plugged in beside the own skill
    return [Specs(config), *(of_method(plain, method) for method in others)]


def answering(specs: Specs) -> list[Spec | Artifact]:
    """What one of them answers with: base model and skill; of the command's own also the knowledge."""
    found = [specs.base, *([specs.skill] if specs.skill else [])]
    return found + [specs.knowledge(source) for source in choices.plugged(specs.config)]
