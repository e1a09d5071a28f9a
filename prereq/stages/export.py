"""`stage=export`: the skill as others take it, in the weights or as an adapter, checked, with a card.

What is exported is loaded by plain transformers in a fresh process and compared with the base model and
its adapters; only then is it published here, and on the Hub where `push_to_hub` asks for it.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from rich.markup import escape

from prereq.artifacts import store
from prereq.artifacts.publish import packages
from prereq.artifacts.spec import Artifact, Spec
from prereq.config import Config
from prereq.errors import PrereqError
from prereq.report import collect
from prereq.runtime.console import say
from prereq.stages import cpt, prepare
from prereq.stages import eval as evaluation
from prereq.stages.data.sets import data_sets
from prereq.stages.pretrain import base_model, libraries
from prereq.stages.specs import Specs, choices, exported
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain

if TYPE_CHECKING:
    from prereq.export.check import Asked

PROMPTS = 8  # test prompts that the export is compared on
OWN = ("stage", "format", "epoch", "push_to_hub", "private")  # keys that evaluation does not take
SHARD = "5GB"  # of weights a file at most
GGUF = "python convert_hf_to_gguf.py {folder} --outfile {name}.gguf --outtype q8_0"


@dataclass(frozen=True)
class Made:
    """What goes into an export: the base, and adapters by folder."""

    base: Path | str
    skill: Path  # of the epoch that is taken
    epoch: int
    knowledge: dict[str, Path]

    @property
    def folders(self) -> list[Path]:
        return [*self.knowledge.values(), self.skill]


def run(config: Config) -> Artifact:
    """Find or make the export, say how to use it, and publish it where that is asked for."""
    if config.push_to_hub:
        from prereq.export import push

        push.check(config.push_to_hub)
    specs = Specs(config)
    form = "adapter" if config.format == "adapter" else "merged"
    if config.push_to_hub and form == "adapter" and config.model.source != "hub":
        raise PrereqError(
            f"push_to_hub={config.push_to_hub} format=adapter: the adapter names its base by a folder of "
            "this machine, which nobody else has; format=merged publishes base and skill as one"
        )
    prepare.check([specs])
    artifact = export(specs, form)
    told = artifact.manifest["card"]
    say("checked", escape(told["check"]))
    say("wrote", escape(f"{artifact.path}: {_use(config, artifact)}"))
    if config.push_to_hub:
        fresh = _card(specs, Path(artifact.path), told)
        url = push.push(
            Path(artifact.path), fresh, config.push_to_hub, "model", private=config.private
        )
        say("sent", escape(url))
    return artifact


def export(specs: Specs, form: str) -> Artifact:
    """The export, found or made; makes the skill that it lacks."""
    spec = exported.export(specs, form)
    if found := store.found(spec):
        return found
    config, tests = specs.config, choices.tests(specs.config)
    data = data_sets(specs, [test.subset for test in tests])
    skill = evaluation.skill_adapter(specs)
    sources = exported.merged(specs)
    adapters = cpt.knowledge_adapters(specs, sources)
    epochs = evaluation.kept_epochs(skill)
    epoch = max(epochs)
    if config.epoch == "best":
        epoch = evaluation.generations(specs).manifest["epochs"]["best"]
    elif len(epochs) > 1:
        say(
            "noted",
            f"epoch {epoch}, the last, is taken; epoch=best takes the one that answers best",
        )
    knowledge = {
        source.name: Path(adapter.path) for source, adapter in zip(sources, adapters, strict=True)
    }
    base = base_model(specs)
    made = Made(base.path, Path(epochs[epoch]), epoch, knowledge)

    def make(folder: Path, _: Tracker) -> dict:
        libraries()
        from prereq.export.check import compare, seen
        from prereq.model import adapters as loras
        from prereq.model.loading import load_model, load_tokenizer

        tokenizer = load_tokenizer(base.path, config.model)
        asked = _asked(specs, tokenizer)
        model = load_model(base.path, config.model, "padded")
        expected = seen(loras.applied(model, made.folders).eval(), asked)
        _write(specs, folder, form, made, tokenizer)
        with tempfile.TemporaryDirectory() as scratch:
            agreement = compare(folder, Path(scratch), asked, expected)
        told = _told(specs, form, made, str(agreement))
        (folder / "README.md").write_text(_card(specs, folder, told), "utf-8")
        return {"card": told}

    return obtain(spec, specs.settings, make, uses=[*data, base, skill, *adapters])


def _asked(specs: Specs, tokenizer: Any) -> Asked:
    """Some test prompts, as ids and as the messages of a chat."""
    from prereq.data.tokens import prompt_ids
    from prereq.export.check import Asked

    config = specs.config
    rows = [item.rows[0] for test in choices.tests(config) for item in prepare.items(specs, test)]
    rows = rows[:: max(1, len(rows) // PROMPTS)][:PROMPTS]
    chats = [
        [{"role": role, "content": text} for role, text in (*row.turns, ("user", row.user))]
        for row in rows
    ]
    ids = [prompt_ids(tokenizer, row, config.dataset.prompt) for row in rows]
    dtype = exported.export(specs, "merged").content["dtype"]
    return Asked(ids, chats, min(64, config.eval.max_new_tokens), dtype)


def _write(specs: Specs, folder: Path, form: str, made: Made, tokenizer: Any) -> None:
    """Weights and configuration, the tokenizer with the chat template, how to generate."""
    from transformers import GenerationConfig

    from prereq.export.chat import chat_template
    from prereq.model import adapters
    from prereq.model.loading import load_model

    template = chat_template(specs.config.dataset.prompt, tokenizer.bos_token_id is not None)
    kept = tokenizer.chat_template
    tokenizer.chat_template = template or kept
    tokenizer.save_pretrained(folder)
    tokenizer.chat_template = kept
    if form == "adapter":
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            (folder / name).write_bytes((made.skill / name).read_bytes())
        return
    model = load_model(made.base, specs.config.model, "padded")
    ids = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")
    }
    model.generation_config = GenerationConfig(**ids, do_sample=False)
    model.config.pad_token_id = ids["pad_token_id"]
    with adapters.merged(model, made.folders):
        model.save_pretrained(folder, max_shard_size=SHARD)


def _told(specs: Specs, form: str, made: Made, check: str) -> dict[str, Any]:
    """What the card says beside the scores, for the manifest."""
    from prereq.export.card import licence_of

    config, data, model = specs.config, specs.config.dataset, specs.config.model
    on_hub = model.source == "hub" and not Path(model.path or "").is_dir()
    training = vars(choices.skill_training(config)) if isinstance(specs.skill, Spec) else {}
    read = json.loads((made.skill / "adapter_config.json").read_text("utf-8"))
    words = HydraConfig.get().overrides.task
    same = [word for word in words if word.split("=")[0] not in OWN]
    return {
        "title": f"{model.name}, {data.name}, {specs.name}",
        "format": form,
        "base": model.path if on_hub else model.name,
        "base_id": model.path if on_hub else None,
        "licence": licence_of(made.base),
        "dataset": data.name,
        "dataset_id": data.path
        if data.source == "hub" and not Path(data.path or "").is_dir()
        else None,
        "prompt": data.prompt,
        "method": specs.name,
        "about": _about(config),
        "knowledge": [source.name for source in choices.beside(config)],
        "merged": list(made.knowledge),
        "training": {name: value for name, value in training.items() if value is not None},
        "seed": config.seed,
        "epoch": made.epoch,
        "rank": read.get("r"),
        "evaluate": shlex.join(["python", "-m", "prereq", "stage=eval", *same]),
        "command": shlex.join(["python", "-m", "prereq", *words]),
        "check": check,
        "packages": {name: found for name, found in packages().items() if found},
    }


def _about(config: Config) -> str:
    """The method in a sentence."""
    method = config.method
    if config.skill:
        return "a skill adapter that was given by hand."
    rows = " and ".join(
        w for w, used in (("real", method.real), ("fictitious", method.fictitious)) if used
    )
    if not method.knowledge:
        return f"a skill LoRA trained on {rows} rows."
    return f"a skill LoRA trained on {rows} rows beside frozen knowledge LoRAs, which were then dropped."


def _card(specs: Specs, folder: Path, told: dict[str, Any]) -> str:
    """The card with the scores that there are now."""
    from prereq.export.card import Told, card

    return card(Told(**told, scores=_scores(specs)))


def _scores(specs: Specs) -> list[tuple[str, str, float, float | None, float | None, int]]:
    """(split, metric, value, low, high, rows) of the skill alone, where it was evaluated."""
    found = store.find(specs.scores)
    if found is None:
        return []
    return [
        (s.split, s.metric, s.value, s.low, s.high, s.n)
        for s in collect.scored(found).scores
        if not s.knowledge and "/" not in s.split and s.unit == "share"
    ]


def _use(config: Config, artifact: Artifact) -> str:
    """What to do with it next."""
    rank = artifact.manifest["card"]["rank"]
    if config.format == "adapter":
        return f"a PEFT adapter; vLLM takes it with --enable-lora --max-lora-rank {rank}"
    if config.format == "gguf":
        command = GGUF.format(folder=artifact.path, name=Path(artifact.path).name)
        return f"merged weights. llama.cpp's converter, of its repository, makes GGUF of them: {command}"
    return "a model that transformers and vLLM load as it is"
