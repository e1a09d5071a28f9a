"""The typed schema of every configuration.

YAML under `conf/` holds values; these dataclasses say which keys there are and of which type, so a
wrong key or type fails when the config is composed. `prereq.config.checks` says which values make
sense together. Group choices (`stage=sft`) are Hydra's business and do not appear here.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from omegaconf import MISSING

from prereq.config.sources import CitiesConfig, Columns, Shares, WorldConfig


@dataclass
class Training:
    """How a model or adapter is trained; `None` leaves the value to the layer below (see `layer`)."""

    epochs: int | None = None
    batch_size: int | None = None  # sequences (of a skill: subjects) an optimizer step, global
    learning_rate: float | None = None  # peak; cosine to zero
    weight_decay: float | None = None
    beta2: float | None = None  # AdamW
    warmup: float | None = None  # share of all steps
    max_length: int | None = None  # tokens a row at most; None everywhere: what the longest row has


def layer(base: Training, *changes: Training) -> Training:
    """`base` with every value that a later layer sets; the last layer that sets one wins."""
    values = {f.name: getattr(base, f.name) for f in fields(Training)}
    for change in changes:
        values |= {k: getattr(change, k) for k in values if getattr(change, k) is not None}
    return Training(**values)


@dataclass
class KnowledgeSource:
    """The text of one knowledge LoRA. The name carries no meaning; the typed fields do.

    With `versions` it stands for one source a version, and `{version}` in name and split for its number.
    """

    name: str = MISSING
    subset: str = MISSING
    split: str = MISSING
    form: str = MISSING  # passage | statement
    fictitious: bool = MISSING
    version: int | None = None  # of a fictitious source that holds one of several versions
    versions: list[int] | None = None  # in YAML only: see `prereq.config.build.with_versions`
    wordings: int | None = None  # of each fact, by the column wording; None: all. How familiar it
    repeats: int = 1  # becomes follows from these: how often an epoch says each text
    training: Training = field(default_factory=Training)  # what differs from knowledge_training


@dataclass
class Splits:
    """Splits of one subset."""

    subset: str | None = None
    splits: list[str] = field(default_factory=list)


@dataclass
class SkillRecipe:
    """The task data and how the skill LoRA is trained on it."""

    subset: str | None = None
    splits: list[str] = field(default_factory=list)
    fictitious: Splits = field(default_factory=Splits)  # where fictitious rows stand apart
    training: Training = field(
        default_factory=lambda: Training(weight_decay=0.01, beta2=0.999, warmup=0.1)
    )
    # Consecutive subjects that share one draw of knowledge LoRAs; None: see `choices.draw_group`.
    draw_group: int | None = None
    alternate: bool = False  # even groups draw from one form of knowledge, odd ones from the other
    real_weight: float = 0.0  # weight of the skill-only loss, CE(base + skill), on real rows
    keep_epochs: bool = False  # keep the adapter of every epoch, so that evaluation may choose


@dataclass
class TestSplit:
    """One split to generate answers for, in the layout of skill rows.

    `role` says what the split is for: `selection` chooses the best epoch (and, in a report, the best
    method); `known` facts are held out, `unseen` ones stand in no text; facts of `unknown` (real) and
    `fictitious` rows are trained on though the base model does not hold them.
    `epochs` says which of the kept epochs answer: `all`, `ends` (best and last), `best` or `last`.
    With `plug_in` each fictitious knowledge LoRA is plugged in, in turn, beside the skill alone.
    """

    __test__ = False  # not a test for pytest to collect

    name: str = MISSING
    subset: str = MISSING
    split: str = MISSING
    role: str | None = None
    epochs: str = "last"
    plug_in: bool = False


@dataclass
class DatasetConfig:
    """A dataset is its whole recipe: rows, knowledge sources, skill training and test."""

    name: str = MISSING
    source: str = "hub"  # hub | world | cities | custom: who provides the rows
    path: str | None = None  # for hub: a Hub id or a local folder in its layout
    revision: str | None = None  # of a Hub id: a branch, tag or commit; None: what `main` is now
    overlong: str = "error"  # rows longer than max_length: error | truncate | drop
    rows: str | None = None  # for custom: a file (JSON lines, CSV, Parquet) or a Hub data set
    columns: Columns = field(default_factory=Columns)  # for custom: what the file calls them
    passages: str | None = None  # for custom: a file of text about the subjects
    development: str | None = None  # for custom: rows given as a file instead of cut off
    test: str | None = None  # the same
    cut: Shares = field(default_factory=Shares)  # for custom: shares of the subjects
    task: str = "questions"  # questions | biographies
    prompt: str = "plain"  # plain | chat | a template that holds {question}: how a row is asked
    knowledge: list[KnowledgeSource] = field(default_factory=list)
    knowledge_training: Training = field(
        default_factory=lambda: Training(weight_decay=0.1, beta2=0.95, warmup=0.03)
    )
    knowledge_r: int = 32
    skill: SkillRecipe = field(default_factory=SkillRecipe)
    skill_r: int = 32
    dropout: float = 0.05
    tests: list[TestSplit] = field(default_factory=list)
    topic_prompt: str | None = None  # of long-form evaluation: asks about `{name}`
    topics: str | None = None  # of long-form evaluation: a JSON list of names
    fictitious_entities: int | None = None  # of the skill data; None: all (the scaling study)
    seed: int = 42  # the recipe's, unless `seed` is given
    methods: list[str] = field(default_factory=list)  # what stage=pipeline compares
    pretrain: Training = field(default_factory=Training)
    world: WorldConfig = field(default_factory=WorldConfig)
    cities: CitiesConfig = field(default_factory=CitiesConfig)


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


@dataclass
class MethodConfig:
    """Which rows a method learns the skill from, and whether knowledge LoRAs stand beside it."""

    name: str = MISSING
    trains: bool = True  # False: the base model answers as it is
    fictitious: bool = False  # use fictitious rows
    real: bool = True  # use real rows
    knowledge: bool = False  # with a knowledge LoRA active beside the skill
    known_only: bool = False  # drop real rows whose entity the base model does not know
    popular: bool = False  # keep the better-known half of the real rows, by the column s_pop
    forms: list[str] | None = None  # of knowledge: passage, statement; None: both
    real_weight: float | None = None  # of the skill-only loss; None: the dataset's
    # What reports take it for: plain | prerequisite | oracle. None: by known_only and knowledge.
    family: str | None = None
    colour: str | None = None  # in pictures, as #rrggbb; None: one that no other method has


@dataclass
class Server:
    """An OpenAI-compatible server and how it is asked: see `prereq.clients`. Its key stands nowhere here."""

    url: str | None = None  # for example http://127.0.0.1:8000
    model: str | None = None  # its name there
    api_key_env: str = "OPENAI_API_KEY"  # the environment variable that holds the server's key
    requests: int = 16  # at once
    requests_per_minute: float | None = None  # None: as many as the server takes
    timeout: float = 600.0  # seconds that one reply may take
    price_in: float | None = None  # of a million prompt tokens, in any currency
    price_out: float | None = None  # of a million tokens of replies


@dataclass
class Synth:
    """Fictitious data made of real rows: how much of it, and who words it. See `prereq.synth.rows`."""

    questions: int | None = None  # of short form; None: as many as there are real rows
    facts: int = 3  # relations a subject at most
    versions: int = 5  # of long form: contradictory ones a subject
    copies: int = 1  # of long form: subjects a real text
    wordings: int = 4  # statements a fact
    passages: int = 1  # a subject and version
    plug_in: float = 0.0  # share of the subjects kept back, to plug their knowledge in
    tries: int = 3  # how often a text that fails a check is written
    types: dict[str, str] = field(default_factory=dict)  # relation → type of its answers
    titles: str | None = None  # a file of names that no invented one may equal
    writer: str = "template"  # template (no model) | openai (by URL) | local (the command's model)
    server: Server = field(default_factory=Server)
    temperature: float | None = 0.7
    top_p: float | None = None
    max_tokens: int = 1024  # of a reply
    tokens_per_batch: int = 32768  # that `local` generates at once


@dataclass
class EvalConfig:
    name: str = MISSING
    scoring: str = "qa"  # qa | final_answer | facts | long_form
    max_new_tokens: int = 128
    tokens_per_batch: int = 32768  # prompt and answer tokens generated at once
    bootstrap: int = 2000  # resamples of a confidence interval
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
    processes: int | None = None  # of stage=pipeline; None: as `prereq.runtime.workers` finds best


@dataclass
class TrackerConfig:
    name: str = "none"  # none | wandb | offline
    project: str = "prereq"
    entity: str | None = None
    group: str | None = None  # None: the dataset's and the model's name
    upload: bool = True  # adapters, answers and scores whole; False: their manifests alone


@dataclass
class Config:
    seed: int = 1
    output_dir: str = "outputs"
    knowledge: list[str] | None = None  # for stage=cpt: only these sources
    skill: str | None = None  # for stage=eval: this adapter (folder or Hub id)
    show: int = 0  # for stage=data: print the tokens of so many rows of each split
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    stage: StageConfig = field(default_factory=StageConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    synth: Synth = field(default_factory=Synth)
    eval: EvalConfig = field(default_factory=EvalConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    compare: list[MethodConfig] = field(default_factory=list)  # filled in by __main__
    recipe: Any = None  # the same choices without a value changed; filled in by __main__


def with_method(config: Config, method: MethodConfig) -> Config:
    """The same experiment by another method."""
    return replace(config, method=method)
