"""Adapters from elsewhere: used whole, or refused by the field or tensor that cannot be used."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from prereq.errors import PrereqError
from prereq.model import adapters
from prereq.model.adapter_files import CONFIG, WEIGHTS

MODULES = ["q_proj", "v_proj", "down_proj"]


def write(folder, base, **changes):
    """An adapter that PEFT itself makes on `base`, every number of it random."""
    torch.manual_seed(1)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": MODULES, "task_type": "CAUSAL_LM"}
    model = get_peft_model(base, LoraConfig(**settings | changes))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


def tensors(folder, change) -> None:
    """Rewrite the adapter's tensors by `change(name, tensor)`, None to drop one."""
    held = {}
    for name, tensor in load_file(folder / WEIGHTS).items():
        changed = change(name, tensor)
        if changed is not None:
            held[changed[0]] = changed[1]
    save_file(held, folder / WEIGHTS)


def config(folder, **changes) -> None:
    file = folder / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor([[1, 20, 30, 40]])).logits


PLAIN = {"plain": {}, "rank-stabilised": {"use_rslora": True}}
PLAIN |= {"one layer": {"layers_to_transform": [1]}, "by pattern": {"target_modules": ".*q_proj"}}


@pytest.mark.parametrize("changes", PLAIN.values(), ids=PLAIN)
def test_plain_lora_is_merged_as_peft_applies_it(tiny_llama, tmp_path, changes):
    write(tmp_path / "adapter", tiny_llama(), **changes)
    expected = logits(PeftModel.from_pretrained(tiny_llama(), tmp_path / "adapter"))
    with adapters.merged(tiny_llama(), [tmp_path / "adapter"]) as model:
        torch.testing.assert_close(logits(model), expected, rtol=1e-4, atol=1e-4)
    applied = adapters.applied(tiny_llama(), [tmp_path / "adapter"]).eval()
    torch.testing.assert_close(logits(applied), expected, rtol=1e-5, atol=1e-5)


MORE_THAN_PLAIN = {
    "alpha_pattern": {"alpha_pattern": {"q_proj": 64}},
    "rank_pattern": {"rank_pattern": {"q_proj": 2}},
    "lora_bias": {"lora_bias": True},
    "embeddings": {"target_modules": [*MODULES, "embed_tokens"]},
    "trainable_token_indices": {"trainable_token_indices": [5, 6]},
    "init_lora_weights": {"init_lora_weights": "pissa"},
    "modules_to_save": {"modules_to_save": ["lm_head"]},
    "use_dora": {"use_dora": True},
}


@pytest.mark.parametrize("name", MORE_THAN_PLAIN)
def test_more_than_plain_lora_is_refused_by_name_and_left_to_peft(tiny_llama, tmp_path, name):
    folder = write(tmp_path / "adapter", tiny_llama(), **MORE_THAN_PLAIN[name])
    said = "embed_tokens" if name == "embeddings" else name
    with (
        pytest.raises(PrereqError, match=rf"{said}.*stage\.engine=padded"),
        adapters.merged(tiny_llama(), [folder]),
    ):
        pass
    applied = adapters.applied(tiny_llama(), [folder]).eval()
    expected = logits(PeftModel.from_pretrained(tiny_llama(), folder).eval())
    torch.testing.assert_close(logits(applied), expected, rtol=1e-5, atol=1e-5)


BROKEN = {
    "no tensors": (lambda name, t: None, "holds no tensors"),
    "not finite": (lambda name, t: (name, t * float("nan")), "is not finite"),
    "names of its own": (
        lambda name, t: (name.replace("lora_A.", "lora_A.default."), t),
        r"lora_A\.default\.weight",
    ),
    "half of a pair": (
        lambda name, t: None if "layers.0.mlp" in name and "lora_B" in name else (name, t),
        r"layers\.0\.mlp\.down_proj\.lora_B\.weight",
    ),
    "a layer less": (
        lambda name, t: None if "layers.1.mlp" in name else (name, t),
        r"layers\.1\.mlp\.down_proj",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("way", ["merged", "applied"])
def test_broken_tensors_are_refused_by_name(tiny_llama, tmp_path, name, way):
    folder = write(tmp_path / "adapter", tiny_llama())
    change, said = BROKEN[name]
    tensors(folder, change)
    with pytest.raises(PrereqError, match=said):
        if way == "applied":
            adapters.applied(tiny_llama(), [folder])
        else:
            adapters.merged(tiny_llama(), [folder]).__enter__()


def test_other_tables_ranks_and_names_are_refused(tiny_llama, tmp_path):
    folder = write(tmp_path / "adapter", tiny_llama())
    config(folder, r=8)
    with pytest.raises(PrereqError, match=r"has rank 4 .* r=8"):
        adapters.merged(tiny_llama(), [folder]).__enter__()
    config(folder, r=0)
    with pytest.raises(PrereqError, match="r is 0; it must be a number from 1"):
        adapters.merged(tiny_llama(), [folder]).__enter__()
    config(folder, r=4, peft_type="IA3")
    with pytest.raises(PrereqError, match="peft_type is 'IA3'"):
        adapters.merged(tiny_llama(), [folder]).__enter__()
    config(folder, peft_type="LORA", a_field_of_tomorrow=3)
    with pytest.raises(PrereqError, match="a_field_of_tomorrow is 3"):
        adapters.merged(tiny_llama(), [folder]).__enter__()
    (folder / CONFIG).write_text("{")
    with pytest.raises(PrereqError, match="not JSON"):
        adapters.merged(tiny_llama(), [folder]).__enter__()
    shutil.move(folder / WEIGHTS, folder / "adapter_model.bin")
    (folder / CONFIG).write_text('{"peft_type": "LORA"}')
    with pytest.raises(PrereqError, match="reads safetensors only"):
        adapters.merged(tiny_llama(), [folder]).__enter__()


def test_a_head_that_shares_its_weight_is_not_merged(tiny_llama, tmp_path):
    import transformers

    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            **tiny_llama().config.to_diff_dict() | {"tie_word_embeddings": True}
        )
    )
    folder = write(tmp_path / "adapter", model, target_modules=["lm_head"])
    tensors(folder, lambda name, t: (name, t) if "lora_" in name else None)
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    with pytest.raises(PrereqError, match="shares with its embeddings"):
        adapters.merged(transformers.LlamaForCausalLM(model.config), [folder]).__enter__()


def test_target_modules_and_names_that_do_not_fit_are_refused(tiny_llama):
    from prereq.config import LoraSettings

    lora = LoraSettings(r=4, target_modules=["q_proj", "nope"])
    with pytest.raises(PrereqError, match=r"no layer 'nope'; there is down_proj"):
        adapters.attach(tiny_llama(), "skill", lora, "base", {}, seed=1)
    lora = LoraSettings(r=4, target_modules=["q_proj"])
    with pytest.raises(PrereqError, match=r"'mlp': the base model has a part of that name"):
        adapters.attach(tiny_llama(), "mlp", lora, "base", {}, seed=1)


def test_names_that_begin_alike_are_told_apart(tiny_llama, tmp_path):
    from prereq.config import LoraSettings

    lora = LoraSettings(r=4, target_modules=["q_proj"])
    model = adapters.attach(tiny_llama(), ["v1", "v10"], lora, "base", {}, seed=1)
    for _, layer in adapters.lora_layers(model):
        layer.lora_B["v10"].weight.data += 1.0
    adapters.save(model, "v1", tmp_path, 0.0)
    held = load_file(tmp_path / WEIGHTS)
    assert len(held) == 4 and all(not t.any() for name, t in held.items() if "lora_B" in name)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_small_update_survives_16_bits_in_the_mean(dtype):
    draws = torch.Generator().manual_seed(0)
    weights = torch.randn(400, 500, generator=draws).to(dtype).float()
    step = (
        torch.nextafter(weights.to(dtype), torch.tensor(9.0, dtype=dtype)).float() - weights
    ).abs()
    exact = weights + 0.2 * step  # nearer to the weight itself than to the next number
    assert torch.equal(exact.to(dtype).float(), weights)  # so the nearest loses it whole
    found = adapters.drawn_rounding(exact, dtype, draws).float()
    moved = (found - weights) / step
    assert set(moved.unique().tolist()) == {0.0, 1.0}  # one of the two neighbours
    assert abs(moved.mean().item() - 0.2) < 0.01
    assert torch.equal(adapters.drawn_rounding(weights, dtype, draws).float(), weights)
