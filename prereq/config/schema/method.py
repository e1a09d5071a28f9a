"""A method: which rows the skill is learnt from, in what order, and what stands beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from prereq.config.schema.export import EPOCHS
from prereq.config.schema.probe import unfit
from prereq.config.shape import no_twice, one_of, shown
from prereq.runtime.ranks import world_size

if TYPE_CHECKING:
    from prereq.config.schema import Config

GATES = ("hard", "soft")
KNOWN_BY = ("data", "probe")
TRAIN = ("sft", "ask", "export", "eval", "judge", "pipeline")  # stages that train a skill

# What may stand beside `dpo` in a method: names, and what reports call it.
BESIDE = ("name", "dpo", "family", "colour")
# Of `dpo`, from and up to; beyond these no value can be meant.
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
    learning_rate_factor: float = 0.3  # of the learning rate of the skill
    # The epoch of the fine-tuned skill that answers, is trained further and held to: best (by the split
    # that selects, as in evaluation) | last | its number.
    epoch: str = "best"


@dataclass
class MethodConfig:
    """Which rows a method learns the skill from, and whether knowledge LoRAs stand beside it."""

    name: str = MISSING
    trains: bool = True  # False: the base model answers as it is
    fictitious: bool = False  # use fictitious rows
    real: bool = True  # use real rows
    knowledge: bool = False  # with a knowledge LoRA active beside the skill
    known_only: bool = False  # drop real rows whose entity the base model does not know
    # Who says what the base knows: data (the column known) | probe (stage=probe). None: the dataset's.
    known_by: str | None = None
    # Known real rows on the skill alone, unknown ones beside their knowledge: hard | soft (each in
    # the measure that the probe finds it known).
    gate: str | None = None
    known_last: float = 0.0  # the share of the epochs, at the end, that see known real rows alone
    own_answers: float = 0.0  # the share of a real row's loss that the base's own answers have
    frozen: list[str] = field(default_factory=list)  # target modules that have no skill LoRA
    dpo: Dpo | None = None  # preferences between its own answers, after plain fine-tuning
    popular: bool = False  # keep the better-known half of the real rows, by the column s_pop
    forms: list[str] | None = None  # of knowledge: passage, statement; None: both
    real_weight: float | None = None  # of the skill-only loss; None: the dataset's
    # What reports take it for: plain | prerequisite | oracle. None: by known_only and knowledge.
    family: str | None = None
    colour: str | None = None  # in pictures, as #rrggbb; None: one that no other method has

    @property
    def asks_known(self) -> bool:
        """Whether it matters what the base knows."""
        return bool(self.known_only or self.gate or self.known_last)


def asks_base(config: Config, method: MethodConfig) -> bool:
    """Whether the method goes by what the base model answers."""
    by_probe = (method.known_by or config.dataset.known) == "probe"
    known = method.asks_known and (by_probe or method.gate == "soft")
    return method.trains and method.real and bool(known or method.own_answers)


def problems(config: Config) -> list[str]:
    """What does not go together in the methods of this command, one line each."""
    found = one_of("dataset.known", config.dataset.known, KNOWN_BY)
    for method in config.compare or [config.method]:
        key = f"method={method.name}"
        trains = config.stage.name in TRAIN and not config.skill
        found += [f"{key}: {problem}" for problem in _problems(config, method)]
        found += [f"{key}: {problem}" for problem in _preference(config, method, trains)]
        if trains and asks_base(config, method):
            by = (
                "; or set dataset.known=data, where a column known says it"
                if method.asks_known
                else ""
            )
            found += [f"{key} asks the base model; {reason}{by}" for reason in unfit(config)]
    return found


def _problems(config: Config, method: MethodConfig) -> Iterator[str]:
    if method.gate is not None:
        yield from one_of("method.gate", method.gate, GATES)
        if not (method.real and method.knowledge):
            yield (
                f"method.gate={shown(method.gate)} puts unknown real rows beside their knowledge; set "
                "method.real and method.knowledge to true, or leave gate out"
            )
        elif all(source.fictitious for source in config.dataset.knowledge):
            yield (
                f"method.gate={shown(method.gate)} needs real knowledge to stand beside unknown rows, and "
                f"dataset={config.dataset.name} has none; add a source with fictitious: false to "
                "dataset.knowledge, or choose another method"
            )
    if method.known_by is not None:
        yield from one_of("method.known_by", method.known_by, KNOWN_BY)
        if not method.asks_known:
            yield (
                f"method.known_by={shown(method.known_by)}: nothing here depends on what the base knows "
                "(known_only, gate, known_last); leave it out"
            )
        if method.gate == "soft" and method.known_by == "data":
            yield (
                "method.gate=soft goes by the probe's shares, and the data says yes or no alone; set "
                "method.known_by=probe, or method.gate=hard"
            )
    for name in ("known_only", "known_last", "own_answers"):
        if getattr(method, name) and not method.real:
            yield f"method.{name}: is about real rows; set method.real=true, or leave it out"
    if method.known_only and (method.gate or method.known_last):
        other = "gate" if method.gate else "known_last"
        yield f"method.known_only leaves no unknown rows for method.{other}; set one of the two"
    if method.own_answers and method.knowledge:
        yield (
            "method.own_answers beside knowledge would train answers that the knowledge contradicts; set "
            "method.knowledge=false, or own_answers=0"
        )
    if method.own_answers and config.dataset.task == "biographies":
        yield (
            "method.own_answers needs rows that the base answers whole, and biographies are asked fact by "
            f"fact; use dataset=world_qa, or another method than {method.name}"
        )
    yield from no_twice("method.frozen", method.frozen)
    modules = config.adapter.skill.target_modules
    for name in method.frozen:
        yield from one_of("method.frozen", name, modules)
    if method.frozen and not set(modules) - set(method.frozen):
        yield "method.frozen: leaves no module to train; name fewer of adapter.skill.target_modules"


def _preference(config: Config, method: MethodConfig, trains: bool) -> Iterator[str]:
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
