"""`stage=cpt`: the prerequisite stage, one knowledge LoRA for each knowledge source.

The base model is frozen. The text of the source is learnt by its next tokens, or from a teacher that has
read other texts of the subject (`dataset.knowledge_objective`). A source of the data set's recipe says
what the text is (form, fictitious or real, version); its name means nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.config import Config, KnowledgeSource
from prereq.config.schema.training import NEXT_TOKEN
from prereq.data.tokens import begun
from prereq.errors import PrereqError
from prereq.runtime import ranks
from prereq.stages import prepare
from prereq.stages.data.sets import data_sets
from prereq.stages.data.taught import by_subject
from prereq.stages.data.tokens import text
from prereq.stages.pretrain import base_model, libraries
from prereq.stages.specs import Specs, choices, require
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain_all
from prereq.training.distillation import distillation_plan
from prereq.training.plan import Plan, joint_plan, text_plan

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(config: Config) -> list[Artifact]:
    """Every source of the recipe, or those named by `knowledge=[…]`."""
    specs = Specs(config)
    if not choices.needed(specs.config):
        raise PrereqError(
            f"dataset={config.dataset.name} has no knowledge sources; stage=cpt needs one"
        )
    prepare.check([specs])
    return knowledge_adapters(specs, choices.needed(specs.config))


def knowledge_adapters(specs: Specs, sources: Sequence[KnowledgeSource]) -> list[Artifact]:
    """The knowledge LoRA of each source, found or trained: one by one, or in one pass over the base."""
    wanted = [specs.knowledge(source) for source in sources]
    found = {spec: artifact for spec in wanted if (artifact := store.found(spec))}
    missing = [s for s, spec in zip(sources, wanted, strict=True) if spec not in found]
    if missing:
        config = specs.config
        for source in missing if config.stage.name != "cpt" else ():
            stage = f"stage=cpt dataset={config.dataset.name} knowledge=[{source.name}]"
            require(config, specs.knowledge(source), stage)
        groups = [missing] if config.stage.together else [[source] for source in missing]
        base = base_model(specs)
        jobs = [
            partial(
                obtain_all,
                [specs.knowledge(source) for source in group],
                specs.settings,
                partial(_train, specs, base),
                [*data_sets(specs, [source.subset for source in group]), base],
                True,
            )
            for group in groups
        ]
        # Jobs in parallel processes each begin with another one.
        made = [artifact for group in store.in_any_order(jobs) for artifact in group]
        found |= {specs.knowledge(s): artifact for s, artifact in zip(missing, made, strict=True)}
    return [found[spec] for spec in wanted]


def _train(specs: Specs, base: Artifact, missing: dict[Spec, Path], tracker: Tracker) -> list[dict]:
    """Train one adapter a source on its own rows, each with its own schedule; a summary of each.

    Every row's route names one adapter, and gradients are clipped for each, so that training several
    together is what training them one by one would have been. Where they drop out, what is dropped
    depends on all of them: then all are trained, also those that are not missing.
    """
    libraries()  # here, because what is found needs none of it
    from prereq.model import adapters
    from prereq.model.loading import load_model, load_tokenizer
    from prereq.training.loop import Part, Run, train

    config, lora = specs.config, specs.config.adapter.knowledge
    tokenizer = load_tokenizer(base.path, config.model)
    folders = {spec.name: folder for spec, folder in missing.items()}
    sources = {source.name: source for source in config.dataset.knowledge}
    trained = [sources[name] for name in folders]
    if lora.dropout and config.stage.together:
        trained = choices.trained_jointly(specs.config, trained[0])
    plans, parts, counts = {}, [], {}
    for source in trained:
        plan, counts[source.name] = planned(specs, source, tokenizer)
        plans[source.name] = plan
        parts.append(Part(source.name, choices.knowledge_training(config, source), plan.steps))

    model = load_model(base.path, config.model, config.stage.engine, ranks.device())
    model = adapters.attach(model, list(plans), lora, base.path, {}, config.seed)
    first = next(iter(folders))
    plan = plans[first] if len(plans) == 1 else joint_plan(plans)
    label = f"knowledge {', '.join(plans)}"
    settings = Run.of(config.stage, config.seed, label, parts[0].training, folders[first], tracker)
    summary = train(model, plan, settings, dict.fromkeys(plans, lora.dropout), parts=parts)
    for name, folder in folders.items():
        adapters.save(model, name, folder, lora.dropout)
        if name != first and ranks.is_main():
            shutil.copy(folders[first] / "metrics.jsonl", folder)
    beside = {"together": list(plans)} if len(plans) > 1 else {}
    return [{"summary": summary | beside | counts[name]} for name in folders]


def planned(
    specs: Specs, source: KnowledgeSource, tokenizer: PreTrainedTokenizerBase
) -> tuple[Plan, dict[str, Any]]:
    """The steps of a knowledge LoRA, and what the manifest says of their rows."""
    training, seed = choices.knowledge_training(specs.config, source), specs.config.seed
    route, data = (source.name,), specs.config.dataset
    if data.knowledge_objective == NEXT_TOKEN:
        rows, counts = text(specs, source, tokenizer)
        return text_plan(rows, training.batch_size, training.epochs, seed, route), counts
    if ranks.sharded():
        raise PrereqError(
            "dataset.knowledge_objective=distillation: has not been tried with a model that is sharded over "
            "processes (FSDP); use DDP or one process, or dataset.knowledge_objective=next_token"
        )
    subjects, counts = by_subject(specs, source, tokenizer)
    plan = distillation_plan(
        subjects,
        begin=len(begun(tokenizer, "")),
        batch_size=training.batch_size,
        epochs=training.epochs,
        seed=seed,
        route=route,
        share=data.distillation.weight,
        context=data.distillation.context,
    )
    return plan, counts
