"""The routed LoRA layer: each adapter adds its low-rank product to its own rows of the pack.

PEFT holds the adapters and reads and writes their folders; only the forward of its LoRA layers is
replaced. Which tokens an adapter is active on is set once a pack (`Routing.spans`), so the forwards
of an objective become one, and switching adapters costs nothing.
"""

import types
from dataclasses import dataclass, field

import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from prereq.errors import PrereqError


@dataclass
class Routing:
    """The spans of the pack at hand, shared by all routed layers of a model."""

    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    dropout: dict[str, float] = field(default_factory=dict)  # of adapters that train


class _AddLora(torch.autograd.Function):
    """`y[span] += scale · dropout(x[span]) Aᵀ Bᵀ`, in place; y [1, T, out], x [1, T, in].

    A frozen adapter stores no activation and computes no weight gradient; its only work in the
    backward is the gradient of its input. Products are taken in the base's dtype; the weights of an
    adapter, and so its updates, stay float32.
    """

    @staticmethod
    def forward(ctx, y, x, a, b, scale, start, stop, dropout):
        flat_x, flat_y = x.view(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        part = flat_x[start:stop]
        keep = None
        if dropout:
            keep = torch.empty_like(part).bernoulli_(1 - dropout).div_(1 - dropout)
            part = part * keep
        trains = a.requires_grad
        low_a, low_b = a.to(x.dtype), b.to(x.dtype)
        inner = part @ low_a.t()  # [span, r]
        flat_y[start:stop].addmm_(inner, low_b.t(), alpha=scale)
        ctx.mark_dirty(y)
        ctx.save_for_backward(
            low_a, low_b, flat_x if trains else None, inner if trains else None, keep
        )
        ctx.scale, ctx.start, ctx.stop, ctx.weights = scale, start, stop, a.dtype
        return y

    @staticmethod
    def backward(ctx, grad):
        a, b, x, inner, keep = ctx.saved_tensors
        flat_grad = grad.reshape(-1, grad.shape[-1])
        part = flat_grad[ctx.start : ctx.stop]
        grad_inner = (part @ b).mul_(ctx.scale)  # [span, r]
        grad_a = grad_b = grad_x = None
        if inner is not None:
            seen = x[ctx.start : ctx.stop]
            seen = seen if keep is None else seen * keep
            grad_a = (grad_inner.t() @ seen).to(ctx.weights)
            grad_b = (part.t() @ inner).to(ctx.weights).mul_(ctx.scale)
        if ctx.needs_input_grad[1]:
            grad_part = grad_inner @ a
            if keep is not None:
                grad_part.mul_(keep)
            if len(grad_part) == len(flat_grad):
                grad_x = grad_part
            else:
                grad_x = grad_part.new_zeros(len(flat_grad), a.shape[1])
                grad_x[ctx.start : ctx.stop] = grad_part
            grad_x = grad_x.view(*grad.shape[:-1], -1)
        return grad, grad_x, grad_a, grad_b, None, None, None, None


def _routed_forward(self: LoraLayer, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
    y = self.base_layer(x)
    routing: Routing = self.routing
    for name, spans in routing.spans.items():
        if name not in self.lora_A:
            continue
        a, b, scale = self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name]
        dropout = routing.dropout.get(name, 0.0) if self.training else 0.0
        for start, stop in spans:
            y = _AddLora.apply(y, x, a, b, scale, start, stop, dropout)
    return y


def route(model: nn.Module) -> Routing:
    """Give every LoRA layer of a PEFT model the routed forward; returns the shared routing."""
    routing = Routing()
    for name, module in model.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        if module.use_dora and any(module.use_dora.values()):
            raise PrereqError(f"{name}: a DoRA adapter; prereq trains and routes plain LoRA only")
        if not isinstance(module.get_base_layer(), nn.Linear):
            kind = type(module.get_base_layer()).__name__
            raise PrereqError(f"{name}: LoRA on a {kind}; prereq routes LoRA on linear layers only")
        module.routing = routing
        module.forward = types.MethodType(_routed_forward, module)
    return routing
