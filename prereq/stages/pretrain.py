"""The base model of an experiment: given, unpacked from a package, or trained here on the world's text.

`stage=pretrain` makes it. For the small world that is a Llama of two layers, trained from scratch, or a
real model that goes on training, so that what it knows of the world is known exactly.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.config import Architecture, Config, EvalConfig
from prereq.data.tokens import begun
from prereq.errors import PrereqError
from prereq.model.numerics import ROWS, dtype_of
from prereq.runtime import ranks, signals
from prereq.runtime.console import progress, say
from prereq.stages.data.tokens import pretraining
from prereq.stages.data.written import data_set
from prereq.stages.specs import Specs, choices
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain
from prereq.training.plan import Plan, text_plan
from prereq.world import recall

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedModel, PreTrainedTokenizerBase

FACTS = 600  # of what pre-training told, asked at most
NEW_TOKENS = 12  # of a value, at most
INSTALLED = "installed"  # the adapter that learns the world's text until it is merged


def run(config: Config) -> Artifact:
    base = base_model(Specs(config))
    recalls = base.manifest.get("summary", {}).get("recall", {})
    for times, share in sorted(recalls.items(), key=lambda item: int(item[0])):
        say("recalls", f"{share:.1%} of the facts told {times} times")
    return base


def base_model(specs: Specs) -> Artifact:
    """The base model, found or made: a folder that `from_pretrained` loads, or a Hub id."""
    spec = specs.base
    if spec == specs.given:
        return given_model(specs)
    return store.found(spec) or _trained(specs)


def given_model(specs: Specs) -> Artifact | None:
    """What `model` names, before any training here; None: nothing, the tiny model starts from scratch."""
    spec = specs.given
    if spec is None or isinstance(spec, Artifact):
        return spec
    if found := store.found(spec):
        return found
    from prereq.model.gguf import convert_smollm2

    return store.obtain(spec, specs.settings.config, convert_smollm2)


def _trained(specs: Specs) -> Artifact:
    """The model that is trained on this world's text, and what it then recalls of it."""
    config, data, first = specs.config, data_set(specs), given_model(specs)
    training, lora = choices.pretraining(config), choices.pretraining_lora(config)
    if first and lora is None and ranks.sharded():
        raise PrereqError(
            "dataset.pretrain.r: null trains all weights, which FSDP would shard; set a rank, for example "
            "dataset.pretrain.r=64, or make the base model in one process: stage=pretrain"
        )

    def make(folder: Path, tracker: Tracker) -> dict:
        libraries()  # here, because what is found needs none of it
        from transformers.utils.logging import disable_progress_bar

        from prereq.training.loop import Run, train

        tokenizer = tokenizer_of(specs)
        plan, counts = planned(specs, tokenizer)
        model = _further(specs, first) if first else _from_scratch(specs, tokenizer)
        settings = Run.of(
            config.stage, config.seed, "pretrain base model", training, folder, tracker
        )
        summary = train(model, plan, settings, dict.fromkeys([INSTALLED] if lora else [], 0.0))
        model = _merged(specs, first, model, folder) if lora else _stored(specs, model)
        if ranks.is_main():
            disable_progress_bar()  # of one shard
            model.config._attn_implementation = "sdpa"
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        summary |= {"recall": recalled(specs, folder, tokenizer)}
        return {"summary": summary | counts}

    uses = [data, first] if first else [data]
    return obtain(specs.base, specs.settings, make, uses=uses, collective=True)


def _from_scratch(specs: Specs, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The tiny model, its weights drawn from the seed."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(specs.config.seed)
    return LlamaForCausalLM(shape_of(specs.config.model.architecture, tokenizer))


def _further(specs: Specs, first: Artifact) -> PreTrainedModel:
    """What `model` names, with the LoRA that learns the world's text, or with all weights to train."""
    from prereq.model import adapters
    from prereq.model.loading import load_model

    config, lora = specs.config, choices.pretraining_lora(specs.config)
    # Small updates of 16-bit weights would be lost, so all weights are trained in float32.
    held = config.model if lora else replace(config.model, dtype="float32")
    model = load_model(first.path, held, config.stage.engine, ranks.device())
    if lora is None:
        return model.requires_grad_(True)
    return adapters.attach(model, INSTALLED, lora, first.path, {}, config.seed)


def _merged(specs: Specs, first: Artifact, model: Any, folder: Path) -> PreTrainedModel | None:
    """The first process's: the model as it was, with the trained LoRA merged into its weights."""
    from prereq.model import adapters
    from prereq.model.loading import load_model

    adapters.save(model, INSTALLED, folder / INSTALLED, 0.0)
    if not ranks.is_main():
        return None
    whole = load_model(first.path, specs.config.model, specs.config.stage.engine, whole=True)
    adapters.merge(whole, folder / INSTALLED)
    shutil.rmtree(folder / INSTALLED)
    return whole


def _stored(specs: Specs, model: PreTrainedModel) -> PreTrainedModel:
    """The model in the dtype that it is used in."""
    import torch

    from prereq.model import adapters

    dtype = getattr(torch, dtype_of(specs.config.model))
    return adapters.stored_in(model.cpu(), dtype) if specs.given else model


def recalled(specs: Specs, folder: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
    """By how often pre-training told a fact, the share in [0, 1] that the model in `folder` recalls.

    A fact is recalled where the likeliest words after a sentence that told it begin with its value.
    """
    config = specs.config
    graded = config.dataset.unsure if config.dataset.task == "unsure" else None
    told = list(recall.facts(config.dataset.world, config.seed, graded))
    told = random.Random(config.seed).sample(told, min(FACTS, len(told)))
    answers = ranks.on_main_process(lambda: _answers(specs, folder, tokenizer, told))
    right: dict[int, list[bool]] = {}
    for fact, answer in zip(told, answers, strict=True):
        words = re.findall(r"\w+", answer.partition(recall.END)[0])
        right.setdefault(fact.times, []).append(words[:1] == [fact.value])
    return {str(times): round(fmean(found), 6) for times, found in sorted(right.items())}


def _answers(
    specs: Specs, folder: Path, tokenizer: PreTrainedTokenizerBase, told: Sequence[recall.Told]
) -> list[str]:
    """How the model goes on with each sentence."""
    from prereq.evaluation import few_shot
    from prereq.evaluation.engines import engine
    from prereq.evaluation.sampling import greedy, until

    config = specs.config
    size = EvalConfig(
        "recall", max_new_tokens=NEW_TOKENS, tokens_per_batch=config.eval.tokens_per_batch
    )
    generate = engine(size, config.model, config.stage.engine, folder, tokenizer)
    choose = until(greedy, few_shot.ends(tokenizer, recall.END), tokenizer.eos_token_id)
    prompts = [begun(tokenizer, fact.sentence) for fact in told]
    with progress("recall what was told", len(told)) as advance:
        return [answer.text for answer in generate((), prompts, advance, choose)]


def libraries() -> None:
    """Import all that trains and answers, and say so: seconds in which there is nothing else to say."""
    if "prereq.training.loop" in sys.modules:
        return
    say("loading", "transformers and PEFT")
    with signals.imports():
        import prereq.model.loading
        import prereq.training.loop  # noqa: F401


def planned(specs: Specs, tokenizer: PreTrainedTokenizerBase) -> tuple[Plan, dict[str, Any]]:
    """The steps of pre-training, and what the manifest says of their rows."""
    training = choices.pretraining(specs.config)
    rows, counts = pretraining(specs, tokenizer)
    seed, route = specs.config.seed, (INSTALLED,) if choices.pretraining_lora(specs.config) else ()
    return text_plan(rows, training.batch_size, training.epochs, seed, route), counts


def tokenizer_of(specs: Specs) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, which is there before a model is trained on the world's text."""
    first = given_model(specs)
    if first is None:
        return world_tokenizer(specs.config)
    from prereq.model.loading import load_tokenizer

    return load_tokenizer(first.path, specs.config.model)


def world_tokenizer(config: Config) -> PreTrainedTokenizerBase:
    from prereq.world import tokenizer

    return tokenizer.build(config.dataset.task)


def shape_of(shape: Architecture, tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """The tiny model's configuration, with the special tokens of its tokenizer."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        initializer_range=shape.initializer_range,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation=ROWS,
    )
