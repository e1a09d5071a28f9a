"""Adapters as plain PEFT folders: attach one to train and others frozen, save, merge."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from prereq import ranks
from prereq.config import LoraSettings
from prereq.errors import PrereqError

WEIGHTS = "adapter_model.safetensors"


def attach(
    model: PreTrainedModel,
    names: str | Sequence[str],
    settings: LoraSettings,
    base: Path | str,
    frozen: Mapping[str, Path | str],
    seed: int,
) -> PeftModel:
    """New trainable adapters (float32) on the frozen model, with `frozen` ones beside them."""
    names = [names] if isinstance(names, str) else list(names)
    torch.manual_seed(seed)  # A is drawn, B is zero
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha or 2 * settings.r,
        lora_dropout=0.0,  # the routed forward drops out
        target_modules=list(settings.target_modules),
        task_type="CAUSAL_LM",
        base_model_name_or_path=str(base),
    )
    try:
        peft_model = get_peft_model(model, config, adapter_name=names[0])
    except ValueError as error:
        raise PrereqError(f"adapter target_modules={settings.target_modules}: {error}") from None
    for name in names[1:]:
        torch.manual_seed(seed)  # as if it were the only one
        peft_model.add_adapter(name, config)
    for name in names:
        peft_model.peft_config[name].base_model_name_or_path = str(base)
    for other, folder in frozen.items():
        check_folder(folder)
        peft_model.load_adapter(str(folder), adapter_name=other, is_trainable=False)
    train_only(peft_model, names)
    return peft_model


def train_only(peft_model: PeftModel, names: Sequence[str]) -> None:
    """Exactly the parameters of the named adapters train, in float32; asserted."""
    for key, parameter in peft_model.named_parameters():
        parameter.requires_grad_(any(f".{name}." in key for name in names))
    trained = {k: p for k, p in peft_model.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in k and p.dtype == torch.float32 for k, p in trained.items())


def save(peft_model: PeftModel, name: str, folder: Path, dropout: float) -> None:
    """Adapter `name` as a PEFT folder that `PeftModel.from_pretrained` and vLLM read."""
    state = get_peft_model_state_dict(peft_model, adapter_name=name)
    state = {k: whole(v).cpu().contiguous() for k, v in state.items()}
    if not ranks.first():
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / WEIGHTS)
    config = peft_model.peft_config[name]
    kept = config.lora_dropout, config.inference_mode
    config.lora_dropout, config.inference_mode = dropout, True
    config.save_pretrained(folder)
    config.lora_dropout, config.inference_mode = kept


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself; one that is spread over processes (FSDP) is gathered, in all of them."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def spread_like(like: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """The inverse of `whole`: on the device of `like`, and spread over processes as it is."""
    tensor = tensor.to(like.device)
    if isinstance(like, DTensor):
        return distribute_tensor(tensor, like.device_mesh, like.placements)
    return tensor


def check_folder(folder: Path | str) -> dict:
    """The adapter's configuration; refuses what is not a plain LoRA folder."""
    file = Path(folder) / "adapter_config.json"
    if not file.exists():
        raise PrereqError(f"{folder}: no adapter_config.json; give a folder in PEFT's format")
    try:
        config = json.loads(file.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise PrereqError(f"{file}: not JSON ({error}); write the adapter anew") from None
    if config.get("peft_type") != "LORA":
        raise PrereqError(
            f"{file}: peft_type is {config.get('peft_type')!r}; only LORA can be used"
        )
    for key in ("use_dora", "modules_to_save"):
        if config.get(key):
            raise PrereqError(f"{file}: {key} is {config[key]!r}; only plain LoRA can be merged")
    if not (Path(folder) / WEIGHTS).exists():
        raise PrereqError(f"{folder}: no {WEIGHTS}; prereq reads safetensors only, never pickle")
    return config


def fetch(adapter: str) -> Path:
    """The folder of an adapter given as a folder or a Hub id, checked."""
    folder = Path(adapter)
    if not folder.exists():
        try:
            folder = Path(snapshot_download(adapter, allow_patterns=["adapter_*"]))
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise PrereqError(
                f"skill={adapter}: neither a local folder nor an adapter on the Hub in reach ({reason}); "
                "give a folder in PEFT's format"
            ) from None
    check_folder(folder)
    return folder.resolve()


def check_base(folder: Path | str, base: Path | str) -> None:
    """Refuse an adapter of another base model, as far as the names tell."""
    trained_on = check_folder(folder).get("base_model_name_or_path")
    if trained_on and Path(trained_on).name.lower() != Path(base).name.lower():
        raise PrereqError(
            f"{folder}: the adapter was trained on {trained_on}, the base model is {base}; choose its "
            "own with model=… or model.path=…. If the two are the same model, give both the same name "
            "in the adapter's adapter_config.json"
        )


@contextmanager
def merged(model: PreTrainedModel, folders: list[Path | str]) -> Iterator[PreTrainedModel]:
    """The model with `W + Σ scale·B·A` of the given adapters; the very same weights again at exit."""
    originals: dict[str, torch.Tensor] = {}
    try:
        for folder in folders:
            _add(model, folder, originals)
        yield model
    finally:
        for name, weight in originals.items():
            parameter = model.get_parameter(name)
            parameter.data = weight.to(parameter.device)


def _add(model: PreTrainedModel, folder: Path | str, originals: dict[str, torch.Tensor]) -> None:
    config = check_folder(folder)
    try:
        tensors = load_file(Path(folder) / WEIGHTS)
    except SafetensorError as error:
        raise PrereqError(f"{Path(folder) / WEIGHTS}: unreadable ({error})") from None
    rank = config["r"] ** (0.5 if config.get("use_rslora") else 1)
    for key, a in tensors.items():
        if not key.endswith(".lora_A.weight"):
            continue
        module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        b = tensors[key.replace(".lora_A.", ".lora_B.")]
        try:
            weight = model.get_submodule(module).weight
        except AttributeError:
            raise PrereqError(f"{folder}: adapts {module}, which the base model has not") from None
        if weight.shape != (b.shape[0], a.shape[1]):
            raise PrereqError(
                f"{folder}: {module} is {b.shape[0]}×{a.shape[1]} in the adapter and "
                f"{weight.shape[0]}×{weight.shape[1]} in the base model; it belongs to "
                f"{config.get('base_model_name_or_path')}, not to {model.name_or_path}"
            )
        name = f"{module}.weight"
        # The original is set aside, on a GPU in the host's memory, and another takes its place.
        originals.setdefault(name, weight.data.cpu())
        scale = config["lora_alpha"] / rank
        a, b = (x.to(weight.device, torch.float32) for x in (a, b))
        weight.data = torch.addmm(weight.data.float(), b, a, alpha=scale).to(weight.dtype)
