"""The base model and its adapters."""

from dataclasses import dataclass, field

from omegaconf import MISSING


@dataclass
class Architecture:
    """The shape of a Llama trained from scratch by stage=pretrain."""

    layers: int = 2
    width: int = 128
    heads: int = 4
    feed_forward: int = 256
    initializer_range: float = (
        0.06  # with 0.02 some seeds take off late and learn seldom facts poorly
    )


@dataclass
class ModelConfig:
    name: str = MISSING
    source: str = "hub"  # hub | tiny (made by stage=pretrain) | smollm2 (the packaged GGUF)
    path: str | None = None  # Hub id or local folder
    revision: str | None = None  # of a Hub id: a branch, tag or commit; None: what `main` is now
    quantize: str | None = None  # 4bit | 8bit, by bitsandbytes; needs stage.engine=padded
    dtype: str = "float32"  # of the base weights (or auto); adapters train in float32
    attn_implementation: str = "auto"
    trust_remote_code: bool = False
    gradient_checkpointing: bool = False  # memory against speed; changes no result
    architecture: Architecture = field(default_factory=Architecture)


@dataclass
class LoraSettings:
    r: int = MISSING
    alpha: int | None = None  # None: 2r
    dropout: float = 0.05
    target_modules: list[str] = MISSING


@dataclass
class AdapterConfig:
    frozen_dropout: bool = False  # drop out in knowledge LoRAs beside the skill too, as published
    knowledge: LoraSettings = field(default_factory=LoraSettings)
    skill: LoraSettings = field(default_factory=LoraSettings)
