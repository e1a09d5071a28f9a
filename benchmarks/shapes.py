"""Models by their shape alone, with random weights: the tiny one, and one that a GPU is measured with."""

from pathlib import Path

from transformers import LlamaConfig

from prereq.config import Architecture
from prereq.world import tokenizer

SHAPES = {
    "tiny": {
        "hidden_size": Architecture.width,
        "intermediate_size": Architecture.feed_forward,
        "num_hidden_layers": Architecture.layers,
        "num_attention_heads": Architecture.heads,
        "tie_word_embeddings": True,
    },
    "llama3_8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
    },
}


def write(name: str, folder: Path) -> Path:
    """A folder with a configuration, the tokenizer of the small world, and no weights."""
    words = tokenizer.build()
    special = {
        f"{kind}_token_id": getattr(words, f"{kind}_token_id") for kind in ("bos", "eos", "pad")
    }
    LlamaConfig(**{"vocab_size": len(words)} | SHAPES[name] | special).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def random_weights(folder: Path | str) -> bool:
    """Whether a folder holds a shape alone."""
    return not any(Path(folder).glob("*.safetensors"))
