"""The base model of an experiment: given, unpacked from a package, or trained here from scratch.

`stage=pretrain` makes it: for the small world a Llama of two layers, trained on the world's text.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prereq.artifacts import store
from prereq.artifacts.spec import Artifact
from prereq.config import Architecture, Config
from prereq.model.numerics import ROWS
from prereq.runtime import ranks, signals
from prereq.runtime.console import say
from prereq.stages.data.rows import pretraining
from prereq.stages.data.sets import data_sets
from prereq.stages.specs import Specs, choices
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain
from prereq.training.plan import Plan, text_plan

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerBase


def run(config: Config) -> Artifact:
    return base_model(Specs(config))


def base_model(specs: Specs) -> Artifact:
    """The base model, found or made: a folder that `from_pretrained` loads, or a Hub id."""
    spec = specs.base
    if isinstance(spec, Artifact):
        return spec
    if found := store.found(spec):
        return found
    if specs.config.model.source == "smollm2":
        from prereq.model.gguf import convert_smollm2

        return store.obtain(spec, specs.settings.config, convert_smollm2)
    return _trained(specs)


def _trained(specs: Specs) -> Artifact:
    """The tiny model of this world."""
    config, data = specs.config, data_sets(specs, ["pretrain"])
    training = choices.pretraining(config)

    def make(folder: Path, tracker: Tracker) -> dict:
        libraries()  # here, because what is found needs none of it
        import torch
        from transformers import LlamaForCausalLM
        from transformers.utils.logging import disable_progress_bar

        from prereq.training.loop import Run, train

        tokenizer = world_tokenizer(config)
        plan, counts = planned(specs, tokenizer)
        torch.manual_seed(config.seed)
        model = LlamaForCausalLM(shape_of(config.model.architecture, tokenizer))
        settings = Run.of(
            config.stage, config.seed, "pretrain base model", training, folder, tracker
        )
        summary = train(model, plan, settings)
        model.config._attn_implementation = "sdpa"
        if ranks.is_main():
            disable_progress_bar()  # of one shard
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return {"summary": summary | counts}

    return obtain(specs.base, specs.settings, make, uses=data, collective=True)


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
    seed = specs.config.seed
    return text_plan(rows, training.batch_size, training.epochs, seed, route=()), counts


def tokenizer_of(specs: Specs) -> PreTrainedTokenizerBase:
    """The base model's tokenizer, which the small world has before its model is trained."""
    if specs.config.model.source == "tiny":
        return world_tokenizer(specs.config)
    from prereq.model.loading import load_tokenizer

    return load_tokenizer(base_model(specs).path, specs.config.model)


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
