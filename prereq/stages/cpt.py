"""`stage=cpt`: the prerequisite stage, one knowledge LoRA for each knowledge source.

Plain next-token training on the text of the source, the base model frozen. A source of the data
set's recipe says what the text is (form, fictitious or real, version); its name means nothing.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prereq import store
from prereq.config import Config, KnowledgeSource
from prereq.data.sources import read_text
from prereq.data.tokens import text_rows
from prereq.errors import PrereqError
from prereq.model import adapters
from prereq.model.loading import attention_for_training, dtype_of, load_model, load_tokenizer
from prereq.model.lora import route
from prereq.stages import inputs
from prereq.store import Artifact
from prereq.track import Tracker
from prereq.training.loop import Run, device, train
from prereq.training.plan import text_plan


def run(config: Config) -> list[Artifact]:
    """Every source of the recipe, or those named by `knowledge=[…]`."""
    chosen = [s for s in config.dataset.knowledge if s.name in (config.knowledge or [s.name])]
    if not chosen:
        raise PrereqError(
            f"dataset={config.dataset.name} has no knowledge sources; stage=cpt needs one"
        )
    return knowledge_adapters(config, chosen)


def knowledge_adapters(config: Config, sources: Sequence[KnowledgeSource]) -> list[Artifact]:
    """The knowledge LoRAs of several sources; jobs side by side each begin with another one."""
    return store.obtain_all([partial(knowledge_adapter, config, source) for source in sources])


def knowledge_adapter(config: Config, source: KnowledgeSource) -> Artifact:
    """The knowledge LoRA of one source, found or trained."""
    data = inputs.data_set(config)
    base = inputs.base_model(config)
    training = inputs.training(
        config, config.dataset.knowledge_training, "cpt", source=source.training
    )
    content = {
        "base": base.reference,
        "data": inputs.rows_reference(data, source.subset, source.split),
        "training": training,
        "lora": config.adapter.knowledge,
        "dtype": dtype_of(config.model),
        "seed": config.seed,
    }
    labels = {"seed": config.seed, "form": source.form, "fictitious": source.fictitious}
    spec = inputs.spec(
        config, "knowledge", source.name, content, labels | {"version": source.version}
    )
    if config.stage.name != "cpt":
        command = (
            f"python -m prereq stage=cpt dataset={config.dataset.name} knowledge=[{source.name}]"
        )
        inputs.require_or_make(config, spec, command)

    def make(folder: Path) -> dict:
        tokenizer = load_tokenizer(base.path, config.model)
        rows = text_rows(
            tokenizer, read_text(data.path, source.subset, source.split), training.max_length
        )
        plan = text_plan(
            rows, training.batch_size, training.epochs, config.seed, route=(source.name,)
        )

        model = load_model(base.path, config.model, attention_for_training(config.model, device()))
        model = adapters.attach(
            model, source.name, config.adapter.knowledge, base.path, {}, config.seed
        )
        routing = route(model)
        dropout = config.adapter.knowledge.dropout
        routing.dropout[source.name] = dropout
        with Tracker(config, spec, folder) as tracker:
            settings = Run.of(config, f"knowledge {source.name}", training, folder, tracker)
            summary = train(model, plan, settings, routing)
        adapters.save(model, source.name, folder, dropout)
        return {"summary": summary | {"rows": len(rows)}}

    return store.obtain(spec, config, make)
