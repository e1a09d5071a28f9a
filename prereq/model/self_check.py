"""Whether a model is one that an engine computes rightly: found out, not looked up in a list.

Before the first step and the first answer, a few short rows go through the engine and through the
model's own plain forward (`training.probe`, `evaluation.probe`). Where they differ by more than
rounding, the model is refused with what differs and what works instead. Token ids and positions beyond
the model's tables are refused before.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from prereq.errors import PrereqError

# The largest difference, as a share of the values' own size, between two right ways of computing.
TOLERANCE = {torch.float32: 5e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
# With 16 bits a deep model can amplify rounding beyond that. Then it is measured; a difference of so many
# times what rounding does passes, below a limit. Faults of attention and positions start at 0.4.
ROUNDINGS, LIMIT = 3.0, 0.3
TRIES = 5
# Fields of a configuration that keep attention to the tokens nearby.
WINDOWS = ("sliding_window", "attention_chunk_size", "window_size", "local_attention")
WINDOWS += ("attention_window_size", "local_attn_window_size")


class Unfit(PrereqError):
    """The engine does not compute this model as the model itself does."""


@contextmanager
def plain_attention(model: PreTrainedModel) -> Iterator[None]:
    """Within it the model runs its own eager attention, if it can be switched."""
    before = model.config._attn_implementation
    try:
        if model._can_set_attn_implementation():
            model.set_attn_implementation("eager")
        yield
    finally:
        if model._can_set_attn_implementation():
            model.set_attn_implementation(before)


def plain_logits(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Logits [R, L, vocabulary], float32, of the model's own forward on rows of one length, [R, L]."""
    try:
        out = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    except Exception as error:  # whatever a model's own code may raise
        reason = str(error).strip().partition("\n")[0]
        raise PrereqError(
            f"{type(model).__name__}: its own forward fails ({type(error).__name__}: {reason}); prereq "
            "trains causal language models that take input_ids and attention_mask"
        ) from None
    return out.logits.float()


def fault(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], check: Callable[[list[list[int]]], None]
) -> Unfit | None:
    """What `check` raises of rows made of `rows`; None where it agrees. With 16 bits several are tried.

    There the state of a single token can hang on rounding: in SmolLM2 one in some hundred does, and is
    off by its own size, whoever computes it. What is not computed rightly shows in every try.
    """
    faults = []
    for number in range(1 if model.dtype == torch.float32 else TRIES):
        try:
            check(probe_rows(model, rows, number))
        except Unfit as unfit:
            faults.append(unfit)
        else:
            return None
    return faults[0]


def probe_rows(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], number: int = 0
) -> list[list[int]]:
    """Three rows, the beginnings of three of `rows`, two of which begin alike.

    They are as short as shows a difference; where the model attends to a window of tokens that is
    narrower than the longest of `rows`, one row is longer than that window. Text as it comes, because
    on tokens in no order rounding grows further. Another `number` gives others.
    """
    config = model.config.get_text_config()
    longest = max(rows, key=len)
    windows = [getattr(config, name, None) for name in WINDOWS]
    narrow = [int(w) for w in windows if isinstance(w, int) and 0 < w < len(longest)]
    length = min(len(longest), min(narrow) + 8) if narrow else 7
    drawn = random.Random(number).choices(rows, k=3)
    picked = [longest if narrow else drawn[0], *drawn[1:]]
    found = [list(islice(cycle(row), n)) for row, n in zip(picked, (length, 7, 7), strict=True)]
    found[1][:3] = found[0][:3]
    return found


@contextmanager
def rounded_anew(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Within it, what embeddings and linear layers give is off by what rounding to `dtype` may change.

    The model's own forward within it, against the one without, measures what rounding does to the end.
    """
    unit = torch.finfo(dtype).eps / 2
    generator = torch.Generator().manual_seed(0)

    def shake(_: nn.Module, __: object, out: torch.Tensor) -> torch.Tensor:
        signs = 2 * torch.randint(2, out.shape, generator=generator) - 1
        return out + out * (unit * signs.to(out.device, out.dtype))

    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Embedding)]
    hooks = [layer.register_forward_hook(shake) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def compare(
    what: str,
    found: torch.Tensor,
    expected: torch.Tensor,
    dtype: torch.dtype,
    rounded: Callable[[], torch.Tensor],
) -> None:
    """Raise Unfit where some row of [N, …] is further from what is expected than rounding goes.

    `rounded`: what is expected, computed once more within `rounded_anew`.
    """
    difference, allowed = _apart(what, found, expected), TOLERANCE[dtype]
    if not difference <= allowed and dtype != torch.float32:
        allowed = min(LIMIT, max(allowed, ROUNDINGS * _apart(what, rounded(), expected)))
    if not difference <= allowed:
        rounding = f"rounding is up to {allowed:.1e}"
        raise Unfit(f"{what} differ by {difference:.1e} of their size ({rounding})")


def _apart(what: str, found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference of two rows of [N, …], as a share of the size of what is expected."""
    found, expected = (x.detach().float().reshape(len(x), -1) for x in (found, expected))
    if not torch.isfinite(expected).all():
        raise PrereqError(
            f"{what} of the model's own forward are not finite: its weights are broken"
        )
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1).clamp(min=1e-9)).max())


def refusal(model: PreTrainedModel, why: str, works: str) -> PrereqError:
    """The one message for a model that is refused. `works`: what to set instead."""
    attention = model.config._attn_implementation
    return PrereqError(
        f"{model.name_or_path}: {type(model).__name__} is not computed rightly here with attention "
        f"`{attention}`. Compared with the model's own forward, {why}. What works: {works}"
    )


def check_ids(model: PreTrainedModel, largest: int, what: str) -> None:
    """Refuse a token id that the model has no embedding for."""
    count = model.get_input_embeddings().weight.shape[0]
    if largest >= count:
        raise PrereqError(
            f"{what}: the tokenizer gives token id {largest}, and {model.name_or_path} has embeddings "
            f"for 0 to {count - 1} only; tokenizer and model do not belong together, give a folder "
            "that holds both as they were saved"
        )


def check_length(shape: PretrainedConfig, length: int, what: str, key: str) -> None:
    """Refuse a sequence of more tokens than the model has positions; `key` is what makes it shorter."""
    most = getattr(shape.get_text_config(), "max_position_embeddings", None)
    if most and length > most:
        raise PrereqError(
            f"{what}: the longest sequence would have {length:,} tokens, and the base model has {most:,} "
            f"positions (max_position_embeddings); lower {key}"
        )
