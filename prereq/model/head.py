"""The LM head, applied where logits are wanted and nowhere else."""

import torch
from transformers import PreTrainedModel


def head_logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Logits [M, vocabulary] in float32 of hidden states [M, width].

    The states are made contiguous: on a strided slice in bfloat16 the CPU's matrix product takes a
    hundred times as long, and gigabytes. Gemma's soft cap is applied where the model has one.
    """
    logits = model.get_output_embeddings()(hidden.contiguous()).float()
    cap = getattr(model.config, "final_logit_softcapping", None)
    return cap * torch.tanh(logits / cap) if cap else logits
