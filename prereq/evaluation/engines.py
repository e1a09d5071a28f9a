"""Who generates: this project's own loop, `model.generate` of transformers, or a server by URL.

An engine is a function `answer(adapters, prompts, on_done)` that returns a `Generation` for each prompt
(token ids), greedily, with the given adapter folders applied to the base model. Those that hold the
model in this process take `choose` too: see `prereq.evaluation.sampling`.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from prereq.clients import Parameters, Reply, complete, connect
from prereq.config import EvalConfig, ModelConfig, Server
from prereq.data.problems import shown
from prereq.errors import PrereqError
from prereq.evaluation import probe
from prereq.evaluation.generate import Generation, generate
from prereq.evaluation.plain import generate_plain
from prereq.evaluation.sampling import greedy
from prereq.model import adapters
from prereq.model.loading import load_model
from prereq.model.numerics import ROWS, attention_for, product_dtype
from prereq.model.self_check import check_ids, check_length
from prereq.runtime.ranks import device

Answer = Callable[..., list[Generation]]


def engine(
    settings: EvalConfig,
    model: ModelConfig,
    training_engine: str,
    base: Path | str,
    tokenizer: PreTrainedTokenizerBase,
    longest: str = "eval.max_new_tokens",
) -> Answer:
    """The engine that `eval.engine` and `stage.engine` (`training_engine`) choose.

    The packed one needs attention `rows`; with another attention `model.generate` answers. `longest` is
    the configuration's key of `settings.max_new_tokens`, for messages.
    """
    if settings.engine == "server":
        return partial(_served, settings, tokenizer)
    if training_engine == "packed" and attention_for(model, training_engine) == ROWS:
        return _packed(settings, model, base, tokenizer, longest)
    return _plain(settings, model, base, tokenizer, longest)


def _packed(settings: EvalConfig, config: ModelConfig, base, tokenizer, longest) -> Answer:
    """All prompts in a few forwards, adapters merged into the base."""
    model = load_model(base, config, "packed", device(), whole=True).to(device()).eval()
    model.to(product_dtype(model.device.type, model.dtype))
    checked, originals = False, {}

    def answer(folders, prompts, on_done, choose=greedy):
        nonlocal checked
        _check_tables(model, prompts, settings, longest)
        if prompts and not checked:
            probe.check(model, prompts)
            checked = True
        size = settings.max_new_tokens, settings.tokens_per_batch
        with adapters.merged(model, folders, originals):
            return generate(model, tokenizer, prompts, *size, choose, on_done)

    return answer


def _plain(settings: EvalConfig, config: ModelConfig, base, tokenizer, longest) -> Answer:
    """The model's own `generate`, adapters applied by PEFT."""

    def fresh():
        model = load_model(base, config, "padded", device(), whole=True)
        return model if config.quantize else model.to(device())

    bare = cache(fresh)

    def answer(folders, prompts, on_done, choose=greedy):
        # PEFT changes the base itself for some kinds of adapters, so each set begins with a fresh one.
        model = fresh() if folders else bare()
        _check_tables(model, prompts, settings, longest)
        model = adapters.applied(model, folders).eval()
        if prompts:
            probe.check_attention(model, prompts)
        size = settings.max_new_tokens, settings.tokens_per_batch
        return generate_plain(model, tokenizer, prompts, *size, choose, on_done)

    return answer


def _check_tables(model, prompts: Sequence[list[int]], settings: EvalConfig, key: str) -> None:
    if prompts:
        longest = max(map(len, prompts)) + settings.max_new_tokens
        check_ids(model, max(map(max, prompts)), "prompts")
        check_length(model.config, longest, "prompts with their answers", key)


def _served(settings: EvalConfig, tokenizer, folders, prompts, on_done) -> list[Generation]:
    """`/v1/completions` of an OpenAI-compatible server that serves base and skill as one model."""
    server = Server(settings.server, settings.served_as, settings.api_key_env, settings.requests)
    texts = [_text(tokenizer, ids) for ids in prompts]
    parameters = Parameters(settings.max_new_tokens)
    with connect(server, ("eval.server", "eval.served_as")) as client:
        replies = complete(client, texts, parameters, on_done=lambda rows, _: on_done(rows))
    return [_generation(tokenizer, reply) for reply in replies]


def _generation(tokenizer, reply: Reply) -> Generation:
    text = reply.text.strip()
    return Generation(
        text, len(tokenizer(text, add_special_tokens=False).input_ids), reply.ended, None
    )


def _text(tokenizer, ids: list[int]) -> str:
    """The text that the tokenizer turns into these ids: special tokens written out where they must be,
    a chat template's without the start token where the tokenizer adds that itself. Raises PrereqError
    where no text does."""
    whole = tokenizer.decode(ids)
    shorter = whole.removeprefix(tokenizer.bos_token or "")
    for text in (tokenizer.decode(ids, skip_special_tokens=True), whole, shorter):
        if tokenizer(text).input_ids == ids:
            return text
    raise PrereqError(
        f"eval.engine=server: no text becomes the tokens of the prompt {shown(whole)} with the tokenizer "
        "of the model, which adds tokens of its own, so a server would be asked something else; use "
        "eval.engine=batches, or dataset.prompt=plain"
    )
