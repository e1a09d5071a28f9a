"""An independent oracle: the published objectives by plain PEFT forwards on padded rows.

One forward a term with `set_adapter`, cross-entropy over the padded label matrix: slow, obvious,
and sharing no line with the engine but PEFT's adapters themselves.
"""

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model

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
    model.base_model.set_adapter(adapters)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".skill." in name)
    longest = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [3] * (longest - len(row.ids)) for row in rows])
    mask = torch.tensor([[1] * len(r.ids) + [0] * (longest - len(r.ids)) for r in rows])
    labels = torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        labels[i, row.start : len(row.ids)] = ids[i, row.start : len(row.ids)]
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    wanted = labels[:, 1:]
    losses = F.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=-100, reduction="none")
    return losses[wanted != -100]


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
