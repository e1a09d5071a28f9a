"""Generation against the model's own forward, on a few short prompts, before the first answer."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from prereq.data.packing import PrefixShared
from prereq.evaluation.generate import next_logits
from prereq.model.attention import in_place
from prereq.model.kv_cache import Decode, KVCache, Prefill
from prereq.model.self_check import (
    Unfit,
    compare,
    fault,
    plain_attention,
    plain_logits,
    refusal,
    rounded_anew,
)

STEPS = 3  # tokens decoded after the prompts


@torch.inference_mode()
def check(model: PreTrainedModel, prompts: Sequence[list[int]]) -> None:
    """The packed generation: one prefill and three decoding steps. Raises PrereqError where wrong."""
    if unfit := fault(model, prompts, lambda probe: _check(model, sorted(probe))):
        works = "stage.engine=padded (the model's own generate: slower)"
        raise refusal(model, str(unfit), works)


def _check(model: PreTrainedModel, rows: list[list[int]]) -> None:
    """Raise Unfit where these rows give something else than expected."""
    try:
        found = _decode(model, rows)
    except Unfit:
        raise
    except Exception as error:  # whatever a model's own code may raise
        reason = str(error).strip().partition("\n")[0]
        raise Unfit(f"it fails ({type(error).__name__}: {reason})") from None
    expected = _plain(model, rows)
    compare("the logits", found, expected, model.dtype, lambda: _rounded(model, rows))


@torch.inference_mode()
def check_attention(model: PreTrainedModel, prompts: Sequence[list[int]]) -> None:
    """Whether the model's attention is what its eager one is. Raises PrereqError where it is not."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model

    def check(probe: list[list[int]]) -> None:
        ids = torch.tensor(probe[:1], device=inner.device)

        def eager() -> torch.Tensor:
            with plain_attention(inner):
                return plain_logits(model, ids)[0]

        def rounded() -> torch.Tensor:
            with rounded_anew(model, inner.dtype):
                return eager()

        compare("the logits", plain_logits(model, ids)[0], eager(), inner.dtype, rounded)

    if unfit := fault(inner, prompts, check):
        raise refusal(inner, str(unfit), "model.attn_implementation=eager")


def _decode(model: PreTrainedModel, rows: list[list[int]]) -> torch.Tensor:
    """Logits [(steps + 1) · rows, vocabulary]; each row is continued by its own first tokens."""
    room = max(map(len, rows)) + STEPS
    cache = KVCache(len(rows), room, room, model.device)
    flat = PrefixShared()
    for row in rows:
        flat.add(row)
    padded = not in_place(model.device, model.dtype)
    layout = Prefill([len(row) for row in rows], flat.tokens, cache, padded)
    logits = [next_logits(model, flat.ids, flat.positions, layout, layout.last)]
    for step in range(STEPS):
        positions = cache.lengths
        layout = Decode(cache)
        logits.append(next_logits(model, [row[step] for row in rows], positions, layout))
    return torch.stack(logits).flatten(0, 1)


def _plain(model: PreTrainedModel, rows: list[list[int]]) -> torch.Tensor:
    """The same logits of the model's own forward, as [(steps + 1) · rows, vocabulary]."""
    expected = []
    with plain_attention(model):
        for row in rows:
            ids = torch.tensor([row + row[:STEPS]], device=model.device)
            expected.append(plain_logits(model, ids)[0, len(row) - 1 :])
    return torch.stack(expected, 1).flatten(0, 1)


def _rounded(model: PreTrainedModel, rows: list[list[int]]) -> torch.Tensor:
    with rounded_anew(model, model.dtype):
        return _plain(model, rows)
