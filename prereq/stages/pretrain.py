"""`stage=pretrain`: the small world's base model, a Llama of two layers trained from scratch."""

from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from prereq import ranks, track
from prereq.artifacts.spec import Artifact
from prereq.config import Architecture, Config
from prereq.data.sources import read_text
from prereq.data.tokens import text_rows
from prereq.model.attention import NAME as ROWS
from prereq.stages import inputs
from prereq.training.loop import Run, train
from prereq.training.plan import text_plan


def run(config: Config) -> Artifact:
    return inputs.base_model(config)


def pretrained(config: Config) -> Artifact:
    """The tiny model of this world, found or trained; a folder that `from_pretrained` loads."""
    data = inputs.data_set(config)
    training = inputs.training(config, config.dataset.pretrain, "pretrain")
    content = {
        "data": inputs.rows_reference(data, "pretrain", "train"),
        "architecture": config.model.architecture,
        "training": training,
        "seed": config.seed,
    }
    spec = inputs.spec(config, "base", "pretrained", content, {"seed": config.seed})

    def make(folder: Path, tracker: track.Tracker) -> dict:
        from prereq.world import tokenizer as words

        tokenizer = words.build()
        rows = text_rows(tokenizer, read_text(data.path, "pretrain", "train"), training.max_length)
        plan = text_plan(rows, training.batch_size, training.epochs, config.seed, route=())
        torch.manual_seed(config.seed)
        model = LlamaForCausalLM(shape_of(config.model.architecture, tokenizer))
        settings = Run.of(config, "pretrain base model", training, folder, tracker)
        summary = train(model, plan, settings)
        model.config._attn_implementation = "sdpa"
        if ranks.first():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return {"summary": summary}

    return track.obtain(spec, config, make, uses=[data], collective=True)


def shape_of(shape: Architecture, tokenizer) -> LlamaConfig:
    """The tiny model's configuration, with the special tokens of its tokenizer."""
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
