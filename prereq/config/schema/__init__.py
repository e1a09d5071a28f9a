"""The typed schema of every configuration.

YAML under `conf/` holds values; these dataclasses say which keys there are and of which type, so a
wrong key or type fails when the config is composed. `prereq.config.checks` says which values make
sense together. Group choices (`stage=sft`) are Hydra's business and do not appear here.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import MISSING

from prereq.config.schema.ask import Ask
from prereq.config.schema.dataset import (
    DatasetConfig,
    KnowledgeSource,
    SkillRecipe,
    Splits,
    TestSplit,
)
from prereq.config.schema.experiment import Experiment
from prereq.config.schema.export import TrackerConfig
from prereq.config.schema.judge import Judge
from prereq.config.schema.method import MethodConfig
from prereq.config.schema.model import AdapterConfig, Architecture, LoraSettings, ModelConfig
from prereq.config.schema.probe import Probe
from prereq.config.schema.sources import CitiesConfig, Columns, Shares, WorldConfig
from prereq.config.schema.synth import Server, Synth
from prereq.config.schema.training import Distillation, Pretrain, Training, layer
from prereq.config.schema.unsure import UnsureConfig

__all__ = [
    "AdapterConfig",
    "Architecture",
    "Ask",
    "CitiesConfig",
    "Columns",
    "Config",
    "DatasetConfig",
    "Distillation",
    "EvalConfig",
    "Experiment",
    "Judge",
    "KnowledgeSource",
    "LoraSettings",
    "MethodConfig",
    "ModelConfig",
    "Pretrain",
    "Probe",
    "Server",
    "Shares",
    "SkillRecipe",
    "Splits",
    "StageConfig",
    "Synth",
    "TestSplit",
    "TrackerConfig",
    "Training",
    "UnsureConfig",
    "WorldConfig",
    "layer",
    "with_method",
]


@dataclass
class EvalConfig:
    name: str = MISSING
    scoring: str = "qa"  # qa | final_answer | facts | long_form
    max_new_tokens: int = 128
    tokens_per_batch: int = 32768  # prompt and answer tokens generated at once
    bootstrap: int = 2000  # resamples of a confidence interval
    # Who says one of these does not attempt an answer; typographic signs and capitals do not matter.
    abstentions: list[str] = field(
        default_factory=lambda: [
            "I don't know",
            "I do not know",
            "I have no idea",
            "I cannot answer",
            "I can't answer",
        ]
    )
    # Who says one of these gives an answer with doubt. Where there are none, answers are not told apart so.
    hedges: list[str] = field(default_factory=list)
    engine: str = "batches"  # batches | server
    server: str | None = None  # URL of an OpenAI-compatible server
    served_as: str | None = None  # the name there of the base model with the skill
    api_key_env: str = "OPENAI_API_KEY"  # the environment variable that holds the server's key
    requests: int = 16  # to the server at once


@dataclass
class StageConfig(Training):
    """Training values set here win over the dataset's recipe, for what the stage itself trains."""

    name: str = MISSING
    prerequisites: str = "make"  # make | require
    engine: str = "packed"  # packed | padded (plain PEFT forwards: slower, right for every model)
    tokens_per_forward: int | str = 4096  # auto: as many as the GPU has room for
    checkpoint_seconds: int = 60
    dry_run: bool = False  # show what is needed, found or to be made, and make nothing
    together: bool = False  # train missing knowledge LoRAs in one pass over the base model
    # Of stage=pipeline (None: as `prereq.runtime.workers` finds best) and of stage=probe (None: one).
    processes: int | None = None


@dataclass
class Config:
    seed: int = 1
    output_dir: str = "outputs"
    # For stage=cpt and ask: only these sources; for export: merged as well.
    knowledge: list[str] | None = None
    skill: str | None = (
        None  # for stage=eval, judge, ask and export: this adapter (folder or Hub id)
    )
    question: str | None = None  # for stage=ask; None: a prompt to type questions at
    format: str = "merged"  # for stage=export: merged (a whole model) | adapter (a PEFT folder)
    epoch: str = "last"  # for stage=ask and export: last | best | the number of a kept one
    push_to_hub: str | None = None  # for stage=export and synth: publish it as OWNER/NAME
    private: bool = True  # what push_to_hub publishes
    show: int = 0  # for stage=data: print the tokens of so many rows of each split
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    stage: StageConfig = field(default_factory=StageConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    synth: Synth = field(default_factory=Synth)
    judge: Judge = field(default_factory=Judge)
    probe: Probe = field(default_factory=Probe)
    eval: EvalConfig = field(default_factory=EvalConfig)
    ask: Ask = field(default_factory=Ask)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    experiment: Experiment = field(default_factory=Experiment)
    compare: list[MethodConfig] = field(default_factory=list)  # filled in by __main__
    recipe: Any = None  # the same choices without a value changed; filled in by __main__


def with_method(config: Config, method: MethodConfig) -> Config:
    """The same experiment by another method."""
    return replace(config, method=method)
