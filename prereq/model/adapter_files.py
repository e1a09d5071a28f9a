"""Adapter folders in PEFT's format: found, read whole and checked before anything uses them.

What this project merges or routes by itself is plain LoRA on linear layers. A folder that means more
(its configuration has other values, or its tensors are of another kind) is refused by name here; with
`stage.engine=padded` PEFT itself applies it, and then only what no engine can use is refused.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from prereq.errors import PrereqError
from prereq.runtime.files import read_json

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PADDED = "use stage.engine=padded, with which PEFT itself applies the adapter"
# Fields of a LoRA's configuration that `read_lora` uses, and those that say nothing of its product.
USED = {"peft_type", "r", "lora_alpha", "use_rslora", "target_modules", "exclude_modules"}
USED |= {"layers_to_transform", "layers_pattern", "init_lora_weights"}
NEUTRAL = {"task_type", "base_model_name_or_path", "revision", "inference_mode", "lora_dropout"}
NEUTRAL |= {"auto_mapping", "peft_version", "megatron_core", "loftq_config", "runtime_config"}
NEUTRAL |= {"qalora_group_size", "ensure_weight_tying"}
# Fields that choose the modules.
MATCHING = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
# Starts of a training that leave the base's own weights as they are.
PLAIN_STARTS = (True, False, "gaussian", "orthogonal")


@dataclass(frozen=True)
class Lora:
    """A plain LoRA: for each adapted module its A, [r, in], and B, [out, r]; `scale` is α/r (or α/√r)."""

    folder: Path
    base: str | None  # the base model that it names
    config: dict[str, Any]
    scale: float
    pairs: dict[str, tuple[torch.Tensor, torch.Tensor]]


def read_config(folder: Path | str) -> dict[str, Any]:
    """The adapter's configuration. Raises PrereqError for a folder that is not in PEFT's format."""
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise PrereqError(f"{folder}: no {CONFIG}; give a folder in PEFT's format")
    config = read_json(folder / CONFIG, "write the adapter anew with PEFT's save_pretrained")
    if not isinstance(config, dict) or not isinstance(config.get("peft_type"), str):
        raise PrereqError(f"{folder / CONFIG}: no object with a peft_type; write the adapter anew")
    if not (folder / WEIGHTS).is_file():
        raise PrereqError(f"{folder}: no {WEIGHTS}; prereq reads safetensors only, never pickle")
    return config


def check_base(folder: Path | str, base: Path | str) -> None:
    """Refuse an adapter of another base model, as far as the names tell."""
    trained_on = read_config(folder).get("base_model_name_or_path")
    if trained_on and Path(trained_on).name.lower() != Path(base).name.lower():
        raise PrereqError(
            f"{folder}: the adapter was trained on {trained_on}, the base model is {base}; choose its "
            "own with model=… or model.path=…. If the two are the same model, give both the same name "
            "in the adapter's adapter_config.json"
        )


def read_tensors(folder: Path | str) -> dict[str, torch.Tensor]:
    """Every tensor of the adapter, all numbers finite. Raises PrereqError."""
    file = Path(folder) / WEIGHTS
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError) as error:
        raise PrereqError(f"{file}: unreadable ({error}); write or copy the adapter anew") from None
    if not tensors:
        raise PrereqError(f"{file}: holds no tensors; the adapter was saved before it was complete")
    for key, tensor in tensors.items():
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            kind = "not of floating point" if not tensor.is_floating_point() else "not finite"
            raise PrereqError(f"{file}: {key} is {kind}; the adapter cannot be used, train it anew")
    return tensors


def read_lora(folder: Path | str) -> Lora:
    """A plain LoRA, every field and tensor of it accounted for. Raises PrereqError for anything else."""
    folder = Path(folder)
    config = read_config(folder)
    _check_fields(folder / CONFIG, config)
    tensors, pairs = read_tensors(folder), {}
    for key, a in tensors.items():
        found = re.fullmatch(r"base_model\.model\.(.+)\.lora_([AB])\.weight", key)
        if not found or a.ndim != 2:
            shape = "×".join(map(str, a.shape))
            raise PrereqError(
                f"{folder / WEIGHTS}: {key} ({shape}) is none of base_model.model.….lora_A.weight and "
                f"….lora_B.weight, which a plain LoRA consists of; {PADDED}, or save it anew with PEFT"
            )
        module, half = found.groups()
        other = (
            key.removesuffix(f"lora_{half}.weight") + f"lora_{'B' if half == 'A' else 'A'}.weight"
        )
        if other not in tensors:
            raise PrereqError(f"{folder / WEIGHTS}: {other} is missing beside {key}; copy it anew")
        if half == "A":
            pairs[module] = a, tensors[other]
    for module, (a, b) in pairs.items():
        if not a.shape[0] == b.shape[1] == config["r"]:
            raise PrereqError(
                f"{folder}: {module} has rank {a.shape[0]} (A) and {b.shape[1]} (B) in {WEIGHTS}, and "
                f"r={config['r']} in {CONFIG}; the two files do not belong together"
            )
    rank = config["r"] ** (0.5 if config.get("use_rslora") else 1)
    base = config.get("base_model_name_or_path")
    return Lora(folder, base, config, config["lora_alpha"] / rank, pairs)


def _check_fields(file: Path, config: dict[str, Any]) -> None:
    if config["peft_type"] != "LORA":
        raise PrereqError(f"{file}: peft_type is {config['peft_type']!r}, not LORA; {PADDED}")
    for key, least in (("r", 1), ("lora_alpha", 0)):
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            raise PrereqError(f"{file}: {key} is {value!r}; it must be a number from {least}")
    plain = LoraConfig().to_dict()
    for key, value in config.items():
        if key in NEUTRAL or (key in USED and key != "init_lora_weights"):
            continue
        usual = key == "init_lora_weights" and value in PLAIN_STARTS
        if usual or not value or value == plain.get(key):
            continue
        raise PrereqError(
            f"{file}: {key} is {value!r}; prereq merges and routes plain LoRA only; {PADDED}"
        )


def check_modules(lora: Lora, model: nn.Module) -> None:
    """Refuse a LoRA that does not fit: each module that it names has a pair of the right shape, and no
    other. Raises PrereqError."""
    modules = {name: module for name, module in model.named_modules() if hasattr(module, "weight")}
    for name, (a, b) in lora.pairs.items():
        if name not in modules:
            raise PrereqError(f"{lora.folder}: adapts {name}, which the base model does not have")
        shape = tuple(modules[name].weight.shape)
        if type(modules[name]) is not nn.Linear:
            kind = type(modules[name]).__name__
            raise PrereqError(f"{lora.folder}: adapts {name}, a {kind} and no Linear; {PADDED}")
        if shape != (b.shape[0], a.shape[1]):
            raise PrereqError(
                f"{lora.folder}: {name} is {b.shape[0]}×{a.shape[1]} in the adapter and "
                f"{shape[0]}×{shape[1]} in the base model; it belongs to {lora.base}"
            )
    config = LoraConfig(**{k: v for k, v in lora.config.items() if k in MATCHING})
    for name in modules:
        if name not in lora.pairs and check_target_module_exists(config, name):
            raise PrereqError(
                f"{lora.folder}: {CONFIG} names {name} and {WEIGHTS} holds nothing for it; the adapter "
                "is incomplete, copy or write it anew"
            )
