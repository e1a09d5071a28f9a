"""How something is trained, and which value wins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from prereq.config.shape import one_of

if TYPE_CHECKING:
    from prereq.config.schema import Config

STARTS = ("scratch", "model")
NEXT_TOKEN, DISTILLATION = "next_token", "distillation"
OBJECTIVES = (NEXT_TOKEN, DISTILLATION)


@dataclass
class Training:
    """How a model or adapter is trained; `None` leaves the value to the layer below (see `layer`)."""

    epochs: int | None = None
    batch_size: int | None = None  # sequences (of a skill: subjects) an optimizer step, global
    learning_rate: float | None = None  # peak; cosine to zero
    weight_decay: float | None = None
    beta2: float | None = None  # AdamW
    warmup: float | None = None  # share of all steps
    max_length: int | None = None  # tokens a row at most; None everywhere: what the longest row has


@dataclass
class Pretrain(Training):
    """How a model is trained on the embedded world's text."""

    start: str = "scratch"  # scratch (the tiny model) | model (go on training what `model` names)
    r: int | None = None  # with start=model: a LoRA of this rank, merged; None: all weights train


@dataclass
class Distillation:
    """With `dataset.knowledge_objective=distillation`: see `prereq.training.distillation`."""

    weight: float = 1.0  # of the teacher in the loss; the next token has the rest
    context: int = 256  # tokens of other texts of the subject that the teacher reads, at most


def layer(base: Training, *changes: Training) -> Training:
    """`base` with every value that a later layer sets; the last layer that sets one wins."""
    values = {f.name: getattr(base, f.name) for f in fields(Training)}
    for change in changes:
        values |= {k: getattr(change, k) for k in values if getattr(change, k) is not None}
    return Training(**values)


def problems(config: Config) -> list[str]:
    """What is wrong with how models and knowledge LoRAs are trained, one line each."""
    start = one_of("dataset.pretrain.start", config.dataset.pretrain.start, STARTS)
    return [*(start or _fit(config)), *_objective(config)]


def _fit(config: Config) -> Iterator[str]:
    """The world's text and the model: trained from scratch, or trained further."""
    data, model, how = config.dataset, config.model, config.dataset.pretrain
    further, tiny = how.start == "model", model.source == "tiny"
    if data.source != "world":
        if further or how.r is not None:
            yield (
                f"dataset.pretrain: only the embedded world has text to go on training {model.name} on, not "
                f"dataset={data.name}; leave start and r out"
            )
        return
    if tiny and further:
        yield (
            f"dataset.pretrain.start=model: model={model.name} has no weights to start from; choose another "
            "model, for example model=smollm2_135m, or start=scratch"
        )
    elif not tiny and not further and config.stage.name not in ("report", "data"):
        real = "world_smollm2_qa" if data.task == "questions" else "world_smollm2"
        yield (
            f"dataset={data.name} model={model.name}: this recipe trains the tiny model from scratch, and "
            f"{model.name} has never read of the world; use dataset={real} model={model.name}, which "
            "goes on training the model on the world's text"
        )
    elif not further and how.r is not None:
        yield (
            f"dataset.pretrain.r={how.r}: a model trained from scratch trains all of its weights; leave it "
            "out, or go on training another model with dataset.pretrain.start=model"
        )
    if further and model.quantize:
        yield (
            f"model.quantize={model.quantize}: the world's text becomes part of the weights, which "
            "take no update in 4 or 8 bits; leave it out"
        )


def _objective(config: Config) -> list[str]:
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
