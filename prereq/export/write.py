"""What an export holds: whole weights with every adapter merged, or the skill's adapter as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from prereq.errors import PrereqError
from prereq.export.fresh import measured
from prereq.model import adapters
from prereq.model.adapter_files import CONFIG, WEIGHTS, check_modules, read_config, read_lora
from prereq.runtime.files import write_json

SHARD = "5GB"  # of a file of weights, at most
VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that its --max-lora-rank takes


def generation(tokenizer: PreTrainedTokenizerBase, new_tokens: int) -> GenerationConfig:
    """Answers as evaluation generates them: greedily, to the end token that the training taught."""
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=new_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def check_mergeable(model: PreTrainedModel, folders: Sequence[Path | str]) -> None:
    """Refuse, before anything is computed, adapters that cannot be merged. Raises PrereqError."""
    embedding = model.get_input_embeddings().weight
    for folder in folders:
        lora = read_lora(folder)
        check_modules(lora, model)
        for module in lora.pairs:
            if model.get_submodule(module).weight is embedding:
                raise PrereqError(
                    f"{folder}: adapts {module}, whose weight the model shares with its embeddings, so that "
                    "merging would change both; export it as it is: format=adapter"
                )


def reference(
    model: PreTrainedModel,
    folders: Sequence[Path | str],
    prompts: Sequence[list[int]],
    settings: GenerationConfig,
    new_tokens: int,
    on_done: Callable[[], None],
) -> tuple[torch.nn.Module, tuple[torch.Tensor, list[list[int]]]]:
    """The base with all adapters applied by PEFT, nothing merged, and what it answers: see `measured`."""
    whole = adapters.applied(model, folders).eval()
    model.generation_config = settings
    return whole, measured(whole, prompts, settings, new_tokens, on_done)


def write_merged(
    applied: torch.nn.Module,
    folders: Sequence[Path | str],
    engine: str,
    dtype: torch.dtype,
    settings: GenerationConfig,
    folder: Path,
) -> None:
    """Weights with `W + Σ scale·B·A` as safetensors, in the dtype of the base.

    `applied`: see `reference`. Plain LoRA is added in float32 and rounded by draws, so that small updates
    survive 16 bits; with the padded engine PEFT merges, whatever kind of adapters they are.
    """
    disable_progress_bar()  # of the shards
    if engine == "padded":
        whole = applied.merge_and_unload(safe_merge=True).to(dtype)
        whole.generation_config = settings
        whole.save_pretrained(folder, max_shard_size=SHARD)
        return
    with adapters.merged(applied.unload().to(dtype), folders) as whole:
        whole.generation_config = settings
        whole.save_pretrained(folder, max_shard_size=SHARD)


def write_adapter(
    skill: Path | str,
    base: Path | str,
    revision: str | None,
    settings: GenerationConfig,
    folder: Path,
) -> None:
    """The adapter as a PEFT folder that names its base: a Hub id with its commit, or a folder."""
    config = read_config(skill)
    config |= {"base_model_name_or_path": str(base), "revision": revision, "inference_mode": True}
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(skill) / WEIGHTS, folder / WEIGHTS)
    write_json(folder / CONFIG, config, indent=2)
    settings.save_pretrained(folder)


def vllm_rank(skill: Path | str) -> tuple[int | None, str]:
    """vLLM's `--max-lora-rank` for the adapter, and in words why; None where it does not serve it."""
    config = read_config(skill)
    rank = max([config.get("r") or 0, *(config.get("rank_pattern") or {}).values()])
    if config["peft_type"] != "LORA" or config.get("modules_to_save") or config.get("use_dora"):
        return None, f"vLLM serves plain LoRA alone, not {config['peft_type']} of this kind"
    room = next((allowed for allowed in VLLM_RANKS if rank <= allowed), None)
    if room is None:
        return None, f"rank {rank}: beyond what vLLM serves ({VLLM_RANKS[-1]}); use format=merged"
    return room, f"rank {rank}: vLLM needs --max-lora-rank {room}"
