"""The routed LoRA layer: each adapter adds its low-rank product to its own rows of the pack.

PEFT holds the adapters and reads and writes their folders; only the forward of its LoRA layers is
replaced. Which tokens an adapter is active on is set once a pack (`Routing.spans`), so the forwards
of an objective become one, and switching adapters costs nothing.
"""

import types
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import nn

from prereq.errors import PrereqError


@dataclass
class Routing:
    """The spans of the pack at hand, shared by all routed layers of a model."""

    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    dropout: dict[str, float] = field(default_factory=dict)  # of adapters that train


class _RoutedLinear(torch.autograd.Function):
    """`x Wᵀ + b`, and `y[span] += scale · drop(x[span]) Aᵀ Bᵀ` for each piece; x [1, T, in].

    One function for the whole layer, so that the gradient of the input is gathered in one buffer. A
    frozen adapter stores no activation and computes no weight gradient; its only work in the backward
    is the gradient of its input. Products are taken in the base's dtype; the weights of an adapter,
    and so its updates, stay float32.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, pieces, *matrices):
        flat = x.view(-1, x.shape[-1])
        y = F.linear(flat, weight, bias)
        low = [matrix.to(x.dtype) for matrix in matrices]  # A, B of each adapter in turn
        trains = [matrix.requires_grad for matrix in matrices[::2]]
        kept = []
        for adapter, start, stop, scale, dropout in pieces:
            part, keep = flat[start:stop], None
            if dropout:
                keep = _keep(part, dropout)
                part = part * keep
            inner = part @ low[2 * adapter].t()  # [span, r]
            y[start:stop].addmm_(inner, low[2 * adapter + 1].t(), alpha=scale)
            # On a CPU memory costs less than another pass over it: the dropped input is kept.
            again = part if trains[adapter] and dropout and x.device.type == "cpu" else None
            kept += [inner if trains[adapter] else None, keep, again]
        ctx.save_for_backward(flat if any(trains) else None, weight, *low, *kept)
        ctx.pieces, ctx.trains = pieces, trains
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx, grad):
        flat, weight, *rest = ctx.saved_tensors
        low, kept = rest[: 2 * len(ctx.trains)], rest[2 * len(ctx.trains) :]
        grad = grad.reshape(-1, grad.shape[-1])
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        grads = [None] * len(low)
        for number, (adapter, start, stop, scale, _) in enumerate(ctx.pieces):
            (a, b), (inner, keep, seen) = low[2 * adapter :][:2], kept[3 * number :][:3]
            part = grad[start:stop]
            grad_inner = (part @ b).mul_(scale)  # [span, r]
            if grad_x is not None and keep is None:
                grad_x[start:stop].addmm_(grad_inner, a)
            elif grad_x is not None:
                grad_x[start:stop].addcmul_(grad_inner @ a, keep)
            if ctx.trains[adapter]:
                if seen is None:
                    seen = flat[start:stop] if keep is None else flat[start:stop] * keep
                grad_a = (grad_inner.t() @ seen).float()
                grad_b = (part.t() @ inner).float().mul_(scale)
                for place, value in ((2 * adapter, grad_a), (2 * adapter + 1, grad_b)):
                    grads[place] = value if grads[place] is None else grads[place].add_(value)
        grad_x = None if grad_x is None else grad_x.view(1, *grad_x.shape)
        return grad_x, None, None, None, *grads


def _keep(like: torch.Tensor, dropout: float) -> torch.Tensor:
    """1 where an element is kept, 0 with probability `dropout`; in the dtype of `like`.

    `bernoulli_` on a CPU takes a third of a training step: it draws one element at a time. Here one
    draw of 64 bits, by a faster generator with a seed from torch's, serves four elements, and a
    probability is met to 1/65,536.
    """
    if like.device.type != "cpu":
        return torch.empty_like(like).bernoulli_(1 - dropout)
    count = like.numel()
    draw = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
    bits = draw.integers(0, 2**64, (count + 3) // 4, dtype=np.uint64).view(np.int16)
    low = -(2**15) + round(dropout * 2**16)
    return (torch.from_numpy(bits)[:count] >= low).view(like.shape).to(like.dtype)


def _routed_forward(self: LoraLayer, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
    routing: Routing = self.routing
    pieces, matrices = [], []
    for name, spans in routing.spans.items():
        if name not in self.lora_A:
            continue
        dropout = routing.dropout.get(name, 0.0) if self.training else 0.0
        scale = self.scaling[name] / (1 - dropout)
        pieces += [(len(matrices) // 2, start, stop, scale, dropout) for start, stop in spans]
        matrices += [self.lora_A[name].weight, self.lora_B[name].weight]
    base = self.get_base_layer()
    return _RoutedLinear.apply(x, base.weight, base.bias, pieces, *matrices)


def route(model: nn.Module) -> Routing:
    """Give every LoRA layer of a PEFT model the routed forward; returns the shared routing.

    Which adapters train must be settled before: frozen ones are put into the base's dtype.
    """
    routing = Routing()
    for name, module in model.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        if module.use_dora and any(module.use_dora.values()):
            raise PrereqError(f"{name}: a DoRA adapter; prereq trains and routes plain LoRA only")
        if type(module.get_base_layer()) is not nn.Linear:
            kind = type(module.get_base_layer()).__name__
            raise PrereqError(
                f"{name}: LoRA on a {kind}; prereq routes LoRA on plain linear layers only"
            )
        for matrix in (*module.lora_A.parameters(), *module.lora_B.parameters()):
            if not matrix.requires_grad:  # cast once, not in every forward
                matrix.data = matrix.data.to(module.get_base_layer().weight.dtype)
        module.routing = routing
        module.forward = types.MethodType(_routed_forward, module)
    return routing
