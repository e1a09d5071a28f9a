"""The routed LoRA layer: each adapter adds its low-rank product to its own rows of the pack.

PEFT holds the adapters and reads and writes their folders; only the forward of its LoRA layers is
replaced. Which tokens an adapter is active on is set once a pack (`Routing.spans`), so the forwards
of an objective become one, and switching adapters costs nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.nn.functional as F
from peft.tuners.lora import LoraLayer
from torch import nn

from prereq.errors import PrereqError
from prereq.model.adapters import lora_layers
from prereq.model.dropout import Drawn, add_kept, draw, drop, dropped_of
from prereq.model.numerics import product_dtype


@dataclass
class Routing:
    """The spans of the pack at hand, shared by all routed layers of a model."""

    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    dropout: dict[str, float] = field(
        default_factory=dict
    )  # adapter → rate, of those that drop out
    input: "Input | None" = None  # of the layer that was called last

    def input_of(self, x: torch.Tensor, dtype: torch.dtype) -> "Input":
        """Layers that read the same tensor (queries, keys and values) share what is made of it."""
        if self.input is None or self.input.x is not x:
            self.input = Input(x, x.detach().reshape(-1, x.shape[-1]).to(dtype))
        return self.input


@dataclass
class Input:
    """What layers make of their input: its tokens [T, in], and for each adapter what it sees of them."""

    x: torch.Tensor
    flat: torch.Tensor
    seen: dict[tuple[str, int], tuple] = field(default_factory=dict)

    def part(self, name: str, start: int, stop: int, rate: float) -> tuple:
        """A span with its dropped elements zero, [span, in], and which these are (None: none)."""
        if not rate:
            return self.flat[start:stop], None
        if (name, start) not in self.seen:
            part = self.flat[start:stop]
            drawn = draw(part, rate)
            self.seen[name, start] = drop(part, dropped_of(part, rate, drawn)), drawn
        return self.seen[name, start]


@dataclass(frozen=True)
class Piece:
    """An adapter on one span of tokens."""

    adapter: int  # its place among the adapters of the call
    start: int
    stop: int
    scale: float
    trains: bool
    seen: torch.Tensor  # [span, in]
    drawn: Drawn | None  # None: nothing is dropped
    rate: float


class _RoutedLinear(torch.autograd.Function):
    """`x Wᵀ + b`, and `y[span] += scale · drop(x[span]) Aᵀ Bᵀ` for each piece; x [1, T, in].

    One function for the whole layer, so that the gradient of the input is gathered in one buffer. A
    frozen adapter stores no activation and computes no weight gradient; its only work in the backward
    is the gradient of its input. Products are taken in the dtype of `flat`, which holds the values of
    x; the weights of an adapter, and so its updates, stay float32.
    """

    @staticmethod
    def forward(ctx, x, flat, weight, bias, pieces, *matrices):
        dtype = flat.dtype
        y = F.linear(flat, weight.to(dtype), None if bias is None else bias.to(dtype))
        low = [matrix.to(dtype) for matrix in matrices]  # A, B of each adapter in turn
        kept, spans = [], []
        for piece in pieces:
            a, b = low[2 * piece.adapter :][:2]
            inner = (piece.seen @ a.t()).mul_(piece.scale)  # [span, r]
            y[piece.start : piece.stop].addmm_(inner, b.t())
            seed = piece.drawn if isinstance(piece.drawn, int) else None
            # With a seed the backward makes `seen` anew from the input, which others keep as well.
            seen = piece.seen if seed is None else flat[piece.start : piece.stop]
            kept += [seen, inner] if piece.trains else [None, None]
            kept += [piece.drawn if seed is None else None]
            spans.append((piece.adapter, piece.start, piece.stop, piece.scale, piece.rate, seed))
        ctx.save_for_backward(weight, *low, *kept)
        ctx.spans = spans
        ctx.shape = x.shape
        return y.to(x.dtype).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx, grad):
        weight, *rest = ctx.saved_tensors
        low, kept = rest[: len(rest) - 3 * len(ctx.spans)], rest[len(rest) - 3 * len(ctx.spans) :]
        dtype = low[0].dtype if low else weight.dtype
        wanted, stored = ctx.needs_input_grad[0], grad.dtype
        grad = grad.reshape(-1, grad.shape[-1]).to(dtype)
        grad_x = grad @ weight.to(dtype) if wanted else None
        grads = [None] * len(low)
        for number, (adapter, start, stop, scale, rate, seed) in enumerate(ctx.spans):
            (a, b), (seen, inner, dropped) = low[2 * adapter :][:2], kept[3 * number :][:3]
            part = grad[start:stop]
            grad_inner = (part @ b).mul_(scale)  # [span, r]
            if seed is not None and (wanted or seen is not None):
                like = grad_x[start:stop] if wanted else seen
                dropped = dropped_of(like, rate, seed)
            if wanted:
                add_kept(grad_x[start:stop], grad_inner, a, dropped)
            if seen is not None:
                seen = seen if seed is None else drop(seen, dropped)
                grad_a = (grad_inner.t() @ seen).float()
                # Transposed: a product whose last dimension is short takes twice as long.
                grad_b = (inner.t() @ part).t().float()
                for place, value in ((2 * adapter, grad_a), (2 * adapter + 1, grad_b)):
                    grads[place] = value if grads[place] is None else grads[place].add_(value)
        grad_x = grad_x.to(stored).view(ctx.shape) if wanted else None
        return grad_x, None, None, None, None, *grads


def _routed_forward(self: LoraLayer, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
    routing: Routing = self.routing
    base = self.get_base_layer()
    shared = routing.input_of(x, product_dtype(x.device.type, base.weight.dtype))
    pieces, matrices = [], []
    for name, spans in routing.spans.items():
        if name not in self.lora_A:
            continue
        a, b = self.lora_A[name].weight, self.lora_B[name].weight
        rate = routing.dropout.get(name, 0.0) if self.training else 0.0
        scale = self.scaling[name] / (1 - rate)
        for start, stop in spans:
            seen = shared.part(name, start, stop, rate)
            pieces.append(
                Piece(len(matrices) // 2, start, stop, scale, a.requires_grad, *seen, rate)
            )
        matrices += [a, b]
    return _RoutedLinear.apply(x, shared.flat, base.weight, base.bias, pieces, *matrices)


def route(model: nn.Module) -> Routing:
    """Give every LoRA layer of a PEFT model the routed forward; returns the shared routing.

    Which adapters train must be settled before: frozen ones are put into the dtype of products.
    Raises PrereqError for layers that cannot be routed.
    """
    routing = Routing()
    head = getattr(model, "get_output_embeddings", lambda: None)()
    for name, layer in lora_layers(model):
        base = layer.get_base_layer()
        if type(base) is not nn.Linear or layer is head or any(layer.use_dora.values()):
            what = (
                "a DoRA adapter"
                if any(layer.use_dora.values())
                else f"LoRA on a {type(base).__name__}"
            )
            what = "LoRA on the LM head" if layer is head else what
            raise PrereqError(
                f"{name}: {what}; the packed engine routes plain LoRA on the linear layers inside the "
                "model only. Choose other target_modules, or use stage.engine=padded"
            )
        for matrix in (*layer.lora_A.parameters(), *layer.lora_B.parameters()):
            if not matrix.requires_grad:  # cast once, not in every forward
                matrix.data = matrix.data.to(product_dtype(matrix.device.type, base.weight.dtype))
        layer.routing = routing
        layer.__class__ = _routed_class(type(layer))
    return routing


@cache
def _routed_class(layer_class: type) -> type:
    """The class of a LoRA layer with the routed forward.

    A method on the layer itself would refer to the layer: nothing of a model would be freed at its end.
    """
    return type(
        layer_class.__name__, (layer_class,), {"forward": _routed_forward, "plain": layer_class}
    )


@contextmanager
def unrouted(model: nn.Module, adapters: Sequence[str]) -> Iterator[None]:
    """Within it PEFT's own forward runs in every LoRA layer, with these adapters active."""
    layers = [layer for _, layer in lora_layers(model)]
    trained = [p for p in model.parameters() if p.requires_grad]
    routed = [(layer, type(layer)) for layer in layers if hasattr(type(layer), "plain")]
    for layer, layer_class in routed:
        layer.__class__ = layer_class.plain
    try:
        if layers:
            model.base_model.set_adapter(list(adapters))
            model.requires_grad_(False)  # PEFT lets every active adapter train
            for parameter in trained:
                parameter.requires_grad_(True)
        yield
    finally:
        for layer, layer_class in routed:
            layer.__class__ = layer_class
