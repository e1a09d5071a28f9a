"""Who generates: this project's own loop, transformers' continuous batching, or a server by URL.

An engine is a function `answer(adapters, prompts, on_done)` that returns a `Generation` for each prompt
(token ids), greedily, with the given adapter folders merged into the base model.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from prereq.config import Config
from prereq.errors import PrereqError
from prereq.evaluation.generate import Generation, generate
from prereq.model import adapters
from prereq.model.attention import NAME as ROWS
from prereq.model.loading import load_model
from prereq.model.precision import product_dtype
from prereq.training.loop import device

Answer = Callable[[list[Path], Sequence[list[int]], Callable[[int], None]], list[Generation]]


def engine(config: Config, base: Path | str, tokenizer: PreTrainedTokenizerBase) -> Answer:
    """The engine that `eval.engine` names."""
    if config.eval.engine == "server":
        return partial(_served, config, tokenizer)
    continuous = config.eval.engine == "continuous"
    model = load_model(base, config.model, "sdpa" if continuous else ROWS, device()).eval()
    model.to(product_dtype(model.device.type, model.dtype))
    one = _continuous if continuous else _batches

    def answer(folders, prompts, on_done):
        with adapters.merged(model, folders):
            return one(config, model, tokenizer, prompts, on_done)

    return answer


def _batches(config: Config, model: PreTrainedModel, tokenizer, prompts, on_done):
    size = config.eval.max_new_tokens, config.eval.tokens_per_batch
    return generate(model, tokenizer, prompts, *size, on_done=on_done)


@torch.no_grad()
def _continuous(config: Config, model: PreTrainedModel, tokenizer, prompts, on_done):
    """A finished row's place goes to the next prompt at once. Probabilities are not told."""
    wanted = GenerationConfig(
        max_new_tokens=config.eval.max_new_tokens,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    outputs = model.generate_batch(list(prompts), generation_config=wanted, progress_bar=False)
    failed = [output.error for output in outputs.values() if output.error]
    if failed or len(outputs) != len(prompts):
        reason = failed[0] if failed else f"{len(outputs)} of {len(prompts)} answers came"
        raise PrereqError(f"eval.engine=continuous failed ({reason}); use eval.engine=batches")
    by_number = {int(name.rpartition("_")[2]): output for name, output in outputs.items()}
    said = []
    for number in sorted(by_number):
        ids = list(by_number[number].generated_tokens)
        ended = bool(ids) and ids[-1] == tokenizer.eos_token_id
        ids = ids[:-1] if ended else ids
        text = tokenizer.decode(ids, skip_special_tokens=True).strip()
        said.append(Generation(text, len(ids), ended, None))
    on_done(len(prompts))
    return said


def _served(config: Config, tokenizer, folders, prompts, on_done) -> list[Generation]:
    """`/v1/completions` of an OpenAI-compatible server that serves base and skill as one model."""
    try:
        import openai
    except ImportError:
        raise PrereqError("eval.engine=server: pip install 'prereq[server]'") from None
    client = openai.OpenAI(
        base_url=f"{config.eval.server.rstrip('/').removesuffix('/v1')}/v1",
        api_key=os.environ.get(config.eval.api_key_env) or "none",
        max_retries=3,
    )

    def ask(ids: list[int]) -> Generation:
        reply = client.completions.create(
            model=config.eval.served_as,
            prompt=_text(tokenizer, ids),
            max_tokens=config.eval.max_new_tokens,
            temperature=0.0,
        )
        choice = reply.choices[0]
        text = choice.text.strip()
        count = len(tokenizer(text, add_special_tokens=False).input_ids)
        on_done(1)
        return Generation(text, count, choice.finish_reason == "stop", None)

    try:
        with ThreadPoolExecutor(config.eval.requests) as pool:
            return list(pool.map(ask, prompts))
    except openai.OpenAIError as error:
        first = str(error).strip().splitlines()[0]
        raise PrereqError(
            f"eval.server={config.eval.server}, eval.served_as={config.eval.served_as}: {first}; check "
            "the address, the model's name there, and that it has /v1/completions"
        ) from None


def _text(tokenizer, ids: list[int]) -> str:
    """The text that the tokenizer turns into these ids, the start token written out where it must be."""
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return text if tokenizer(text).input_ids == ids else tokenizer.decode(ids)
