"""The LM head, applied where logits are wanted and nowhere else."""

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from prereq.model.numerics import product_dtype

# Logits that stand in memory at once, 256 MiB in float32: of 523 labels with Llama-3's vocabulary.
LOGITS = 2**26
CAST_FROM = 150  # labels that make up for casting a head to the dtype of faster products


def head_logits(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Logits [M, vocabulary] in float32 of hidden states [M, width].

    The states are made contiguous: on a strided slice in bfloat16 the CPU's matrix product takes a
    hundred times as long, and gigabytes.
    """
    logits = model.get_output_embeddings()(hidden.contiguous()).float()
    scale, cap = _transform(model)
    logits = logits if scale == 1 else logits * scale
    return cap * torch.tanh(logits / cap) if cap else logits


def labels_at_once(weight: torch.Tensor) -> int:
    """Labels whose logits are taken at once; weight [vocabulary, width]."""
    return max(256, min(2048, LOGITS // weight.shape[0]))


def _transform(model: PreTrainedModel) -> tuple[float, float | None]:
    """What a model makes of its head's logits: a factor (Granite, Cohere), a soft cap (Gemma).

    A head that does more is found by the self-check.
    """
    config = model.config.get_text_config()
    scale = getattr(config, "logit_scale", None) or 1.0
    scale /= getattr(config, "logits_scaling", None) or 1.0
    return scale, getattr(config, "final_logit_softcapping", None)


def label_losses(
    model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ weight · cross-entropy, and the cross-entropy of each label, [M], in float32.

    hidden [M, width], targets and weights [M]. Logits of one chunk at a time.
    """
    head = model.get_output_embeddings()
    plain = _transform(model) == (1.0, None) and type(head) is torch.nn.Linear
    if plain and not head.weight.requires_grad:
        return _FrozenHeadLoss.apply(hidden.contiguous(), head.weight, head.bias, targets, weights)

    def chunk(states, wanted):
        return F.cross_entropy(head_logits(model, states), wanted, reduction="none")

    size = labels_at_once(head.weight)
    parts = zip(hidden.split(size), targets.split(size), strict=True)
    if len(hidden) > size:
        losses = torch.cat([checkpoint(chunk, h, t, use_reentrant=False) for h, t in parts])
    else:
        losses = chunk(hidden, targets)
    return (losses * weights).sum(), losses.detach()


def context_distillation(
    logits: torch.Tensor, teacher: torch.Tensor, targets: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    """share · KL(teacher ‖ student) + (1 - share) · cross-entropy of each label, [M].

    logits of the student and of the teacher [M, vocabulary], float32; targets and shares [M]. The first
    term of Deep Context Distillation (Caccia et al. 2025, arXiv 2503.08727).
    """
    ours, theirs = logits.log_softmax(-1), teacher.log_softmax(-1)
    divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)
    return shares * divergence + (1 - shares) * F.nll_loss(ours, targets, reduction="none")


def distilled_losses(
    model: PreTrainedModel,
    hidden: torch.Tensor,
    teacher: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    shares: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ weight · `context_distillation`, and that of each label, [M], detached.

    hidden states of student and teacher [M, width]; targets, weights, shares [M]. Logits of one chunk at
    a time, computed again in the backward.
    """

    def chunk(states, taught, wanted, share):
        with torch.no_grad():
            theirs = head_logits(model, taught)
        return context_distillation(head_logits(model, states), theirs, wanted, share)

    size = labels_at_once(model.get_output_embeddings().weight)
    parts = zip(*(x.split(size) for x in (hidden, teacher, targets, shares)), strict=True)
    losses = torch.cat([checkpoint(chunk, *part, use_reentrant=False) for part in parts])
    return (losses * weights).sum(), losses.detach()


class _FrozenHeadLoss(torch.autograd.Function):
    """The loss on a head that does not train: its only gradient, of the states, is taken at once.

    So no logits wait for the backward, and the probabilities are computed in their place.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, weights):
        stored = dtype = hidden.dtype
        if len(hidden) >= CAST_FROM:
            dtype = product_dtype(hidden.device.type, weight.dtype)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
        losses, grads, size = [], [], labels_at_once(weight)
        for h, t, w in zip(*(x.split(size) for x in (hidden, targets, weights)), strict=True):
            logits = F.linear(h, weight, bias).float()
            top = logits.amax(-1, keepdim=True)
            right = logits.gather(1, t[:, None])
            total = logits.sub_(top).exp_().sum(-1, keepdim=True)
            losses.append((total.log() + top - right)[:, 0])
            if ctx.needs_input_grad[0]:
                grad = logits.mul_(w[:, None] / total)
                grad.scatter_add_(1, t[:, None], -w[:, None])
                grads.append((grad.to(dtype) @ weight).to(stored))
        losses = torch.cat(losses)
        ctx.save_for_backward(torch.cat(grads) if grads else None)
        ctx.mark_non_differentiable(losses)
        return (losses * weights).sum(), losses

    @staticmethod
    def backward(ctx, grad, _):
        (grad_hidden,) = ctx.saved_tensors
        return grad_hidden * grad.to(grad_hidden.dtype), None, None, None, None
