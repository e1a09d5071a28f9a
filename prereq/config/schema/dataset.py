"""A data set: its rows, knowledge sources, skill training and tests."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from prereq.config.schema.sources import CitiesConfig, Columns, Shares, WorldConfig
from prereq.config.schema.training import Distillation, Pretrain, Training
from prereq.config.schema.unsure import UnsureConfig


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
    task: str = "questions"  # questions | biographies | unsure (questions, saying how sure)
    known: str = "probe"  # probe | data: what says which real rows the base model knows
    prompt: str = "plain"  # plain | chat | a template that holds {question}: how a row is asked
    knowledge: list[KnowledgeSource] = field(default_factory=list)
    # The form that `knowledge` lacks, where the data has it; beside it with both_forms.
    other_form: list[KnowledgeSource] = field(default_factory=list)
    both_forms: bool = False
    knowledge_training: Training = field(
        default_factory=lambda: Training(weight_decay=0.1, beta2=0.95, warmup=0.03)
    )
    knowledge_objective: str = "next_token"  # next_token | distillation: of the knowledge LoRAs
    distillation: Distillation = field(default_factory=Distillation)
    knowledge_r: int = 32
    skill: SkillRecipe = field(default_factory=SkillRecipe)
    skill_r: int = 32
    dropout: float = 0.05
    tests: list[TestSplit] = field(default_factory=list)
    topic_prompt: str | None = None  # of long-form evaluation: asks about `{name}`
    topics: str | None = None  # of long-form evaluation: a JSON list of names
    fictitious_entities: int | None = None  # of the skill data; None: all (the scaling study)
    fictitious_sizes: list[int] = field(default_factory=list)  # what experiment=figure4 tries of it
    seed: int = 42  # the recipe's, unless `seed` is given
    methods: list[str] = field(default_factory=list)  # what stage=pipeline compares
    pretrain: Pretrain = field(default_factory=Pretrain)
    world: WorldConfig = field(default_factory=WorldConfig)
    cities: CitiesConfig = field(default_factory=CitiesConfig)
    unsure: UnsureConfig = field(default_factory=UnsureConfig)
