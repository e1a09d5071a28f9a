"""Base models and tokenizers: from a local folder or the Hub, with clear answers where they fail."""

import importlib.util
import re
import warnings
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from prereq.config import ModelConfig
from prereq.console import say
from prereq.errors import PrereqError
from prereq.model import attention

transformers_logging.disable_progress_bar()  # our own bars are enough
warnings.filterwarnings(
    "ignore", message=".*is_gradient_checkpointing.*"
)  # PEFT's, not ours to mend


def load_tokenizer(path: Path | str, config: ModelConfig) -> PreTrainedTokenizerBase:
    """The tokenizer, with a padding token that is not the end token (or nothing learns to stop)."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=config.trust_remote_code)
    except (OSError, ValueError) as error:
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
    attention_function: str,
    device: torch.device | str = "cpu",
) -> PreTrainedModel:
    """The base model in its dtype, frozen."""
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=getattr(torch, dtype_of(config)),
            attn_implementation=attention_function,
            trust_remote_code=config.trust_remote_code,
        )
    except (OSError, ValueError) as error:
        raise PrereqError(_not_loaded("model", path, error)) from None
    say("using", f"{config.name} in {dtype_of(config)} on {device}, attention {attention_function}")
    if config.gradient_checkpointing:
        enable = getattr(
            model, "activation_checkpointing_enable", model.gradient_checkpointing_enable
        )
        enable({"use_reentrant": False})
    return model.to(device).requires_grad_(False)


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


def dtype_of(config: ModelConfig) -> str:
    """`auto`: bfloat16 where the hardware multiplies it (GPUs, CPUs with AVX-512 BF16 or AMX)."""
    if config.dtype != "auto":
        return config.dtype
    fast = torch.cuda.is_available() or torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if fast else "float32"


def attention_for_training(config: ModelConfig, device: torch.device) -> str:
    """`auto`: variable-length FlashAttention where it is installed on a GPU, else padded rows."""
    if config.attn_implementation != "auto":
        return config.attn_implementation
    flash = device.type == "cuda" and dtype_of(config) != "float32"
    if flash and importlib.util.find_spec("flash_attn"):
        return "flash_attention_2"
    return attention.NAME


def _not_loaded(what: str, path: Path | str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0]
    return (
        f"{path}: the {what} could not be loaded ({reason}). Give a local folder or a Hub id that is "
        "in reach: model.path=…"
    )
