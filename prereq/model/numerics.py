"""How a base model computes: the dtype it is stored in, the one of its products, its attention.

All follow from the hardware and nothing that is measured, because keys of artifacts hold them.
"""

import torch

from prereq.config import ModelConfig

ROWS = "rows"  # attention over packed rows: see prereq.model.attention


def device_type() -> str:
    """`cuda`, `mps`, … where there is one, else `cpu`."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return found.type if found else "cpu"


def dtype_of(config: ModelConfig) -> str:
    """The dtype of the base's weights. `auto`: bfloat16 where the hardware multiplies it natively.

    That is GPUs of compute capability 8 or newer and CPUs with AVX-512 BF16; elsewhere float32.
    """
    if config.dtype != "auto":
        return config.dtype
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if native else "float32"


def product_dtype(device: str, stored: torch.dtype) -> torch.dtype:
    """The dtype that matrix products on weights stored in `stored` are taken in.

    The stored one; but on a CPU without matrix units for 16 bits (AMX) float32, which is both faster
    there, also where AVX-512 BF16 is at hand, and more exact.
    """
    if device != "cpu" or stored == torch.float32:
        return stored
    units = {torch.bfloat16: "_is_amx_tile_supported", torch.float16: "_is_amx_fp16_supported"}
    native = getattr(torch.cpu, units.get(stored, ""), lambda: False)()
    return stored if native else torch.float32


def attention_for(config: ModelConfig, engine: str) -> str | None:
    """The attention to load a model with. `auto`: `rows` for packs, else what transformers takes."""
    if config.attn_implementation != "auto":
        return config.attn_implementation
    return ROWS if engine == "packed" else None
