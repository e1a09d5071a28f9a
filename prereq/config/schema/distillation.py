"""What a knowledge LoRA learns from: the next token of its texts, or a teacher that reads about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prereq.config.shape import one_of

if TYPE_CHECKING:
    from prereq.config.schema import Config

NEXT_TOKEN, DISTILLATION = "next_token", "distillation"
OBJECTIVES = (NEXT_TOKEN, DISTILLATION)


@dataclass
class Distillation:
    """With `dataset.knowledge_objective=distillation`: see `prereq.training.distillation`."""

    weight: float = 1.0  # of the teacher in the loss; the next token has the rest
    context: int = 256  # tokens of other texts of the subject that the teacher reads, at most


def problems(config: Config) -> list[str]:
    """What is wrong with the objective of the knowledge LoRAs, one line each."""
    data = config.dataset
    key = f"dataset.knowledge_objective={data.knowledge_objective}"
    found = one_of("dataset.knowledge_objective", data.knowledge_objective, OBJECTIVES)
    if found:
        return found
    if data.knowledge_objective == NEXT_TOKEN:
        if data.distillation != Distillation():
            found.append(
                f"dataset.distillation: there is no teacher with {key}; set "
                "dataset.knowledge_objective=distillation, or leave it out"
            )
        return found
    for i, source in enumerate(data.knowledge):
        if source.repeats != 1:
            found.append(
                f"dataset.knowledge.{i}.repeats={source.repeats}: with {key} a text that stands there twice "
                "would be read by the teacher that teaches it; leave repeats out and raise epochs"
            )
    return found
