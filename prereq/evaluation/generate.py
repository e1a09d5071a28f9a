"""Greedy generation in batches: merged weights, rows of like length, each leaving at its own end."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from prereq.model.head import head_logits


@dataclass(frozen=True, slots=True)
class Generation:
    """`confidence` is the geometric mean probability of the tokens generated, the end's included.

    None where the engine does not tell probabilities.
    """

    text: str
    tokens: int  # without the end token
    ended: bool  # by itself, not by running out of new tokens
    confidence: float | None


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    tokens_per_batch: int,
    on_done: Callable[[int], None] = lambda rows: None,
) -> list[Generation]:
    """The greedy continuation of each prompt (token ids), in the order given.

    A batch holds at most `tokens_per_batch` tokens, counting `max_new_tokens` for each row.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    results: list[Generation | None] = [None] * len(prompts)
    while order:
        size = max(1, tokens_per_batch // (len(prompts[order[0]]) + max_new_tokens))
        batch, order = order[:size], order[size:]
        for row, ids, log_probability, ended in _batch(
            model, tokenizer, [prompts[i] for i in batch], max_new_tokens
        ):
            text = tokenizer.decode(ids, skip_special_tokens=True).strip()
            steps = len(ids) + ended
            results[batch[row]] = Generation(
                text, len(ids), ended, math.exp(log_probability / steps)
            )
        on_done(len(batch))
    return results


def _batch(model, tokenizer, prompts, max_new_tokens):
    """Yields `(row, token ids, summed log probability, ended)` for each row as it finishes."""
    device, end = model.device, tokenizer.eos_token_id
    longest = max(map(len, prompts))
    padding = torch.tensor([longest - len(p) for p in prompts], device=device)
    filler = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end
    tokens = torch.tensor([[filler] * (longest - len(p)) + list(p) for p in prompts], device=device)
    # Padding stands on the left; where there is none, no mask is needed and attention is faster.
    mask = None
    if bool(padding.any()):
        mask = (torch.arange(longest, device=device) >= padding[:, None]).long()
    position = (torch.arange(longest, device=device) - padding[:, None]).clamp(min=0)
    rows = torch.arange(len(prompts), device=device)
    chosen = torch.empty(len(prompts), 0, dtype=torch.long, device=device)
    total = torch.zeros(len(prompts), device=device)
    cache = DynamicCache(config=model.config)
    for step in range(max_new_tokens):
        states = model.base_model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        logits = head_logits(model, states[:, -1])
        best, tokens = logits.max(-1)
        total = total + best - logits.logsumexp(-1)
        ended = tokens == end
        alive = ~ended
        if step + 1 == max_new_tokens:
            chosen = torch.cat([chosen, tokens[:, None]], 1)
            for i in range(len(rows)):
                ids = chosen[i].tolist()
                yield int(rows[i]), ids[:-1] if ended[i] else ids, float(total[i]), bool(ended[i])
            return
        if bool(ended.any()):
            for i in ended.nonzero()[:, 0].tolist():
                yield int(rows[i]), chosen[i].tolist(), float(total[i]), True
            if not bool(alive.any()):
                return
            keep = alive.nonzero()[:, 0]
            cache.batch_select_indices(keep)
            rows, total, tokens, chosen = rows[keep], total[keep], tokens[keep], chosen[keep]
            position = position[keep]
            mask = None if mask is None else mask[keep]
        chosen = torch.cat([chosen, tokens[:, None]], 1)
        tokens = tokens[:, None]
        position = position[:, -1:] + 1
        if mask is not None:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
