"""`stage=sft`: the skill LoRA, trained on the task beside frozen knowledge LoRAs.

The whole method is here, from top to bottom: which rows, which knowledge, what is trained, what is
kept. Plain fine-tuning is the same stage without knowledge LoRAs (`method=sft`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.config import Config
from prereq.errors import PrereqError
from prereq.runtime import ranks
from prereq.stages import cpt, dpo, prepare, probe
from prereq.stages.data.sets import data_sets
from prereq.stages.data.tokens import subjects
from prereq.stages.pretrain import base_model, libraries
from prereq.stages.specs import Specs, choices, missing, preferred, require
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain
from prereq.training.objectives import SKILL, Knowledge, Subject
from prereq.training.plan import Plan, skill_plan

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(config: Config) -> Artifact:
    specs = Specs(config)
    prepare.check([specs])
    return skill_adapter(specs)


def skill_adapter(specs: Specs) -> Artifact:
    """The skill LoRA of the method, found or trained; makes the knowledge LoRAs it lacks."""
    if found := store.found(specs.skill):
        return found
    config, recipe = specs.config, specs.config.dataset.skill
    lora = choices.skill_lora(config)
    if config.stage.name in ("eval", "ask", "export", "judge"):
        stage = f"stage=sft dataset={config.dataset.name} method={config.method.name}"
        require(config, specs.skill, stage)
    if config.method.dpo:
        first = preferred.fine_tuned(specs)
        if missing(first.skill):
            require(config, first.skill, f"stage=sft dataset={config.dataset.name} method=sft")
        return dpo.skill_adapter(specs, skill_adapter(first))

    # The prerequisites: rows, base model, and the knowledge that the rows need.
    data = data_sets(specs, [subset for subset, _ in choices.skill_splits(config)])
    base, sources = base_model(specs), choices.beside(config)
    asked = probe.probes(specs)
    made = cpt.knowledge_adapters(specs, sources)
    knowledge = {s.name: artifact for s, artifact in zip(sources, made, strict=True)}

    def make(folder: Path, tracker: Tracker) -> dict:
        libraries()  # here, because what is found needs none of it
        from prereq.model import adapters
        from prereq.model.loading import load_model, load_tokenizer
        from prereq.training.loop import Run, train

        training = choices.skill_training(config)
        plan, counts = planned(specs, load_tokenizer(base.path, config.model))
        model = load_model(base.path, config.model, config.stage.engine, ranks.device())
        frozen = {name: artifact.path for name, artifact in knowledge.items()}
        model = adapters.attach(model, SKILL, lora, base.path, frozen, config.seed)
        dropout = {SKILL: lora.dropout}
        if config.adapter.frozen_dropout:
            dropout |= dict.fromkeys(frozen, config.adapter.knowledge.dropout)

        def keep(epoch: int) -> None:
            if recipe.keep_epochs:
                adapters.save(model, SKILL, folder / "epochs" / f"{epoch:03d}", lora.dropout)

        label = f"skill {config.method.name}"
        settings = Run.of(config.stage, config.seed, label, training, folder, tracker)
        summary = train(model, plan, settings, dropout, keep)
        adapters.save(model, SKILL, folder, lora.dropout)
        return {"summary": summary | counts}

    uses = [*data, base, *asked, *knowledge.values()]
    return obtain(specs.skill, specs.settings, make, uses, collective=True)


def planned(specs: Specs, tokenizer: PreTrainedTokenizerBase) -> tuple[Plan, dict[str, Any]]:
    """The objective of the method: which rows make up each step, the adapters on each, their weights."""
    config, recipe = specs.config, specs.config.dataset.skill
    training = choices.skill_training(config)
    learnt, counts = subjects(specs, tokenizer)
    last = known_last(specs, learnt)
    plan = skill_plan(
        learnt,
        [Knowledge(s.name, s.form, s.fictitious, s.version) for s in choices.beside(config)],
        batch_size=training.batch_size,
        draw_group=choices.draw_group(config),
        epochs=training.epochs,
        seed=config.seed,
        alternate=recipe.alternate,
        real_weight=choices.real_weight(config),
        gate=config.method.gate is not None,
        last=last,
        last_epochs=max(1, round(config.method.known_last * training.epochs)) if last else 0,
    )
    return plan, counts


def known_last(specs: Specs, learnt: list[Subject]) -> list[Subject]:
    """The real subjects that the base knows, which the last epochs see alone; [] where none do so."""
    method = specs.config.method
    if not method.known_last:
        return []
    real = [subject for subject in learnt if not subject.fictitious]
    known = [subject for subject in real if subject.known >= specs.config.probe.known_from]
    if not known:
        raise PrereqError(
            f"method={method.name}: the base model knows none of {len(real)} real rows, so the last epochs "
            "would have no row; set method.known_last=0, or probe.known_from to less than "
            f"{specs.config.probe.known_from}"
        )
    return known
