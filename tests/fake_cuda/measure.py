"""A pack and a few decoding steps of a Llama on fake CUDA: `python -m tests.fake_cuda.measure CASE…`.

Prints one JSON object a case: kernels, host syncs, bytes. A case is `layers=2,dtype=bfloat16,…`, any
of the keywords of `pack_of` or, with `generate=1`, of `generation`.
"""

import json
import os
import random
import sys

if __name__ == "__main__":
    from tests.fake_cuda.backend import load

    load()

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from prereq.data import packing
from prereq.data.tokens import TokenRow
from prereq.evaluation import generate as generation_module
from prereq.model.memory import checkpoint_activations, estimate
from prereq.model.numerics import ROWS
from prereq.training.objectives import SKILL, Draw, Knowledge, Subject, skill_step, text_step
from prereq.training.packed import PackedLM
from tests.fake_cuda.tensors import MODE, Watch, install

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def llama(layers: int, dtype: str) -> LlamaForCausalLM:
    """The shape of Llama-3-8B, with fewer layers if wanted, on the fake device."""
    config = LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=4096,
        intermediate_size=14336,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=128256,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        attn_implementation=ROWS,
    )
    with torch.device("cuda"):
        torch.set_default_dtype(getattr(torch, dtype))
        try:
            return LlamaForCausalLM(config).requires_grad_(False)
        finally:
            torch.set_default_dtype(torch.float32)


def rows(rng: random.Random, tokens: int, low: int, high: int, start: int) -> list[TokenRow]:
    """Rows of `low` to `high` tokens, as many as fit `tokens`; the first `start` have no label."""
    made, left = [], tokens
    while left >= high:
        length = rng.randint(low, high)
        made.append(TokenRow([1] + [rng.randint(10, 9999) for _ in range(length - 1)], start))
        left -= length
    return made


def pack_of(
    layers: int = 2,
    dtype: str = "bfloat16",
    tokens: int = 4096,
    text: int = 0,
    dropout: float = 0.0,
    checkpointing: int = 0,
    r: int = 32,
) -> dict:
    """Forward and backward of one pack: short questions by the mix objective, or passages (`text`)."""
    rng = random.Random(0)
    model = llama(layers, dtype)
    names = [SKILL] if text else [SKILL, "fake", "real"]
    lora = LoraConfig(r=r, lora_alpha=2 * r, target_modules=TARGETS)
    with torch.device("cuda"):
        model = get_peft_model(model, lora, adapter_name=SKILL)
        for name in names[1:]:
            model.add_adapter(name, lora)
    for name, parameter in model.named_parameters():
        if "lora_" in name:  # as `adapters.attach` leaves them
            parameter.data = parameter.data.float()
        parameter.requires_grad_(f".{SKILL}." in name)
    if checkpointing:
        checkpoint_activations(model.get_base_model())
    lm = PackedLM(model, {SKILL: dropout} if dropout else {}).train()
    if text:
        examples = text_step(rows(rng, tokens, 120, 256, 1), (SKILL,))
    else:
        found = rows(rng, tokens * 2 // 3, 24, 44, 18)
        subjects = [Subject(i % 2 == 0, {None: row}) for i, row in enumerate(found)]
        draw = Draw(
            Knowledge("fake", "passage", True, None), Knowledge("real", "passage", False, None)
        )
        examples = skill_step([subjects], [draw], 0.5)
    batch = packing.pack(examples, "cuda")
    watch = Watch()
    for tensor in (*model.parameters(), *model.buffers()):
        watch.track(tensor)
    held = watch.live
    with watch:
        loss, _ = lm(batch)
        loss.backward()
    expected = estimate(model, batch.input_ids.shape[1], bool(checkpointing))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    kept = {p.grad.dtype for p in model.parameters() if p.grad is not None}
    return {
        "tokens": batch.input_ids.shape[1],
        "labels": batch.targets.shape[0],
        "weights_bytes": held,
        "peak_bytes": watch.peak,
        "estimated_bytes": expected.total - 8 * trained,  # there is no optimizer here
        "kernels": sum(watch.kernels.values()),
        "by_name": dict(watch.kernels.most_common()),
        "syncs": watch.syncs,
        "gradients": sorted(map(str, kept)),
    }


def generation(layers: int = 2, dtype: str = "bfloat16", prompts: int = 5, new: int = 70) -> dict:
    """Prefill and decode a few prompts; what each step of decoding computes is told by its shapes."""
    model = llama(layers, dtype).eval()
    shapes: set[tuple[int, ...]] = set()
    attend = torch.nn.functional.scaled_dot_product_attention

    def noted(query, key, *args, **kwargs):
        shapes.add((query.shape[0], key.shape[2]))
        return attend(query, key, *args, **kwargs)

    torch.nn.functional.scaled_dot_product_attention = noted
    watch = Watch()
    lengths = [9 + 3 * i for i in range(prompts)]
    cache = generation_module.KVCache(prompts, max(lengths) + new, 4096, torch.device("cuda"))
    with watch, torch.inference_mode():
        layout = generation_module.Prefill(lengths, list(range(sum(lengths))), cache, False)
        generation_module.next_logits(
            model, [1] * sum(lengths), [0] * sum(lengths), layout, layout.last
        )
        before = len(watch.syncs)
        for step in range(new):
            generation_module.next_logits(
                model, [1] * len(cache.lengths), cache.lengths, generation_module.Decode(cache)
            )
            if step == new // 2:
                cache.evict([1])
    return {"shapes": sorted(shapes), "syncs": watch.syncs, "prefill_syncs": before}


def main(words: list[str]) -> None:
    install()
    for word in words:
        values = dict(part.split("=") for part in word.split(",") if part)
        what = generation if values.pop("generate", None) else pack_of
        numbers = {
            k: v if k == "dtype" else float(v) if "." in v else int(v) for k, v in values.items()
        }
        with MODE:
            result = what(**numbers)
        print(json.dumps({"case": word} | result), flush=True)
    os._exit(0)  # the fake device has nothing to take down, and torch would try


if __name__ == "__main__":
    main(sys.argv[1:])
