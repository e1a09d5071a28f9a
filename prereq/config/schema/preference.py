"""`method.dpo`: preferences after plain fine-tuning, between the skill's own answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from prereq.config.schema.export import EPOCHS
from prereq.config.shape import shown
from prereq.runtime.ranks import world_size

if TYPE_CHECKING:
    from prereq.config.schema import Config
    from prereq.config.schema.method import MethodConfig

# What may stand beside `dpo` in a method: names, and what reports call it.
BESIDE = ("name", "dpo", "family", "colour")
# From, up to and including; beyond these no value can be meant.
RANGES: dict[str, tuple[float, float]] = {
    "samples": (2, 1000),
    "temperature": (0.01, 2),
    "top_p": (0.001, 1),
    "pairs": (1, 10**4),
    "beta": (1e-6, 1e3),
    "epochs": (1, 10**4),
    "batch_size": (1, 10**6),
    "learning_rate_factor": (1e-9, 1e3),
}


@dataclass
class Dpo:
    """Direct preference optimisation (Rafailov et al. 2023) on pairs as in Tian et al. (2023).

    The other training values are those of the skill's own training.
    """

    samples: int = 8  # answers drawn to each real training row
    temperature: float = 1.0
    top_p: float = 1.0
    pairs: int = 4  # of a row, at most
    beta: float = 0.1  # of the DPO loss: how strongly the fine-tuned skill holds the new one back
    epochs: int = 3  # over the pairs
    batch_size: int | None = None  # pairs an optimizer step; None: as many as the skill's subjects
    learning_rate_factor: float = 0.1  # of the learning rate of the skill
    # The epoch of the fine-tuned skill that answers, is trained further and held to: best (by the split
    # that selects, as in evaluation) | last | its number.
    epoch: str = "best"


def problems(config: Config, method: MethodConfig, trains: bool) -> Iterator[str]:
    """What does not go together with `method.dpo`; `trains`: whether the command may train a skill."""
    asked = method.dpo
    if asked is None:
        return
    for name, (low, high) in RANGES.items():
        value = getattr(asked, name)
        if value is not None and not low <= value <= high:
            yield f"method.dpo.{name}={value}: must be from {low:g} to {high:,g}"
    for name in _others(method):
        yield (
            f"method.{name} beside method.dpo: DPO goes on from plain fine-tuning (method=sft); leave "
            f"{name} out"
        )
    if not trains:
        return
    if config.eval.scoring == "long_form":
        yield (
            f"method.dpo ranks answers by the scorer, and eval={config.eval.name} has none for texts of "
            "free form; choose a data set of questions, or one with eval=facts"
        )
    recipe = config.dataset.skill
    last = config.stage.epochs or recipe.training.epochs or 1
    if asked.epoch not in EPOCHS and not re.fullmatch(r"[1-9][0-9]{0,5}", asked.epoch):
        yield f"method.dpo.epoch={shown(asked.epoch)}: must be best, last or the number of an epoch, from 1"
    elif asked.epoch.isdigit() and int(asked.epoch) > last:
        yield f"method.dpo.epoch={asked.epoch}: the skill trains for {last}; name one of them"
    elif asked.epoch.isdigit() and not recipe.keep_epochs and int(asked.epoch) < last:
        yield (
            f"method.dpo.epoch={asked.epoch}: dataset={config.dataset.name} keeps the last epoch's adapter "
            "alone; set dataset.skill.keep_epochs=true, or method.dpo.epoch=last"
        )
    if config.model.quantize:
        yield (
            f"model.quantize={config.model.quantize}: TRL would train the adapter in bfloat16, which loses "
            "small updates; leave quantize out, or choose another method"
        )
    if world_size() > 1:
        yield (
            f"method.dpo trains in one process, and {world_size()} work together here; start the command "
            "without torchrun, accelerate launch and srun -n"
        )
    if find_spec("trl") is None:
        yield "method.dpo needs TRL: pip install 'prereq[facttune]'"


def _others(method: MethodConfig) -> list[str]:
    """The fields of the method that plain fine-tuning leaves as they are."""
    plain: Any = type(method)(name=method.name)
    fields = (name for name in vars(plain) if name not in BESIDE)
    return [name for name in fields if getattr(method, name) != getattr(plain, name)]
