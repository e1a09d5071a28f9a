"""Base models and tokenizers: from a local folder or the Hub, with clear answers where they fail."""

import importlib.util
import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from prereq.config import ModelConfig
from prereq.errors import PrereqError
from prereq.model.attention import layout_on
from prereq.model.memory import checkpoint_activations
from prereq.model.numerics import ROWS, attention_for, dtype_of
from prereq.runtime import ranks
from prereq.runtime.console import say

transformers_logging.disable_progress_bar()  # our own bars are enough
warnings.filterwarnings(
    "ignore", message=".*is_gradient_checkpointing.*"
)  # PEFT's, not ours to fix
_tokenizers: dict[tuple, PreTrainedTokenizerBase] = {}  # by place and state of the files


def load_tokenizer(path: Path | str, config: ModelConfig) -> PreTrainedTokenizerBase:
    """The tokenizer, with a padding token that is not the end token (or nothing learns to stop).

    It is read once a process, though rows are tokenised twice: to check them, and to train on them.
    """
    files = sorted(Path(path).iterdir()) if Path(path).is_dir() else ()
    state = tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    key = str(path), config.trust_remote_code, config.revision, state
    if key not in _tokenizers:
        _tokenizers[key] = _load_tokenizer(path, config)
    return _tokenizers[key]


def _load_tokenizer(path: Path | str, config: ModelConfig) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, **_source(path, config))
    except Exception as error:  # whatever a broken file makes a library raise
        raise PrereqError(_not_loaded("tokenizer", path, error)) from None
    if not tokenizer.is_fast:
        raise PrereqError(
            f"{path}: its tokenizer gives no character offsets; prereq needs a fast one"
        )
    if tokenizer.eos_token_id is None:
        raise PrereqError(
            f"{path}: its tokenizer has no end token; set eos_token in tokenizer_config.json"
        )
    tokenizer.pad_token = padding_token(tokenizer, path)
    return tokenizer


def load_model(
    path: Path | str,
    config: ModelConfig,
    engine: str,
    device: torch.device | str = "cpu",
    whole: bool = False,
) -> PreTrainedModel:
    """The base model in its dtype, frozen, with the attention that `engine` is to use.

    `device` is where it will run. Of processes that will share the model (FSDP) the first reads the
    weights and the others have its shape, unless each is to hold a `whole` one. Raises PrereqError
    where the folder or Hub id gives no whole model.
    """
    attention = attention_for(config, engine)
    whole = whole or ranks.is_main() or not ranks.sharded()
    model = _load(path, config, attention, device, whole)
    switches = model._can_set_attn_implementation()
    if attention is None and not switches and model.config._attn_implementation != "eager":
        # Its default attention cannot be compared with its eager one, so that is taken.
        model = _load(path, config, "eager", device, whole)
    if attention == ROWS and not switches:
        raise PrereqError(_not_loaded("model", path, ValueError(f"it has no {ROWS}"), attention))
    _switch_dropout_off(model)
    shown = model.config._attn_implementation
    if shown == ROWS:
        shown += f" ({layout_on(torch.device(device), model.dtype)})"
    say("using", f"{config.name} in {dtype_of(config)} on {device}, {engine}, attention {shown}")
    if config.gradient_checkpointing:
        checkpoint_activations(model)
    return model.requires_grad_(False)


def _load(
    path: Path | str,
    config: ModelConfig,
    attention: str | None,
    device: torch.device | str,
    whole: bool,
) -> PreTrainedModel:
    arguments: dict[str, Any] = {} if attention is None else {"attn_implementation": attention}
    if config.quantize:  # such weights cannot be moved afterwards
        arguments |= {"quantization_config": _quantization(config), "device_map": {"": device}}
    arguments["dtype"] = getattr(torch, dtype_of(config))
    arguments |= _source(path, config)
    try:
        if not whole:
            # Its shape alone: Accelerate hands out the weights that the first process reads.
            shape = load_shape(path, config)
            arguments.pop("revision")
            with init_empty_weights(include_buffers=False):
                model = AutoModelForCausalLM.from_config(shape, **arguments)
            model.tie_weights()
            return model
        model, loaded = AutoModelForCausalLM.from_pretrained(
            path, use_safetensors=True, output_loading_info=True, **arguments
        )
    except Exception as error:  # whatever a broken file makes a library raise
        raise PrereqError(_not_loaded("model", path, error, attention)) from None
    _check_loaded(path, model, loaded)
    return model


def load_shape(path: Path | str, config: ModelConfig) -> PretrainedConfig:
    """The model's configuration."""
    try:
        return AutoConfig.from_pretrained(path, **_source(path, config))
    except Exception as error:  # whatever a broken file makes a library raise
        raise PrereqError(_not_loaded("configuration", path, error)) from None


def _source(path: Path | str, config: ModelConfig) -> dict[str, Any]:
    """Where to read from: of a Hub id the commit that its key names."""
    revision = None if Path(path).is_dir() else config.revision
    return {"trust_remote_code": config.trust_remote_code, "revision": revision or "main"}


def _check_loaded(path: Path | str, model: PreTrainedModel, loaded: dict) -> None:
    """Refuse a model whose weights are not all there; name tensors that it has no use for."""
    mismatched = [f"{name} ({tuple(shape)})" for name, shape, _ in loaded["mismatched_keys"]]
    for what, names in (("missing", loaded["missing_keys"]), ("of another shape", mismatched)):
        if names:
            raise PrereqError(
                f"{path}: {len(names)} weights of {type(model).__name__} are {what}, {_some(names)}; "
                "copy or save the model anew, whole"
            )
    if loaded["unexpected_keys"]:
        names = loaded["unexpected_keys"]
        say("noted", f"{type(model).__name__} has no use for {len(names)} tensors, {_some(names)}")


def _switch_dropout_off(model: PreTrainedModel) -> None:
    """The frozen base drops nothing: how much is dropped is what the recipe says of its adapters."""
    rates = []
    for holder in (*model.modules(), model.config, model.config.get_text_config()):
        for name, value in list(vars(holder).items()):
            if isinstance(value, float) and value and (name == "p" or "drop" in name):
                if name == "p" and not isinstance(holder, nn.Dropout):
                    continue
                rates.append(value)
                setattr(holder, name, 0.0)
    if rates:
        say(
            "noted",
            f"{type(model).__name__} would drop out {max(rates):g} of its own; switched off",
        )


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "")


def _quantization(config: ModelConfig) -> BitsAndBytesConfig:
    """4 or 8 bits a weight, by bitsandbytes; products in the model's dtype."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise PrereqError(
            f"model.quantize={config.quantize} needs bitsandbytes: pip install 'prereq[quantize]'"
        )
    if config.quantize == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    dtype = getattr(torch, dtype_of(config))
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype)


def padding_token(tokenizer: PreTrainedTokenizerBase, path: Path | str) -> str:
    """The tokenizer's padding token, or another special token of its vocabulary, never the end."""
    if tokenizer.pad_token is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return tokenizer.pad_token
    special = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    free = [token for token in special if token not in (tokenizer.eos_token, tokenizer.bos_token)]
    spare = [token for token in free if re.search("pad|reserved|unused|extra|unk", token)]
    if not spare:
        raise PrereqError(
            f"{path}: its tokenizer has no padding token besides the end token "
            f"{tokenizer.eos_token!r}, and no spare special token to serve as one; set pad_token in "
            "tokenizer_config.json to a token of the vocabulary that no text holds"
        )
    return spare[0]


def _not_loaded(what: str, path: Path | str, error: Exception, attention: str | None = None) -> str:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    files, binaries = (sorted(Path(path).glob(f"*.{kind}")) for kind in ("safetensors", "bin"))
    if binaries and not files:
        return (
            f"{path}: the weights are in {binaries[0].name}, a pickle, which prereq does not read; save "
            "the model as safetensors (save_pretrained of transformers does)"
        )
    if "trust_remote_code" in str(error):
        return (
            f"{path}: the {what} needs code of its own, which would run here; read it, and if you trust "
            "it set model.trust_remote_code=true"
        )
    for file in files:
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as broken:
            return f"{file}: unreadable ({broken}); copy or download the file again"
    if attention and attention in reason:
        return (
            f"{path}: the model does not take attention `{attention}` ({reason}). What works: "
            "stage.engine=padded (plain padded forwards: slower, and right for every model)"
        )
    return (
        f"{path}: the {what} could not be loaded ({reason}). Give a local folder or a Hub id that is "
        "in reach: model.path=…"
    )
