"""`stage=sft`: the skill LoRA, trained on the task beside frozen knowledge LoRAs.

The whole method is here, from top to bottom: which rows, which knowledge, what is trained, what is
kept. Plain fine-tuning is the same stage without knowledge LoRAs (`method=sft`).
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from prereq import track
from prereq.artifacts.spec import Artifact
from prereq.config import Config, KnowledgeSource
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill
from prereq.errors import PrereqError
from prereq.model import adapters
from prereq.model.loading import load_model, load_tokenizer
from prereq.model.precision import dtype_of
from prereq.stages import cpt, inputs
from prereq.training.loop import Run, device, train
from prereq.training.objectives import SKILL, Knowledge
from prereq.training.plan import skill_plan, subjects_of

ROWS = ("fictitious", "real", "known_only", "popular")  # what a method says of its rows


def run(config: Config) -> Artifact:
    return skill_adapter(config)


def skill_adapter(config: Config) -> Artifact:
    """The skill LoRA of `config.method`, found or trained; makes the knowledge LoRAs it lacks."""
    recipe, method, lora = config.dataset.skill, config.method, config.adapter.skill
    entities = config.dataset.fictitious_entities
    training = inputs.training(config, recipe.training, "sft", "eval", "pipeline")
    real_weight = recipe.real_weight if method.real_weight is None else method.real_weight

    # The prerequisites: rows, base model, and the knowledge that the rows need.
    data = inputs.data_set(config)
    base = inputs.base_model(config)
    sources = sources_for(config)
    names = [source.name for source in sources]
    knowledge = dict(zip(names, cpt.knowledge_adapters(config, sources), strict=True))

    content = {
        "base": base.reference,
        "data": [inputs.rows_reference(data, recipe.subset, split) for split in recipe.splits],
        "rows": {key: getattr(method, key) for key in ROWS} | {"entities": entities},
        "knowledge": sorted(artifact.reference for artifact in knowledge.values()),
        "objective": {"draw_group": recipe.draw_group},
        "training": training,
        "lora": lora,
        "dtype": dtype_of(config.model),
        "keep_epochs": recipe.keep_epochs,
        "seed": config.seed,
    }
    if knowledge:  # without knowledge there is nothing to alternate and no plain term to add
        content["objective"] |= {"alternate": recipe.alternate, "real_weight": real_weight}
        if config.adapter.frozen_dropout:
            content["objective"]["frozen_dropout"] = config.adapter.knowledge.dropout
    spec = inputs.spec(config, "skill", method.name, content, _labels(config, training))
    if config.stage.name == "eval":
        command = f"python -m prereq stage=sft dataset={config.dataset.name} method={method.name}"
        inputs.require_or_make(config, spec, command)

    def make(folder: Path, tracker: track.Tracker) -> dict:
        rows = [
            row for split in recipe.splits for row in read_skill(data.path, recipe.subset, split)
        ]
        rows = rows_for(config, rows)
        tokenizer = load_tokenizer(base.path, config.model)
        where = f"{data.path}: {recipe.subset}"
        versions = {s.version for s in config.dataset.knowledge if s.version is not None}
        subjects = subjects_of(rows, tokenizer, training.max_length, versions, where)
        plan = skill_plan(
            subjects,
            [Knowledge(s.name, s.form, s.fictitious, s.version) for s in sources],
            batch_size=training.batch_size,
            draw_group=recipe.draw_group or training.batch_size,
            epochs=training.epochs,
            seed=config.seed,
            alternate=recipe.alternate,
            real_weight=real_weight if knowledge else 0.0,
        )

        model = load_model(base.path, config.model, config.stage.engine, device())
        frozen = {name: artifact.path for name, artifact in knowledge.items()}
        model = adapters.attach(model, SKILL, lora, base.path, frozen, config.seed)
        dropout = {SKILL: lora.dropout}
        if config.adapter.frozen_dropout:
            dropout |= dict.fromkeys(frozen, config.adapter.knowledge.dropout)

        def keep(epoch: int) -> None:
            if recipe.keep_epochs:
                adapters.save(model, SKILL, folder / "epochs" / f"{epoch:03d}", lora.dropout)

        settings = Run.of(config, f"skill {method.name}", training, folder, tracker)
        summary = train(model, plan, settings, dropout, keep)
        adapters.save(model, SKILL, folder, lora.dropout)
        return {"summary": summary | {"subjects": len(subjects)}}

    uses = [data, base, *knowledge.values()]
    return track.obtain(spec, config, make, uses, collective=True)


def sources_for(config: Config) -> list[KnowledgeSource]:
    """The knowledge that stands beside the skill: of the kinds of rows that the method uses."""
    method = config.method
    if not method.knowledge:
        return []
    wanted = {True} if method.fictitious else set()
    wanted |= {False} if method.real else set()
    forms = method.forms or ["passage", "statement"]
    return [s for s in config.dataset.knowledge if s.fictitious in wanted and s.form in forms]


def rows_for(config: Config, rows: Sequence[SkillRow]) -> list[SkillRow]:
    """The task rows that the method learns from."""
    method = config.method
    real = [row for row in rows if not row.fictitious] if method.real else []
    fictitious = [row for row in rows if row.fictitious] if method.fictitious else []
    if method.known_only:
        _need(config, real, "known (0 or 1)", lambda row: row.known is not None)
        real = [row for row in real if row.known]
    if method.popular:
        _need(config, real, "s_pop (page views)", lambda row: row.extra.get("s_pop") is not None)
        better_known = sorted(real, key=lambda row: row.extra["s_pop"], reverse=True)
        real = better_known[: (len(real) + 1) // 2]
    if config.dataset.fictitious_entities is not None:
        titles = sorted({row.title for row in fictitious})
        count = min(config.dataset.fictitious_entities, len(titles))
        kept = set(random.Random(42).sample(titles, count))
        fictitious = [row for row in fictitious if row.title in kept]
    if not real and not fictitious:
        raise PrereqError(
            f"method={method.name}: dataset={config.dataset.name} has no rows for it; choose a method "
            "that uses the kind of rows (real, fictitious) that the data set has"
        )
    kept = {id(row) for row in real + fictitious}
    return [row for row in rows if id(row) in kept]


def _need(config: Config, rows: Sequence[SkillRow], column: str, has: Callable) -> None:
    lacking = [row.place for row in rows if not has(row)]
    if lacking:
        raise PrereqError(
            f"method={config.method.name}: every real row of dataset={config.dataset.name} needs the "
            f"column {column}, which {len(lacking)} of {len(rows)} lack ({', '.join(lacking[:3])}); add "
            "it or choose another method"
        )


def _labels(config: Config, training) -> dict:
    """What a report calls this adapter: the method, and what differs from the recipe."""
    recipe = config.dataset.skill.training
    changes = {k: v for k, v in vars(training).items() if v != getattr(recipe, k)}
    if config.adapter.skill.r != config.dataset.skill_r:
        changes["r"] = config.adapter.skill.r
    return {"method": config.method.name, "seed": config.seed, "changes": changes}
