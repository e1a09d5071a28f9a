"""What the base model knows: how `stage=probe` asks it, and where it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prereq.config.shape import one_of

if TYPE_CHECKING:
    from prereq.config.schema import Config, MethodConfig

SOURCES = ("data", "probe")  # of what is known
GATES = ("hard", "soft")
TRAINING = ("sft", "ask", "eval", "judge", "export", "pipeline")  # stages that may train a skill


@dataclass
class Probe:
    """How the base is asked (Gekhman et al. 2024, section 3): see `prereq.evaluation.familiarity`."""

    sets: int = (
        4  # of exemplars; each asks every question once greedily and `samples` times by chance
    )
    # Questions with their answers before the question. None: 4; 0 for the small world's model, which
    # has read one question at a time.
    exemplars: int | None = None
    samples: int = 4
    temperature: float = 0.5  # of these
    max_new_tokens: int = 32


def by_probe(config: Config, method: MethodConfig) -> bool:
    """Whether the method has to be told what the base knows, and a probe tells it."""
    return bool(method.known_only or method.gate) and config.dataset.known == "probe"


def problems(config: Config) -> list[str]:
    """What is wrong with the keys about what is known, one line each."""
    found = one_of("dataset.known", config.dataset.known, SOURCES)
    scoring, stage = config.eval.scoring, config.stage.name
    needed = [f"stage={stage}"] if stage == "probe" else []
    for method in config.compare or [config.method]:
        key = f"method={method.name}"
        if method.gate is not None:
            found += one_of("method.gate", method.gate, GATES)
            if not (method.knowledge and method.real) or method.known_only:
                found.append(
                    f"{key}: method.gate={method.gate} chooses for each real row between its knowledge and "
                    "the skill alone; set method.real and method.knowledge, and not known_only"
                )
        if by_probe(config, method) and stage in TRAINING:
            needed.append(key)
    texts = scoring == "long_form" or (scoring == "facts" and config.dataset.task == "biographies")
    if needed and texts:
        found.append(
            f"{needed[0]}: the base is asked short questions, and dataset={config.dataset.name} "
            f"(eval.scoring={scoring}) asks for texts; ask questions (eval=qa; of the small world "
            "dataset=world_qa), or set dataset.known=data where a column known says what is known"
        )
    return found
