"""What training takes of a GPU's memory, and how to take less."""

from dataclasses import dataclass, fields

from torch import nn
from transformers import PreTrainedModel

from prereq.model.adapters import lora_layers
from prereq.model.head import labels_at_once

GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes that a forward and backward hold at their peak, by what they are of."""

    base: float
    adapters: float  # with gradients and the optimizer's two moments of those that train
    activations: float  # that wait for the backward, and what one layer's backward makes
    logits: float  # of the labels that the head takes at once

    @property
    def total(self) -> float:
        # While the head is at work, all activations are there.
        return self.base + self.adapters + self.activations + self.logits

    def __str__(self) -> str:
        parts = ", ".join(f"{f.name} {getattr(self, f.name) / GIB:.1f}" for f in fields(self))
        return f"{self.total / GIB:.1f} GiB ({parts})"


def estimate(model: nn.Module, tokens: int, checkpointing: bool) -> Memory | None:
    """Of training the adapters of a PEFT model on packs of `tokens` on a GPU, without padding.

    The model may be on any device, also on `meta`. Right to 15 % for decoders made as Llama's are;
    None for a model whose configuration does not tell its widths.
    """
    inner: PreTrainedModel = model.get_base_model() if hasattr(model, "get_base_model") else model
    shape = inner.config.get_text_config()
    width, middle = (getattr(shape, n, None) for n in ("hidden_size", "intermediate_size"))
    heads, layers = (getattr(shape, n, None) for n in ("num_attention_heads", "num_hidden_layers"))
    if not all(isinstance(n, int) and n for n in (width, middle, heads, layers)):
        return None
    shared = getattr(shape, "num_key_value_heads", None) or heads
    head_dim = getattr(shape, "head_dim", None) or width // heads
    size = inner.dtype.itemsize
    loras = [(name.rsplit(".", 1)[-1], layer) for name, layer in lora_layers(model)]
    trains = {name for name, layer in loras if _trains(layer)}

    # Norms keep a copy in float32; a gated MLP its gate, its gate activated, and what it is multiplied with.
    layer = 2 * 4 * width + size * (2 * heads + 2 * shared) * head_dim + size * 3 * middle
    # An adapter that trains keeps its layer's input, which layers that read the same one share.
    layer += size * width * bool(trains & {"q_proj", "k_proj", "v_proj"})
    layer += size * width * bool(trains & {"gate_proj", "up_proj"})
    layer += size * middle * ("down_proj" in trains)
    backward = size * 4 * middle  # what the backward of one layer makes
    if checkpointing:
        activations = tokens * (layers * size * width + layer + backward)
    else:
        activations = tokens * (layers * layer)
    head = inner.get_output_embeddings()
    vocabulary = head.weight.shape[0]
    logits = min(tokens, labels_at_once(head.weight)) * vocabulary * (2 * 4 + 2 * (size % 4))
    inside = [
        p for _, layer in loras for p in (*layer.lora_A.parameters(), *layer.lora_B.parameters())
    ]
    trained = sum(p.numel() for p in inside if p.requires_grad)
    frozen = sum(p.numel() for p in inside if not p.requires_grad)
    every = sum(p.numel() * p.element_size() for p in inner.parameters())
    base = every - sum(p.numel() * p.element_size() for p in inside)
    # float32 with gradient and two moments; a copy in the dtype of products waits for the backward.
    adapters = trained * (16 + (size if size != 4 else 0)) + frozen * size
    return Memory(base, adapters, activations, logits)


def _trains(layer: nn.Module) -> bool:
    return any(p.requires_grad for p in layer.lora_A.parameters())


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Keep the input of each layer alone and compute the rest again in the backward."""
    # The older name is deprecated in newer versions of transformers, which warn.
    name = next(n for n in _ENABLE if hasattr(model, n))
    getattr(model, name)({"use_reentrant": False})


def checkpoints_activations(model: PreTrainedModel) -> bool:
    return getattr(model, next(n for n in _ENABLED if hasattr(type(model), n)))


_ENABLE = "activation_checkpointing_enable", "gradient_checkpointing_enable"
_ENABLED = "is_activation_checkpointing", "is_gradient_checkpointing"
