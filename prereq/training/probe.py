"""The training engines against the model's own forward, on a few short rows, before the first step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from prereq.data.tokens import Example, TokenRow
from prereq.model.numerics import ROWS
from prereq.model.routed_lora import unrouted
from prereq.model.self_check import (
    Unfit,
    compare,
    fault,
    plain_attention,
    plain_logits,
    refusal,
    rounded_anew,
)
from prereq.training.packed import PackedLM
from prereq.training.padded import PaddedLM


@dataclass(frozen=True)
class Seen:
    """What one way of computing gives for the M labels: hidden states [M, width], losses [M], and
    the gradients of everything that trains, as one vector [1, …]."""

    hidden: torch.Tensor
    losses: torch.Tensor
    gradient: torch.Tensor


def check(
    lm: PackedLM | PaddedLM, rows: Sequence[TokenRow], routes: Sequence[tuple[str, ...]]
) -> None:
    """`lm` against plain forwards. Raises PrereqError for a model that it is wrong for.

    `rows`: those that training will see; the probe is made of some of them. `routes`: the adapters
    that stand on a row; the probe has rows of the first and of the last. Adapters that train are drawn
    at random for the probe and restored.
    """
    tokens = [row.ids for row in rows]
    attempt = partial(_check, lm, [routes[0], routes[0], routes[-1]])
    trained = [(n, p) for n, p in lm.model.named_parameters() if p.requires_grad]
    before = [(p, p.detach().clone()) for name, p in trained if "lora_B" in name]
    lm.eval()
    try:
        generator = torch.Generator().manual_seed(0)
        for parameter, value in before:
            parameter.data.copy_(0.05 * torch.randn(value.shape, generator=generator))
        if unfit := fault(lm.inner, tokens, attempt):
            works = _what_works(lm, lambda: fault(lm.inner, tokens, attempt))
            raise refusal(lm.inner, str(unfit), works)
    finally:
        for parameter, value in before:
            parameter.data.copy_(value)
        lm.model.zero_grad(set_to_none=True)


def _check(
    lm: PackedLM | PaddedLM, routes: Sequence[tuple[str, ...]], probe: list[list[int]]
) -> None:
    """Raise Unfit where these rows, each on its route, give something else than expected."""
    if isinstance(lm, PaddedLM):
        probe[1] = probe[1][:-2]  # so that something is padded
    examples = [
        Example(TokenRow(ids, 1), route, "text", 1.0)
        for ids, route in zip(probe, routes, strict=True)
    ]
    examples.sort(key=lambda e: (e.route, e.row.ids))  # as both engines order them
    _compare(lm, examples, _plain(lm, examples))


def _plain(lm: PackedLM | PaddedLM, examples: Sequence[Example]) -> Seen:
    """The model's own forward and PEFT's. Rows of one length make a batch: none is padded."""
    lm.model.zero_grad(set_to_none=True)
    hidden, losses = [], []
    for (route, _), group in groupby(examples, key=lambda e: (e.route, len(e.row.ids))):
        ids = torch.tensor([example.row.ids for example in group], device=lm.inner.device)
        with plain_attention(lm.inner), unrouted(lm.model, route):
            with _inputs(lm.inner.get_output_embeddings()) as states:
                logits = plain_logits(lm.model, ids)[:, :-1]
            loss = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
            loss.sum().backward()
        hidden.append(states[0][:, :-1].flatten(0, 1))
        losses.append(loss.detach())
    return Seen(torch.cat(hidden), torch.cat(losses), _gradient(lm))


def _compare(lm: PackedLM | PaddedLM, examples: Sequence[Example], expected: Seen) -> None:
    """Raise Unfit where the engine gives something else than expected."""
    lm.model.zero_grad(set_to_none=True)
    hidden, losses = [], []

    @cache
    def rounded() -> Seen:
        with rounded_anew(lm.model, lm.inner.dtype):
            return _plain(lm, examples)

    try:
        for rows in lm.packs(examples, 10**6):
            batch = lm.layout(rows, lm.inner.device, ("text",))
            with _outputs(lm.inner.base_model) as states:
                loss, each = lm.label_losses(batch)
            loss.backward()
            losses.append(each)
            if isinstance(lm, PackedLM):
                hidden.append(states[0][0].index_select(0, batch.predict))
    except Unfit:
        raise
    except Exception as error:  # whatever a model's own code may raise
        reason = str(error).strip().partition("\n")[0]
        raise Unfit(f"it fails ({type(error).__name__}: {reason})") from None
    gradient, dtype = _gradient(lm), lm.inner.dtype
    if hidden:
        seen = torch.cat(hidden)
        compare("hidden states", seen, expected.hidden, dtype, lambda: rounded().hidden)
    # As one row: a token that the model is certain of has next to no loss to be compared with.
    seen, losses_expected = torch.cat(losses)[None], expected.losses[None]
    compare("token losses", seen, losses_expected, dtype, lambda: rounded().losses[None])
    compare("gradients", gradient, expected.gradient, dtype, lambda: rounded().gradient)


@contextmanager
def _inputs(head: nn.Module) -> Iterator[list[torch.Tensor]]:
    """What the LM head is given in each forward made within it: the last hidden states."""
    seen: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    try:
        yield seen
    finally:
        hook.remove()


@contextmanager
def _outputs(base: nn.Module) -> Iterator[list[torch.Tensor]]:
    """The last hidden states, [1, T, width], of each forward made within it."""
    seen: list[torch.Tensor] = []
    hook = base.register_forward_hook(
        lambda _, inputs, out: seen.append(out.last_hidden_state.detach())
    )
    try:
        yield seen
    finally:
        hook.remove()


def _gradient(lm: PackedLM | PaddedLM) -> torch.Tensor:
    """All gradients as one row, [1, …]; zeros where there is none."""
    trained = [p for p in lm.model.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    return torch.cat([gradient.flatten() for gradient in gradients])[None]


def _what_works(lm: PackedLM | PaddedLM, check: Callable[[], Unfit | None]) -> str:
    """What to set instead: another attention with which this engine is right, or the padded engine."""
    model, before, packed = lm.inner, lm.inner.config._attn_implementation, isinstance(lm, PackedLM)
    choices = [ROWS] if packed else []
    choices += ["sdpa", "eager"]
    works = []
    try:
        for name in choices if model._can_set_attn_implementation() else ():
            if name == before or works:
                continue
            try:
                model.set_attn_implementation(name)
            except (ValueError, ImportError):
                continue
            lm.rows = name == ROWS
            if check() is None:
                works.append(f"model.attn_implementation={name}")
    finally:
        model.set_attn_implementation(before)
        lm.rows = before == ROWS
    if packed:
        works.append("stage.engine=padded (plain padded forwards: slower)")
    return ", or ".join(works) or "another model; this one cannot be trained on padded rows"
