"""Which values make sense together: every problem of a configuration at once, with its remedy."""

import difflib
from collections.abc import Iterable
from dataclasses import fields

from prereq.config import Config, Training, layer

FORMS = ("passage", "statement")
DTYPES = ("auto", "float32", "bfloat16", "float16")
ENGINES = ("batches", "server")
SCORINGS = ("qa", "final_answer", "facts", "long_form")
WORDINGS = 6  # in which the embedded world can state a fact
ATTENTION = ("auto", "rows", "sdpa", "eager", "flash_attention_2", "flex_attention")


def problems(config: Config) -> list[str]:
    """What is wrong, one line each (empty: nothing). Every line names the key and the remedy."""
    found: list[str] = []
    for check in (_dataset, _knowledge, _training, _model, _adapter, _method, _others):
        found += check(config)
    return found


def one_of(key: str, value: object, allowed: Iterable[str]) -> list[str]:
    allowed = list(allowed)
    if value in allowed:
        return []
    near = difflib.get_close_matches(str(value), allowed, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    return [f"{key}={value}: must be one of {', '.join(allowed)}{hint}"]


def at_least(key: str, value: float | None, least: float) -> list[str]:
    bad = value is not None and not value >= least  # catches nan as well
    return [f"{key}={value}: must be at least {least}"] if bad else []


def within(key: str, value: float | None, low: float, high: float) -> list[str]:
    bad = value is not None and not low <= value < high
    return [f"{key}={value}: must be from {low} to below {high}"] if bad else []


def _dataset(config: Config) -> list[str]:
    data, found = config.dataset, []
    found += one_of("dataset.source", data.source, ("hub", "world", "cities"))
    found += one_of("dataset.task", data.task, ("questions", "biographies"))
    if data.source == "hub" and not data.path:
        found.append("dataset.path: empty; name a Hub id or a local folder in the published layout")
    if data.source == "world":
        for name, value in vars(data.world).items():
            found += at_least(f"dataset.world.{name}", value, 0 if name != "versions" else 1)
        if not 1 <= data.world.wordings <= WORDINGS:
            found.append(
                f"dataset.world.wordings={data.world.wordings}: must be from 1 to {WORDINGS}"
            )
    if data.source == "cities":
        for name, value in vars(data.cities).items():
            found += at_least(f"dataset.cities.{name}", value, 0 if name != "versions" else 1)
    names = [test.name for test in data.tests]
    found += [f"dataset.tests: two splits are named {name!r}" for name in _twice(names)]
    for test in data.tests:
        found += one_of(
            f"dataset.tests[{test.name}].epochs", test.epochs, ("all", "ends", "best", "last")
        )
    found += at_least("dataset.skill.real_weight", data.skill.real_weight, 0.0)
    found += at_least("dataset.fictitious_entities", data.fictitious_entities, 1)
    if config.eval.scoring == "long_form" and "{name}" not in (data.prompt or ""):
        found.append(
            f"dataset.prompt={data.prompt}: eval=long_form needs a prompt that holds {{name}}"
        )
    found += at_least("dataset.skill.draw_group", data.skill.draw_group, 1)
    return found


def _knowledge(config: Config) -> list[str]:
    sources, found = config.dataset.knowledge, []
    names = [source.name for source in sources]
    found += [f"dataset.knowledge: two sources are named {name!r}" for name in _twice(names)]
    for source in sources:
        key = f"dataset.knowledge[{source.name}]"
        found += one_of(f"{key}.form", source.form, FORMS)
        if "." in source.name or source.name == "skill":
            found.append(f"{key}.name: must hold no dot and not be 'skill'; rename it")
        if source.version is not None and not source.fictitious:
            found.append(f"{key}.version={source.version}: only a fictitious source has a version")
    for name in config.knowledge or []:
        found += one_of("knowledge", name, names)
    return found


def _training(config: Config) -> list[str]:
    data, stage, found = config.dataset, config.stage, []
    recipes = {"stage": stage, "dataset.knowledge_training": data.knowledge_training}
    recipes |= {"dataset.skill.training": data.skill.training, "dataset.pretrain": data.pretrain}
    recipes |= {f"dataset.knowledge[{s.name}].training": s.training for s in data.knowledge}
    for key, recipe in recipes.items():
        for name in ("epochs", "batch_size"):
            found += at_least(f"{key}.{name}", getattr(recipe, name), 1)
        for name in ("learning_rate", "weight_decay"):
            found += at_least(f"{key}.{name}", getattr(recipe, name), 0.0)
        found += at_least(f"{key}.max_length", recipe.max_length, 2)
        found += within(f"{key}.warmup", recipe.warmup, 0.0, 1.0)
        found += within(f"{key}.beta2", recipe.beta2, 0.0, 1.0)
    complete = {"dataset.skill.training": data.skill.training}
    complete |= {
        f"dataset.knowledge[{s.name}].training": layer(data.knowledge_training, s.training)
        for s in data.knowledge
    }
    if config.model.source == "tiny":
        complete["dataset.pretrain"] = data.pretrain
    for key, recipe in complete.items():
        missing = [f.name for f in fields(Training) if getattr(recipe, f.name) is None]
        if missing:
            found.append(
                f"{key}: no value for {', '.join(missing)}; set them in the dataset's recipe"
            )
    batch = layer(
        data.skill.training, stage if stage.name in ("sft", "eval", "pipeline") else Training()
    )
    if batch.batch_size and data.skill.draw_group and batch.batch_size % data.skill.draw_group:
        found.append(
            f"batch_size={batch.batch_size}: must be a multiple of "
            f"dataset.skill.draw_group={data.skill.draw_group}; change one of the two"
        )
    found += one_of("eval.engine", config.eval.engine, ENGINES)
    if config.eval.engine == "server":
        found += [
            f"eval.{key}: empty; eval.engine=server needs {what}"
            for key, what in (("server", "a URL"), ("served_as", "the model's name there"))
            if not getattr(config.eval, key)
        ]
    found += at_least("eval.requests", config.eval.requests, 1)
    found += one_of("stage.prerequisites", stage.prerequisites, ("make", "require"))
    found += one_of("stage.engine", stage.engine, ("packed", "padded"))
    found += at_least("stage.processes", stage.processes, 1)
    found += at_least("stage.tokens_per_forward", stage.tokens_per_forward, 1)
    found += at_least("stage.checkpoint_seconds", stage.checkpoint_seconds, 0)
    return found


def _model(config: Config) -> list[str]:
    model, found = config.model, []
    found += one_of("model.source", model.source, ("hub", "tiny", "smollm2"))
    found += one_of("model.dtype", model.dtype, DTYPES)
    found += one_of("model.attn_implementation", model.attn_implementation, ATTENTION)
    if model.quantize is not None:
        found += one_of("model.quantize", model.quantize, ("4bit", "8bit"))
        if config.stage.engine != "padded":
            found.append(
                f"model.quantize={model.quantize}: the packed engine multiplies plain weights; add "
                "stage.engine=padded"
            )
    if model.source == "hub" and not model.path:
        found.append("model.path: empty; name a Hub id or a local folder")
    if model.source == "tiny" and config.dataset.source != "world":
        found.append(
            f"model={model.name} dataset={config.dataset.name}: the tiny model knows only the small "
            "world's words; choose another model, for example model=smollm2_135m"
        )
    shape = model.architecture
    for name in ("layers", "width", "heads", "feed_forward"):
        found += at_least(f"model.architecture.{name}", getattr(shape, name), 1)
    if shape.heads > 0 and shape.width % (2 * shape.heads):
        found.append(
            f"model.architecture.width={shape.width}: must be a multiple of twice the heads "
            f"({shape.heads}), as rotary positions need an even width a head"
        )
    return found


def _adapter(config: Config) -> list[str]:
    found = []
    for name in ("knowledge", "skill"):
        settings = getattr(config.adapter, name)
        found += at_least(f"adapter.{name}.r", settings.r, 1)
        found += at_least(f"adapter.{name}.alpha", settings.alpha, 1)
        found += within(f"adapter.{name}.dropout", settings.dropout, 0.0, 1.0)
        if not settings.target_modules:
            found.append(f"adapter.{name}.target_modules: empty; name the linear layers to adapt")
    return found


def _method(config: Config) -> list[str]:
    found = []
    for method in config.compare or [config.method]:
        found += at_least("method.real_weight", method.real_weight, 0.0)
        if not method.real and not method.fictitious:
            found.append(
                f"method={method.name}: uses neither real nor fictitious rows; switch one on"
            )
        forms = method.forms or FORMS
        for form in forms:
            found += one_of("method.forms", form, FORMS)
        kinds = {s.fictitious for s in config.dataset.knowledge if s.form in forms}
        needed = {True} if method.fictitious else set()
        needed |= {False} if method.real else set()
        if method.knowledge and not needed & kinds:
            kind = " or ".join("fictitious" if f else "real" for f in sorted(needed))
            found.append(
                f"method={method.name}: needs {kind} knowledge ({' or '.join(forms)}), but "
                f"dataset={config.dataset.name} has no such source; add one to dataset.knowledge or "
                "choose another method"
            )
    return found


def _others(config: Config) -> list[str]:
    found = one_of("tracker.name", config.tracker.name, ("none", "wandb", "offline"))
    found += one_of("eval.scoring", config.eval.scoring, SCORINGS)
    found += at_least("eval.max_new_tokens", config.eval.max_new_tokens, 1)
    found += at_least("eval.tokens_per_batch", config.eval.tokens_per_batch, 1)
    found += at_least("eval.bootstrap", config.eval.bootstrap, 1)
    found += at_least("seed", config.seed, 0)
    return found


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
