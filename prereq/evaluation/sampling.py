"""How the next token is chosen: the likeliest one, or one drawn by temperature and top-p."""

from collections.abc import Callable, Sequence

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

Places = Sequence[tuple[int, int]]  # of each row the number of its prompt, and its tokens so far
# Logits [rows, vocabulary] and places → of each row the token chosen and the log-probability that the
# model gives it (in nats, before temperature and top-p), both [rows]. The logits may be overwritten.
Choose = Callable[[torch.Tensor, Places], tuple[torch.Tensor, torch.Tensor]]
MOST = 1 - 1e-6  # of a sum of probabilities, so that rounding leads to no token that has none


def greedy(logits: torch.Tensor, places: Places = ()) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest token, of equals the first."""
    best, tokens = logits.max(-1, keepdim=True)
    return tokens[:, 0], logits.sub_(best).exp_().sum(-1).log_().neg_()


def sampler(temperature: float, top_p: float, seed: int, device: torch.device) -> Choose:
    """Draws from the model's distribution at `temperature` (> 0), cut to the likeliest tokens that hold
    `top_p` of it (in (0, 1]; nucleus sampling, Holtzman et al. 2020).

    What is drawn depends on `seed` and on which rows stand in one forward.
    """
    generator = torch.Generator(device).manual_seed(seed)
    heat, nucleus = TemperatureLogitsWarper(float(temperature)), TopPLogitsWarper(top_p)

    def choose(logits: torch.Tensor, places: Places = ()) -> tuple[torch.Tensor, torch.Tensor]:
        logs = logits.float().log_softmax(-1)
        chances = nucleus(None, heat(None, logs)).softmax(-1)
        tokens = torch.multinomial(chances, 1, generator=generator)
        return tokens[:, 0], logs.gather(1, tokens)[:, 0]

    return choose


def by_prompt(temperature: float, top_p: float, seeds: Sequence[int], tokens: int) -> Choose:
    """Draws as `sampler` does, each prompt by its own seed (0 to 2⁶³ - 1), for at most so many `tokens`.

    What is drawn for a prompt does not depend on which others stand in the same forward, as far as its
    logits do not. The n-th token is where a number drawn for it, uniform in [0, 1), falls in the
    cumulative distribution.
    """
    drawn = torch.stack(
        [torch.rand(tokens, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    )
    heat, nucleus = TemperatureLogitsWarper(float(temperature)), TopPLogitsWarper(top_p)

    def choose(logits: torch.Tensor, places: Places) -> tuple[torch.Tensor, torch.Tensor]:
        logs = logits.float().log_softmax(-1)
        sums = nucleus(None, heat(None, logs)).softmax(-1).cumsum(-1)
        prompts, steps = zip(*places, strict=True)
        shares = drawn[list(prompts), list(steps)].clamp(max=MOST).to(logits.device)
        chosen = torch.searchsorted(sums, (shares * sums[:, -1])[:, None], right=True)
        return chosen[:, 0], logs.gather(1, chosen)[:, 0]

    return choose


def until(choose: Choose, ends: Sequence[int], end: int) -> Choose:
    """`choose`, which takes the end token `end` in place of any of the tokens `ends`."""
    stops = torch.tensor(ends)

    def chosen(logits: torch.Tensor, places: Places = ()) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, log_probabilities = choose(logits, places)
        stop = torch.isin(tokens, stops.to(tokens.device))
        return tokens.masked_fill(stop, end), log_probabilities

    return chosen
