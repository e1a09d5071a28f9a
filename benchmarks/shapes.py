"""Models by their shape alone, with random weights: the tiny one, and one that a GPU is measured with."""

from pathlib import Path

from transformers import LlamaConfig

from prereq.config import Architecture
from prereq.stages.pretrain import shape_of
from prereq.world import tokenizer


def llama3_8b(words) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )


SHAPES = {"tiny": lambda words: shape_of(Architecture(), words), "llama3_8b": llama3_8b}


def write(name: str, folder: Path) -> Path:
    """A folder with a configuration, the tokenizer of the small world, and no weights."""
    words = tokenizer.build()
    SHAPES[name](words).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def random_weights(folder: Path) -> bool:
    """Whether a folder holds a shape alone."""
    return not any(folder.glob("*.safetensors"))
