"""An oracle for the packed engine: the published objectives by the padded one, a forward a term.

The two engines share PEFT's adapters and nothing else; the golden numbers and plain transformers
(`test_padded.py`) hold the padded one.
"""

import torch
from peft import LoraConfig, get_peft_model

from prereq.data.tokens import Example
from prereq.training.padded import PaddedLM

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def peft_model(base, ranks: dict[str, int], seed: int):
    """`base` with one LoRA a name, every A and B random and non-zero; `skill` is one of them."""
    model = None
    for name, r in ranks.items():
        config = LoraConfig(r=r, lora_alpha=2 * r, lora_dropout=0.0, target_modules=MODULES)
        if model is None:
            model = get_peft_model(base, config, adapter_name=name)
        else:
            model.add_adapter(name, config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if "lora_" in name:
            parameter.data = 0.15 * torch.randn(parameter.shape, generator=generator)
    return model


def label_losses(model, rows, adapters: list[str]) -> torch.Tensor:
    """Token losses of every label of `rows` (TokenRow), right-padded, with `adapters` active."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".skill." in name)
    padded = PaddedLM(model)
    batch = padded.layout([Example(row, tuple(adapters), "text") for row in rows], "cpu", ("text",))
    return padded.token_losses(batch)


def mix_loss(model, fictitious, real, k_fictitious, k_real, real_weight: float) -> torch.Tensor:
    """`CE(θ+K_f+S on F, θ+K_r+S on R; one mean) + real_weight · CE(θ+S on R)`."""
    main, plain = [], []
    if fictitious:
        main.append(label_losses(model, fictitious, [*k_fictitious, "skill"]))
    if real:
        main.append(label_losses(model, real, [*k_real, "skill"]))
        if real_weight:
            plain.append(label_losses(model, real, ["skill"]))
    main, plain = torch.cat(main), torch.cat(plain) if plain else torch.zeros(0)
    total = main.mean() if len(main) else torch.zeros(())
    return total + real_weight * plain.mean() if len(plain) else total
