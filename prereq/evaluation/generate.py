"""Generation: merged weights, no padding, each row in the KV cache until its own end."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from prereq.data.packing import PrefixShared
from prereq.evaluation.sampling import Choose, greedy
from prereq.model.attention import in_place
from prereq.model.head import head_logits
from prereq.model.kv_cache import Decode, KVCache, Prefill

PROMPT_TOKENS = 2048  # of the prompts that one forward reads (one prompt at least)
SHORT = 32  # new tokens that there is room for at first


@dataclass(frozen=True, slots=True)
class Generation:
    """`confidence` is the geometric mean probability of the tokens generated, the end's included.

    None where the engine does not tell probabilities.
    """

    text: str
    tokens: int  # without the end token
    ended: bool  # by itself, not by running out of new tokens
    confidence: float | None


@dataclass(slots=True)
class _Row:
    """A row that is being continued."""

    number: int  # of its prompt
    ids: list[int] = field(default_factory=list)  # generated
    log_probability: float = 0.0  # of them together


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    tokens_per_batch: int,
    choose: Choose = greedy,
    on_done: Callable[[int], None] = lambda rows: None,
) -> list[Generation]:
    """The continuation of each prompt (token ids), in the order given.

    The model's attention must be `rows`. As many rows are continued at once as `tokens_per_batch` has
    room for, counting the longest prompt and `max_new_tokens` for each; once a quarter of them has
    ended, others take their places. `on_done(n)` is called after every token, with how many have ended.
    """
    if not prompts:
        return []
    end, device = tokenizer.eos_token_id, model.device
    waiting = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # longest last
    longest = len(prompts[waiting[-1]])
    limit = longest + max_new_tokens
    count = min(len(prompts), max(1, tokens_per_batch // limit))
    cache = KVCache(count, longest + SHORT, limit, device)
    padded = not in_place(device, model.dtype)
    results: list[Generation | None] = [None] * len(prompts)
    rows: list[_Row] = []
    while waiting or rows:
        fresh = []
        if waiting and len(rows) <= 0.75 * cache.count:
            fresh = _fitting(waiting, prompts, cache.count - len(rows))
        if fresh:
            flat = PrefixShared()
            for i in fresh:
                flat.add(prompts[i])
            ids, positions = flat.ids, flat.positions
            layout = Prefill([len(prompts[i]) for i in fresh], flat.tokens, cache, padded)
            rows += (answering := [_Row(i) for i in fresh])
        else:
            ids, positions = [row.ids[-1] for row in rows], cache.lengths
            layout, answering = Decode(cache), rows
        logits = next_logits(model, ids, positions, layout, layout.last if fresh else None)
        places = [(row.number, len(row.ids)) for row in answering]
        tokens, log_probabilities = (chosen.tolist() for chosen in choose(logits, places))
        for row, token, log_probability in zip(answering, tokens, log_probabilities, strict=True):
            row.ids.append(token)
            row.log_probability += log_probability

        ended = [
            place
            for place, row in enumerate(rows)
            if row.ids[-1] == end or len(row.ids) == max_new_tokens
        ]
        for place in ended:
            results[rows[place].number] = _finished(tokenizer, rows[place])
        if ended:
            rows = [rows[place] for place in cache.evict(ended)]
        on_done(len(ended))
    return results


def next_logits(
    model: PreTrainedModel,
    ids: Sequence[int],
    positions: Sequence[int],
    layout: Prefill | Decode,
    last: torch.Tensor | None = None,
) -> torch.Tensor:
    """Logits, [rows, vocabulary], of the token that follows each row, by one forward over flat tokens.

    `last`: the last token of each row; None where every token is one.
    """
    states = model.base_model(
        input_ids=torch.tensor([ids], device=model.device),
        position_ids=torch.tensor([positions], device=model.device),
        use_cache=False,
        row_layout=layout,
    ).last_hidden_state[0]
    return head_logits(model, states if last is None else states[last])


def _fitting(waiting: list[int], prompts: Sequence[list[int]], free: int) -> list[int]:
    """Take the next prompts, the longest first, for as many rows and tokens as one forward reads.

    They come in lexicographic order, in which they share most.
    """
    fresh = [waiting.pop()]
    tokens = len(prompts[fresh[0]])
    while waiting and len(fresh) < free and tokens + len(prompts[waiting[-1]]) <= PROMPT_TOKENS:
        tokens += len(prompts[waiting[-1]])
        fresh.append(waiting.pop())
    return sorted(fresh, key=prompts.__getitem__)


def _finished(tokenizer: PreTrainedTokenizerBase, row: _Row) -> Generation:
    ended = row.ids[-1] == tokenizer.eos_token_id
    ids = row.ids[:-1] if ended else row.ids
    text = tokenizer.decode(ids, skip_special_tokens=True).strip()
    return Generation(text, len(ids), ended, math.exp(row.log_probability / len(row.ids)))
