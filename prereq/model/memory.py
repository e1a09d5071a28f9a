"""What training takes of a GPU's memory."""

from transformers import PreTrainedModel


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Keep the input of each layer alone and compute the rest again in the backward."""
    # The older name is deprecated in newer versions of transformers, which warn.
    name = next(n for n in _ENABLE if hasattr(model, n))
    getattr(model, name)({"use_reentrant": False})


def checkpoints_activations(model: PreTrainedModel) -> bool:
    return getattr(model, next(n for n in _ENABLED if hasattr(type(model), n)))


_ENABLE = "activation_checkpointing_enable", "gradient_checkpointing_enable"
_ENABLED = "is_activation_checkpointing", "is_gradient_checkpointing"
