"""Answers by the model's own `generate`: slow, and right for every model that has one.

Prompts of equal length make a batch, so that nothing is padded: no model's positions or recurrent
state can be led astray. This is also what the project's own generation is tested against.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from prereq.evaluation.generate import Generation
from prereq.evaluation.sampling import Choose, greedy


class _Chosen(LogitsProcessor):
    """Leaves the chosen token alone to choose from, and notes its log-probability, [rows] a step."""

    def __init__(self, choose: Choose, prompts: Sequence[int], on_step: Callable[[], None]):
        self.choose, self.prompts, self.on_step = choose, prompts, on_step
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.on_step()
        places = [(prompt, len(self.steps)) for prompt in self.prompts]
        tokens, log_probabilities = self.choose(scores.float().clone(), places)
        self.steps.append(log_probabilities)
        return torch.full_like(scores, -torch.inf).scatter(1, tokens[:, None], 0.0)


@torch.inference_mode()
def generate_plain(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    tokens_per_batch: int,
    choose: Choose = greedy,
    on_done: Callable[[int], None] = lambda rows: None,
) -> list[Generation]:
    """The continuation of each prompt (token ids), in the order given.

    `on_done(n)` is called after every token, with how many have ended.
    """
    end = tokenizer.eos_token_id
    # Complete, and the model's default as well, so that no default of the model's creeps in.
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.generation_config = settings
    results: list[Generation | None] = [None] * len(prompts)
    for batch in _batches(prompts, max_new_tokens, tokens_per_batch):
        ids = torch.tensor([prompts[i] for i in batch], device=model.device)
        chosen = _Chosen(choose, batch, partial(on_done, 0))
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=settings,
            logits_processor=LogitsProcessorList([chosen]),
        )
        log_probabilities = torch.stack(chosen.steps, 1).tolist()
        for i, new, logs in zip(
            batch, out[:, ids.shape[1] :].tolist(), log_probabilities, strict=True
        ):
            ended = end in new
            new = new[: new.index(end)] if ended else new
            logs = logs[: len(new) + ended]
            text = tokenizer.decode(new, skip_special_tokens=True).strip()
            results[i] = Generation(text, len(new), ended, math.exp(sum(logs) / len(logs)))
        on_done(len(batch))
    return results


def _batches(
    prompts: Sequence[list[int]], max_new_tokens: int, tokens_per_batch: int
) -> list[list[int]]:
    """Numbers of prompts of one length each, as many as `tokens_per_batch` has room for."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    batches = []
    for length, group in groupby(order, key=lambda i: len(prompts[i])):
        numbers = list(group)
        count = max(1, tokens_per_batch // (length + max_new_tokens))
        batches += [numbers[i : i + count] for i in range(0, len(numbers), count)]
    return batches
