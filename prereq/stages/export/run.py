"""`stage=export`: the model out, as a folder that other programs load: merged, or as an adapter.

Nothing is published before a fresh process has loaded the folder by plain transformers and answered as
base + skill do. `push_to_hub=OWNER/NAME` then uploads it, with its model card.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.config import Config
from prereq.config.checks import asks_topics
from prereq.data.rows import SkillRow
from prereq.data.sources import read_skill
from prereq.data.tokens import prompt_ids
from prereq.runtime import ranks
from prereq.runtime.console import progress, say
from prereq.stages import cpt, prepare
from prereq.stages import eval as evaluation
from prereq.stages.data.sets import data_sets
from prereq.stages.export import publish
from prereq.stages.export.card import written
from prereq.stages.pretrain import base_model, libraries, tokenizer_of
from prereq.stages.specs import Specs, choices, require
from prereq.stages.specs.export import epoch_of, evaluation_of, export_of, scores_of
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain

if TYPE_CHECKING:
    from prereq.export.check import Found


def run(config: Config) -> Artifact:
    """The export, found or made; says how to load and serve it, and publishes it where asked."""
    specs = Specs(config)
    publish.ready(config, "model")
    if config.epoch == "best" and scores_of(specs) is None:  # scores say which one that is
        _evaluate(specs)
    made = exported(specs)
    if ranks.is_main():
        _tell(specs, made)
    publish.publish(config, made)
    return made


def _evaluate(specs: Specs) -> None:
    """Score the skill, as stage=eval does. Raises PrereqError where prerequisites are required."""
    evaluated, config = evaluation_of(specs), specs.config
    stage = f"stage=eval dataset={config.dataset.name} method={config.method.name}"
    require(config, evaluated.scores, stage)
    prepare.check([evaluated])
    evaluation.scores(evaluated)


def exported(specs: Specs) -> Artifact:
    """The exported folder, found or made from base, skill and what is merged beside it."""
    spec = export_of(specs)
    if found := store.found(spec):
        return found
    config = specs.config

    # The prompts to compare by, and a chat template that asks them: before anything is trained.
    from prereq.export.template import conversation, with_template

    rows = _asked(specs)
    how = config.dataset.prompt
    tokenizer = with_template(tokenizer_of(specs), how, rows)

    prepare.check([specs])
    base, skill = base_model(specs), evaluation.skill_adapter(specs)
    knowledge = cpt.knowledge_adapters(specs, choices.merged(config))
    adapter = evaluation.adapter_of(specs, skill)
    folders = [adapter, *(Path(artifact.path) for artifact in knowledge)]

    def make(folder: Path, _: Tracker) -> dict[str, Any]:
        libraries()  # here, because what is found needs none of it
        import torch

        from prereq.export import check, write
        from prereq.model.loading import load_model
        from prereq.model.numerics import dtype_of, product_dtype

        compared, engine = check.spread(rows), config.stage.engine
        prompts = [prompt_ids(tokenizer, row, how) for row in compared]
        settings = write.generation(tokenizer, config.eval.max_new_tokens)
        new_tokens = min(check.NEW_TOKENS, config.eval.max_new_tokens)
        device = ranks.device()
        model = load_model(base.path, config.model, "padded", device, whole=True).to(device)
        dtype = model.dtype
        products = product_dtype(device.type, dtype)  # as evaluation computes
        if engine == "packed" and config.format == "merged":
            write.check_mergeable(model, folders)
        with progress(f"answer {specs.name}, to compare", len(compared)) as advance:
            applied, reference = write.reference(
                model.to(products), folders, prompts, settings, new_tokens, lambda: advance(1)
            )
        if config.format == "merged":
            write.write_merged(applied, folders, engine, dtype, settings, folder)
        else:
            write.write_adapter(adapter, base.path, config.model.revision, settings, folder)
        tokenizer.save_pretrained(folder)

        del model, applied  # the fresh process needs the room
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        request = check.Request(
            folder=str(folder),
            format=config.format,
            dtype=dtype_of(config.model),
            products=str(products).removeprefix("torch."),
            device=str(device),
            base=str(base.path),
            revision=config.model.revision or "main",
            prompts=prompts,
            conversations=[conversation(row) for row in compared],
            new_tokens=new_tokens,
            trust_remote_code=config.model.trust_remote_code,
        )
        found = check.checked(request, reference)
        return _described(specs, folder, skill, knowledge, found, rows[0])

    return obtain(spec, specs.settings, make, uses=[base, skill, *knowledge])


def _described(
    specs: Specs,
    folder: Path,
    skill: Artifact,
    knowledge: list[Artifact],
    found: Found,
    row: SkillRow,
) -> dict[str, Any]:
    """Write the model card; what the manifest says of the export."""
    scores = scores_of(specs)
    (folder / "README.md").write_text(written(specs, skill, knowledge, scores, found, row), "utf-8")
    return {"check": found, "epoch": epoch_of(specs, scores) or "last"}


def _asked(specs: Specs) -> list[SkillRow]:
    """The rows whose prompts are compared: of the tests, else those that the skill is trained on."""
    data = specs.config.dataset
    topics = asks_topics(data, specs.config.eval.scoring)
    tests = choices.tests(specs.config) if (data.topics if topics else data.tests) else []
    if tests:
        data_sets(specs, [] if topics else [test.subset for test in tests])
        return [item.rows[0] for test in tests for item in prepare.items(specs, test)]
    splits = choices.skill_splits(specs.config)
    data_sets(specs, [subset for subset, _ in splits])
    return [row for split in splits for row in read_skill(specs.folder(split[0]), *split)]


def _tell(specs: Specs, made: Artifact) -> None:
    """Where the export is, how near it is to base + skill, and how to serve it."""
    from prereq.export.check import Found

    folder, found = made.path, Found(**made.manifest["check"])
    say("checked", escape(f"in a fresh process, {found.in_words()}"))
    say("wrote", escape(f"{folder} (README.md is its model card)"))
    if specs.config.format == "adapter":
        from prereq.export.write import vllm_rank

        rank, why = vllm_rank(folder)
        say("noted", escape(why))
        if rank:
            lora = f"--enable-lora --max-lora-rank {rank} --lora-modules skill={folder}"
            say("serve", escape(f"vllm serve {specs.base.path} {lora}"))
    else:
        say("serve", escape(f"transformers serve {folder}"))
        say("serve", escape(f"vllm serve {folder}"))
        gguf = f"python llama.cpp/convert_hf_to_gguf.py {folder} --outfile {folder.name}.gguf"
        say("for gguf", escape(f"{gguf} (models that llama.cpp knows)"))
    scores = scores_of(specs)
    if scores and made.manifest["epoch"] == "last":
        epochs = scores.manifest["epochs"]
        if epochs["best"] != epochs["last"]:
            say(
                "noted", f"this is the last epoch, {epochs['last']}; epoch=best is {epochs['best']}"
            )
