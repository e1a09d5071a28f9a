"""How the next token is chosen: the likeliest one, or one drawn by temperature and top-p."""

from collections.abc import Callable

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

# Logits [rows, vocabulary] → of each row the token chosen and the log-probability that the model gives
# it (in nats, before temperature and top-p), both [rows]. The logits may be overwritten.
Choose = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def greedy(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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

    def choose(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logs = logits.float().log_softmax(-1)
        chances = nucleus(None, heat(None, logs)).softmax(-1)
        tokens = torch.multinomial(chances, 1, generator=generator)
        return tokens[:, 0], logs.gather(1, tokens)[:, 0]

    return choose
