"""LoRA adapters on a base model: attach new ones beside frozen ones, choose what trains, save, merge."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from prereq.config import LoraSettings
from prereq.errors import PrereqError
from prereq.model.adapter_files import (
    CONFIG,
    WEIGHTS,
    check_modules,
    read_config,
    read_lora,
    read_tensors,
)
from prereq.runtime import ranks


def attach(
    model: PreTrainedModel,
    names: str | Sequence[str],
    settings: LoraSettings,
    base: Path | str,
    frozen: Mapping[str, Path | str],
    seed: int,
) -> PeftModel:
    """New trainable adapters (float32) on the frozen model, with `frozen` ones beside them.

    Raises PrereqError where a target module does not exist, a name is one of the model's own modules,
    or a frozen adapter does not fit.
    """
    names = [names] if isinstance(names, str) else list(names)
    _check_names([*names, *frozen], model)
    _check_targets(settings.target_modules, model)
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha or 2 * settings.r,
        lora_dropout=0.0,  # set by `set_dropout`, or done by the routed forward
        target_modules=list(settings.target_modules),
        task_type="CAUSAL_LM",
        base_model_name_or_path=str(base),
    )
    loras = {other: read_lora(folder) for other, folder in frozen.items()}
    for lora in loras.values():
        check_modules(lora, model)
    torch.manual_seed(seed)  # A is drawn, B is zero
    try:
        peft_model = get_peft_model(model, config, adapter_name=names[0])
    except ValueError as error:
        raise PrereqError(f"adapter target_modules={settings.target_modules}: {error}") from None
    for name in names[1:]:
        torch.manual_seed(seed)  # as if it were the only one
        peft_model.add_adapter(name, config)
    for name in names:
        peft_model.peft_config[name].base_model_name_or_path = str(base)
    for other, lora in loras.items():
        peft_model.load_adapter(str(lora.folder), adapter_name=other, is_trainable=False)
    _materialize(peft_model)
    train_only(peft_model, names)
    return peft_model


def _materialize(peft_model: PeftModel) -> None:
    """Give adapters storage of their own where the base is a mere shape (see `loading`).

    Accelerate finds the optimizer's parameters again by the address of their storage. What is in it
    comes from the first process.
    """
    for _, layer in lora_layers(peft_model):
        for matrices in (layer.lora_A, layer.lora_B):
            for matrix in matrices.values():
                if matrix.weight.is_meta:
                    matrix.to_empty(device="cpu")


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    """Every layer that carries adapters, by its name in the base model."""
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield name.removeprefix("base_model.model."), module


def train_only(peft_model: PeftModel, names: Sequence[str]) -> None:
    """Exactly the parameters of the named adapters train, in float32; asserted."""
    peft_model.requires_grad_(False)
    for _, layer in lora_layers(peft_model):
        for name in set(names) & set(layer.lora_A):
            for matrix in (layer.lora_A[name].weight, layer.lora_B[name].weight):
                assert matrix.dtype == torch.float32
                matrix.requires_grad_(True)
    assert any(p.requires_grad for p in peft_model.parameters())


def set_dropout(peft_model: PeftModel, rates: Mapping[str, float]) -> None:
    """The share of its input that each adapter drops, where PEFT's own forward runs; default 0."""
    for _, layer in lora_layers(peft_model):
        for name in layer.lora_dropout:
            rate = rates.get(name, 0.0)
            layer.lora_dropout[name] = nn.Dropout(rate) if rate else nn.Identity()


def save(peft_model: PeftModel, name: str, folder: Path, dropout: float) -> None:
    """Adapter `name` as a PEFT folder that `PeftModel.from_pretrained` and vLLM read."""
    state = {}
    for module, layer in lora_layers(peft_model):
        if name in layer.lora_A:
            for half, matrix in (("A", layer.lora_A[name]), ("B", layer.lora_B[name])):
                tensor = full_tensor(matrix.weight).cpu().contiguous()
                state[f"base_model.model.{module}.lora_{half}.weight"] = tensor
    if not ranks.is_main():
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    config = peft_model.peft_config[name]
    kept = config.lora_dropout, config.inference_mode
    config.lora_dropout, config.inference_mode = dropout, True
    config.save_pretrained(folder)
    config.lora_dropout, config.inference_mode = kept


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself; one that is sharded over processes (FSDP) is gathered, in all of them."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(like: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """The inverse of `full_tensor`: on the device of `like`, and sharded over processes as it is."""
    tensor = tensor.to(like.device)
    if isinstance(like, DTensor):
        return distribute_tensor(tensor, like.device_mesh, like.placements)
    return tensor


@contextmanager
def merged(
    model: PreTrainedModel,
    folders: Sequence[Path | str],
    originals: dict[str, torch.Tensor] | None = None,
) -> Iterator[PreTrainedModel]:
    """The model with `W + Σ scale·B·A` of the given adapters; the very same weights again at exit.

    Weights of 16 bits are rounded by draws, the same at every call: see `drawn_rounding`.
    `originals` keeps what was set aside from one call to the next, so that a GPU's weights are copied
    to the host once, not once an adapter. Raises PrereqError for an adapter that is more than plain LoRA
    on the model's linear layers.
    """
    originals = {} if originals is None else originals
    draws = torch.Generator(model.device).manual_seed(0)
    try:
        for folder in folders:
            _add(model, folder, originals, draws)
        yield model
    finally:
        for name, weight in originals.items():
            parameter = model.get_parameter(name)
            parameter.data = weight.to(parameter.device)


def merge(model: PreTrainedModel, folder: Path | str) -> None:
    """Merge an adapter for good, as `merged` does for a while."""
    _add(model, folder, {}, torch.Generator(model.device).manual_seed(0))


def stored_in(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """A model in float32 with its weights in `dtype`; those of 16 bits rounded by draws."""
    if dtype.itemsize == 2:
        draws = torch.Generator(model.device).manual_seed(0)
        for weight in model.parameters():
            weight.data = drawn_rounding(weight.data, dtype, draws)
    return model.to(dtype)


def drawn_rounding(exact: torch.Tensor, dtype: torch.dtype, draws: torch.Generator) -> torch.Tensor:
    """Float32 in `dtype` (16 bits), to either neighbour with the odds that make the mean exact.

    A LoRA's update of a weight is often smaller than half the distance of two neighbours. Rounding to the
    nearest then gives the old weight back, and most of the update is lost; so the mean of it is kept.
    """
    near = exact.to(dtype)
    error = exact - near.float()
    # The neighbour on the other side: the next number, which is the next whole number of its bits.
    outwards = (error > 0) == (near > 0)
    other = (near.view(torch.int16) + torch.where(outwards, 1, -1).short()).view(dtype)
    smallest = torch.ones_like(near.view(torch.int16)).view(dtype)  # beside zero
    other = torch.where(near == 0, torch.copysign(smallest, error.to(dtype)), other)
    odds = error.abs() / (other.float() - near.float()).abs()
    taken = torch.rand(exact.shape, generator=draws, device=exact.device) < odds
    return torch.where(taken, other, near)


def _add(
    model: PreTrainedModel,
    folder: Path | str,
    originals: dict[str, torch.Tensor],
    draws: torch.Generator,
) -> None:
    lora = read_lora(folder)
    check_modules(lora, model)
    embedding = model.get_input_embeddings().weight
    for module, (a, b) in lora.pairs.items():
        weight = model.get_submodule(module).weight
        if weight is embedding:
            raise PrereqError(
                f"{folder}: adapts {module}, whose weight the model shares with its embeddings, so that "
                "merging would change both; use stage.engine=padded, with which nothing is merged"
            )
        # The original is set aside, on a GPU in the host's memory, and another takes its place.
        name = f"{module}.weight"
        if name not in originals:
            originals[name] = weight.data.cpu()
        a, b = (x.to(weight.device, torch.float32) for x in (a, b))
        exact = torch.addmm(weight.data.float(), b, a, alpha=lora.scale)
        short = weight.dtype.itemsize == 2
        rounded = drawn_rounding(exact, weight.dtype, draws) if short else exact.to(weight.dtype)
        weight.data = rounded


def applied(model: PreTrainedModel, folders: Sequence[Path | str]) -> nn.Module:
    """The model with all of the given adapters applied by PEFT itself, of whatever kind they are.

    It may change the model. Raises PrereqError where a folder's tensors are not exactly those that its
    configuration asks for.
    """
    names = [f"adapter{number}" for number in range(len(folders))]
    for name, folder in zip(names, folders, strict=True):
        read_config(folder)
        tensors = read_tensors(folder)
        try:
            if isinstance(model, PeftModel):
                model.load_adapter(str(folder), adapter_name=name)
            else:
                model = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
            found = get_peft_model_state_dict(model, adapter_name=name)
        except Exception as error:  # whatever an odd configuration makes PEFT raise
            reason = " ".join(str(error).split())[:300]
            raise PrereqError(f"{folder}: PEFT cannot load the adapter ({reason})") from None
        optional = {key for key in found if ".base_layer." in key}  # embeddings that PEFT adds
        for key in sorted((set(tensors) ^ set(found)) - (optional - set(tensors))):
            where = "in the file and not in the configuration"
            where = where if key in tensors else "in the configuration and not in the file"
            raise PrereqError(
                f"{folder}: {key} is {where}; {WEIGHTS} and {CONFIG} do not belong together"
            )
    if names:
        model.base_model.set_adapter(names)
    return model


def _check_names(names: Sequence[str], model: nn.Module) -> None:
    """An adapter named like a part of the model would be mixed up with it in PEFT's keys."""
    taken = {part for name, _ in model.named_modules() for part in name.split(".")}
    taken |= {
        "weight",
        "bias",
        "base_layer",
        "base_model",
        "model",
        "lora_A",
        "lora_B",
        "lora_dropout",
    }
    for name in names:
        if name in taken:
            raise PrereqError(
                f"knowledge source {name!r}: the base model has a part of that name; rename the source"
            )


def _check_targets(targets: Sequence[str], model: nn.Module) -> None:
    """Every target is the end of some module's name; PEFT would ignore those that are not."""
    weights = {name: getattr(module, "weight", None) for name, module in model.named_modules()}
    modules = [name for name, weight in weights.items() if weight is not None and weight.ndim > 1]
    ends = sorted({name.rpartition(".")[2] for name in modules})
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in modules):
            raise PrereqError(
                f"adapter target_modules: {type(model).__name__} has no layer {target!r}; there is "
                f"{', '.join(ends)}. Set adapter.skill.target_modules and adapter.knowledge.target_modules"
            )
