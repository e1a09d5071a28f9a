"""`stage=probe`: how the base model is asked what it knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prereq.config.schema import Config

# How well a row is known, from best to worst (Gekhman et al. 2024, table 2).
CATEGORIES = ("highly known", "maybe known", "weakly known", "unknown")
EXEMPLARS, PROMPTS = 4, 4  # Gekhman et al. (2024) have 4, in 10 prompts with 16 samples of each


@dataclass
class Probe:
    """Sampled few-shot answers, as in Gekhman et al. (2024)."""

    # Worked examples in a prompt. None: 4; in the embedded world 0, as its model never saw any.
    exemplars: int | None = None
    # Prompts of a row, each with exemplars of its own. None: 4, without exemplars 1, and in the
    # embedded world every wording of a fact.
    prompts: int | None = None
    samples: int = 8  # answers drawn of each prompt, besides the likeliest one
    temperature: float = 0.5
    top_p: float = 1.0
    max_new_tokens: int | None = None  # of an answer; None: the evaluation's
    known_from: float = 0.5  # a row is known where this share of its sampled answers is right


def exemplars(config: Config) -> int:
    """How many worked examples a prompt has."""
    asked = config.probe.exemplars
    return (0 if config.dataset.source == "world" else EXEMPLARS) if asked is None else asked


def prompts(config: Config) -> int:
    """How many prompts a fact is asked by."""
    most = config.dataset.world.wordings if config.dataset.source == "world" else 1
    return config.probe.prompts or (PROMPTS if exemplars(config) else most)


def problems(config: Config) -> list[str]:
    """What is wrong with the keys of stage=probe, one line each."""
    return list(unfit(config)) if config.stage.name == "probe" else []


def unfit(config: Config) -> Iterator[str]:
    """Why what the base knows cannot be found out by asking for these rows."""
    data, shots = config.dataset, exemplars(config)
    world = data.source == "world"
    if config.eval.scoring == "long_form":
        yield (
            f"dataset={data.name} eval={config.eval.name}: an answer of long form is not right or wrong by "
            "itself; ask by a data set of questions with eval=qa, for example dataset=popqa"
        )
    if world and shots and (data.task == "biographies" or config.model.source == "tiny"):
        reason = (
            "a biography is asked fact by fact, by sentences to complete"
            if data.task == "biographies"
            else "the tiny model has never seen a few-shot prompt, so its answers would say nothing"
        )
        yield f"probe.exemplars={shots}: {reason}; set probe.exemplars=0"
    most = data.world.wordings if world else 1
    if not shots and prompts(config) > most:
        why = (
            "in so many wordings the world states a fact"
            if world
            else "without exemplars all are alike"
        )
        yield f"probe.prompts={prompts(config)}: must be at most {most}, {why}; leave it out"
