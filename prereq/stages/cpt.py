"""`stage=cpt`: the prerequisite stage, one knowledge LoRA for each knowledge source.

Plain next-token training on the text of the source, the base model frozen. A source of the data
set's recipe says what the text is (form, fictitious or real, version); its name means nothing.
"""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prereq import ranks, track
from prereq.artifacts import store
from prereq.artifacts.spec import Artifact, Spec
from prereq.config import Config, KnowledgeSource, Training
from prereq.data.sources import read_text
from prereq.data.tokens import text_rows
from prereq.errors import PrereqError
from prereq.model import adapters
from prereq.model.loading import load_model, load_tokenizer
from prereq.model.precision import dtype_of
from prereq.stages import inputs
from prereq.training.loop import Part, Run, device, train
from prereq.training.plan import text_plan, together


def run(config: Config) -> list[Artifact]:
    """Every source of the recipe, or those named by `knowledge=[…]`."""
    chosen = [s for s in config.dataset.knowledge if s.name in (config.knowledge or [s.name])]
    if not chosen:
        raise PrereqError(
            f"dataset={config.dataset.name} has no knowledge sources; stage=cpt needs one"
        )
    return knowledge_adapters(config, chosen)


def knowledge_adapters(config: Config, sources: Sequence[KnowledgeSource]) -> list[Artifact]:
    """The knowledge LoRA of each source, found or trained: one by one, or in one pass over the base."""
    specs = {source.name: _spec(config, source) for source in sources}
    if config.stage.name != "cpt":
        for source in sources:
            command = f"python -m prereq stage=cpt dataset={config.dataset.name} knowledge=[{source.name}]"
            inputs.require_or_make(config, specs[source.name], command)

    groups = [sources] if config.stage.together else [[source] for source in sources]
    uses = [inputs.data_set(config), inputs.base_model(config)]
    make = partial(_train, config)
    jobs = [
        partial(track.obtain_all, [specs[s.name] for s in group], config, make, uses, True)
        for group in groups
    ]
    # Jobs side by side each begin with another one.
    return [artifact for group in store.in_any_order(jobs) for artifact in group]


def _spec(config: Config, source: KnowledgeSource) -> Spec:
    data = inputs.data_set(config)
    content = {
        "base": inputs.base_model(config).reference,
        "data": inputs.rows_reference(data, source.subset, source.split),
        "training": _training(config, source),
        "lora": config.adapter.knowledge,
        "dtype": dtype_of(config.model),
        "seed": config.seed,
    }
    labels = {"seed": config.seed, "form": source.form, "fictitious": source.fictitious}
    labels["version"] = source.version
    return inputs.spec(config, "knowledge", source.name, content, labels)


def _training(config: Config, source: KnowledgeSource) -> Training:
    return inputs.training(config, config.dataset.knowledge_training, "cpt", source=source.training)


def _train(config: Config, missing: dict[Spec, Path], tracker: track.Tracker) -> list[dict]:
    """Train one adapter a source on its own rows, each with its own schedule; a summary of each.

    Every row's route names one adapter, and gradients are clipped for each, so that training several
    together is what training them one by one would have been.
    """
    data, base = inputs.data_set(config), inputs.base_model(config)
    tokenizer = load_tokenizer(base.path, config.model)
    folders = {spec.name: folder for spec, folder in missing.items()}
    sources = {source.name: source for source in config.dataset.knowledge}
    plans, parts, counts = {}, [], {}
    for source in map(sources.get, folders):
        training = _training(config, source)
        text = read_text(data.path, source.subset, source.split)
        rows = text_rows(tokenizer, text, training.max_length)
        plan = text_plan(
            rows, training.batch_size, training.epochs, config.seed, route=(source.name,)
        )
        plans[source.name], counts[source.name] = plan, len(rows)
        parts.append(Part(source.name, training, plan.steps))

    lora = config.adapter.knowledge
    model = load_model(base.path, config.model, config.stage.engine, device())
    model = adapters.attach(model, list(plans), lora, base.path, {}, config.seed)
    first = next(iter(plans))
    plan = plans[first] if len(plans) == 1 else together(plans)
    label = f"knowledge {', '.join(plans)}"
    settings = Run.of(config, label, parts[0].training, folders[first], tracker)
    summary = train(model, plan, settings, dict.fromkeys(plans, lora.dropout), parts=parts)
    for name, folder in folders.items():
        adapters.save(model, name, folder, lora.dropout)
        if name != first and ranks.first():
            shutil.copy(folders[first] / "metrics.jsonl", folder)
    beside = {"together": list(plans)} if len(plans) > 1 else {}
    return [{"summary": summary | beside | {"rows": counts[name]}} for name in plans]
