"""A skill by DPO (`method.dpo`): the fine-tuned skill that it goes on from, and its pairs of answers."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from prereq.artifacts.spec import Spec
from prereq.config import MethodConfig, Training, identity, with_method
from prereq.config.schema.method import Dpo
from prereq.stages.specs import choices

if TYPE_CHECKING:
    from prereq.stages.specs.experiment import Specs

EDITION = 1  # raised when the same settings give other pairs, or another skill by the same pairs
FIRST = MethodConfig(name="sft", family="plain")
# What the sampled answers and the pairs made of them follow from, and what training does.
SAMPLING = ("samples", "temperature", "top_p", "pairs")


def fine_tuned(specs: Specs) -> Specs:
    """The experiment of `method=sft`, whose skill is the beginning and the reference."""
    config = with_method(specs.config, FIRST)
    if config.recipe is not None:  # what its settings are said to differ from
        methods = config.recipe["methods"] | {FIRST.name: asdict(FIRST)}
        config = replace(config, recipe=config.recipe | {"methods": methods})
    first = type(specs)(config)
    first.lent = specs.lent
    return first


def pairs(specs: Specs) -> Spec:
    """Pairs of the fine-tuned skill's own answers to the real training rows."""
    config, asked = specs.config, _dpo(specs)
    content: dict[str, Any] = {name: getattr(asked, name) for name in SAMPLING}
    content |= _begins(specs) | {
        "rows": [specs.rows(*split) for split in choices.skill_splits(config)],
        "max_new_tokens": config.eval.max_new_tokens,
        "edition": EDITION,
        "seed": config.seed,
    }
    content |= specs.computed() | specs.prompt() | specs.scoring()
    return _spec(specs, "pairs", content, {"method": config.method.name, "seed": config.seed})


def skill(specs: Specs) -> Spec:
    """The skill LoRA that DPO makes of the fine-tuned one."""
    config = specs.config
    content = _begins(specs) | {
        "pairs": pairs(specs),
        "beta": _dpo(specs).beta,
        "training": training(specs),
        "tokens_per_forward": config.stage.tokens_per_forward,
        "keep_epochs": config.dataset.skill.keep_epochs,
        "edition": EDITION,
        "seed": config.seed,
    }
    content |= specs.computed() | specs.prompt()
    labels = {"method": config.method.name, "seed": config.seed}
    return _spec(specs, "skill", content, labels | {"changes": identity.changes(config)})


def training(specs: Specs) -> Training:
    """How DPO trains: as the skill is trained, but for what `method.dpo` says."""
    usual, asked = choices.skill_training(specs.config), _dpo(specs)
    return replace(
        usual,
        epochs=asked.epochs,
        batch_size=asked.batch_size or usual.batch_size,
        learning_rate=usual.learning_rate * asked.learning_rate_factor,
        max_length=None,  # a pair is as long as its prompt and answers are
    )


def selects(specs: Specs) -> bool:
    """Whether the epoch that DPO begins at follows from the fine-tuned skill's answers to a test."""
    data = specs.config.dataset
    several = data.skill.keep_epochs and any(test.role == "selection" for test in data.tests)
    return _dpo(specs).epoch == "best" and several


def _begins(specs: Specs) -> dict[str, Any]:
    """What answers, and is trained further."""
    first, asked = fine_tuned(specs), _dpo(specs)
    found = {"base": specs.base, "skill": first.skill}
    if selects(specs):
        return found | {"epoch": first.generations}
    return found | ({"epoch": int(asked.epoch)} if asked.epoch.isdigit() else {})


def _dpo(specs: Specs) -> Dpo:
    asked = specs.config.method.dpo
    assert asked is not None
    return asked


def _spec(specs: Specs, kind: str, content: dict[str, Any], labels: dict[str, Any]) -> Spec:
    config = specs.config
    name = config.method.name
    return Spec(specs.root, config.dataset.name, config.model.name, kind, name, content, labels)
