"""Which values make sense together: every problem of a configuration at once, with its remedy."""

import re
import string
from collections.abc import Iterable
from typing import Any

from prereq.config import values
from prereq.config.schema import Config, MethodConfig, Server, TestSplit
from prereq.config.shape import nearest, shown

FORMS = ("passage", "statement")
DTYPES = ("auto", "float32", "bfloat16", "float16")
ENGINES = ("batches", "server")
FAMILIES = ("plain", "prerequisite", "oracle")  # of methods
ROLES = ("selection", "known", "unknown", "unseen", "fictitious")  # of a test split
OVERLONG = ("error", "truncate", "drop")
SCORINGS = ("qa", "final_answer", "facts", "long_form")
ATTENTION = ("auto", "rows", "sdpa", "eager", "flash_attention_2", "flex_attention")
EPOCHS = ("all", "ends", "best", "last")
RESERVED = ("report", "sweeps", "wandb")  # folders of output_dir that belong to no data set


def problems(config: Config) -> list[str]:
    """What is wrong, one line each (empty: nothing). Every line names the key and the remedy."""
    found = values.problems(config)
    for check in (_dataset, _world, _knowledge, _skill, _evaluation, _stage, _model, _adapter):
        found += check(config)
    for method in config.compare or [config.method]:
        found += _method(config, method)
    return list(dict.fromkeys(found))


def trains_skill(config: Any) -> bool:
    """Whether the command needs the skill LoRA of the recipe, not one given by hand."""
    return config.stage.name in ("sft", "pipeline") or (
        config.stage.name == "eval" and not config.skill
    )


def evaluates(config: Any) -> bool:
    return config.stage.name in ("eval", "pipeline")


def one_of(key: str, value: object, allowed: Iterable[str]) -> list[str]:
    allowed = list(allowed)
    if value in allowed:
        return []
    near = nearest(str(value), allowed)
    hint = f"; did you mean {near}?" if near else ""
    return [f"{key}={shown(value)}: must be one of {', '.join(allowed)}{hint}"]


def no_twice(key: str, names: list[str] | None) -> list[str]:
    return [
        f"{key}: {name!r} stands there twice; name each once"
        for name in sorted({name for name in names or [] if names.count(name) > 1})
    ]


def _dataset(config: Config) -> list[str]:
    data, found = config.dataset, []
    found += one_of("dataset.source", data.source, ("hub", "world", "cities"))
    found += one_of("dataset.overlong", data.overlong, OVERLONG)
    found += one_of("dataset.task", data.task, ("questions", "biographies"))
    if data.name.lower() in RESERVED:
        found.append(
            f"dataset.name={data.name}: output_dir has a folder of that name; choose another"
        )
    if data.source == "hub" and not data.path:
        found.append("dataset.path: empty; name a Hub id or a local folder in the published layout")
    found += no_twice("dataset.methods", data.methods)
    return found


def _world(config: Config) -> list[str]:
    """The sizes of the data made here: enough names, and a version for every source that asks."""
    data, found = config.dataset, []
    if data.source == "world":
        groups = {k: v for k, v in vars(data.world).items() if k in values.GROUPS}
        if sum(groups.values()) > values.PEOPLE:
            sizes = ", ".join(f"{name}={size}" for name, size in groups.items())
            found.append(
                f"dataset.world: {sum(groups.values()):,} people and {values.PEOPLE:,} names; make "
                f"its groups smaller ({sizes})"
            )
    if data.source in ("world", "cities"):
        versions = getattr(data, data.source).versions
        found += [
            f"dataset.knowledge.{i}.version={source.version}: there is no such version, as "
            f"dataset.{data.source}.versions={versions} counts them from 0; raise that or drop the source"
            for i, source in enumerate(data.knowledge)
            if source.version is not None and source.version >= versions
        ]
    return found


def _knowledge(config: Config) -> list[str]:
    sources, found = config.dataset.knowledge, []
    names = [source.name for source in sources]
    found += no_twice("dataset.knowledge", names)
    for i, source in enumerate(sources):
        key = f"dataset.knowledge.{i}"
        found += one_of(f"{key}.form", source.form, FORMS)
        if "." in source.name or source.name == "skill":
            found.append(
                f"{key}.name={source.name}: must hold no dot and not be 'skill'; rename it"
            )
        if source.version is not None and not source.fictitious:
            found.append(f"{key}.version={source.version}: only a fictitious source has a version")
    if config.stage.name == "cpt" and not names:
        found.append(
            f"dataset.knowledge: empty; stage=cpt trains the sources of dataset={config.dataset.name}, "
            "add one or choose another stage"
        )
    if config.knowledge is None:
        return found
    if not config.knowledge:
        found.append("knowledge=[]: names no source; leave it out to train all of them")
    if config.stage.name != "cpt":
        found.append(
            f"knowledge: only stage=cpt takes it, not stage={config.stage.name}; to use fewer sources "
            "change dataset.knowledge or method.forms"
        )
    for name in config.knowledge:
        found += one_of("knowledge", name, names)
    return found + no_twice("knowledge", config.knowledge)


def _skill(config: Config) -> list[str]:
    recipe, found = config.dataset.skill, []
    found += no_twice("dataset.skill.splits", recipe.splits)
    if config.skill and config.stage.name != "eval":
        found.append(
            f"skill={shown(config.skill)}: only stage=eval takes an adapter that was not made here, not "
            f"stage={config.stage.name}"
        )
    size = (config.stage.batch_size if trains_skill(config) else None) or recipe.training.batch_size
    if size and recipe.draw_group and size % recipe.draw_group:
        found.append(
            f"batch_size={size}: must be a multiple of dataset.skill.draw_group={recipe.draw_group}; "
            "change one of the two"
        )
    return found


def _fields(prompt: str) -> set[str | None]:
    """The names in braces of a template; {None} where it is none."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(prompt) if name is not None}
    except ValueError:
        return {None}


def _evaluation(config: Config) -> list[str]:
    data, asked, found = config.dataset, config.eval, []
    found += one_of("eval.scoring", asked.scoring, SCORINGS)
    found += one_of("eval.engine", asked.engine, ENGINES)
    for i, test in enumerate(data.tests):
        found += one_of(f"dataset.tests.{i}.epochs", test.epochs, EPOCHS)
        if test.role is not None:
            found += one_of(f"dataset.tests.{i}.role", test.role, ROLES)
        if test.role == "selection" and test.epochs != "all" and data.skill.keep_epochs:
            found.append(
                f"dataset.tests.{i}.epochs={test.epochs}: a split that selects the epoch is answered at "
                "every one; write epochs: all"
            )
    found += no_twice("dataset.tests", [test.name for test in data.tests])
    if asked.scoring == "long_form":
        if _fields(data.prompt or "") != {"name"}:
            found.append(
                f"dataset.prompt={shown(data.prompt)}: eval=long_form needs a prompt that holds {{name}} and "
                "nothing else in braces (a brace itself is written twice)"
            )
    elif evaluates(config) and not data.tests:
        found.append(
            f"dataset.tests: empty; stage={config.stage.name} answers the test splits of "
            f"dataset={data.name}, add one or use eval=long_form"
        )
    needed_by = "eval.engine=server" if asked.engine == "server" else None
    asked_of = Server(asked.server, asked.served_as)
    found += values.server(asked_of, "eval.server", "eval.served_as", needed_by)
    several = _plugs(config, data.tests) or _several_epochs(config)
    if asked.engine == "server" and evaluates(config) and several:
        found.append(
            f"eval.engine=server: a server serves one adapter, and dataset={data.name} asks for "
            "several epochs or plugged-in knowledge; set dataset.skill.keep_epochs=false and plug_in "
            "to false, or use eval.engine=batches"
        )
    return found


def _plugs(config: Config, tests: Iterable[TestSplit]) -> bool:
    methods = config.compare or [config.method]
    fictitious = any(source.fictitious for source in config.dataset.knowledge)
    wanted = config.eval.scoring != "long_form" and any(test.plug_in for test in tests)
    return wanted and fictitious and any(method.knowledge for method in methods)


def _several_epochs(config: Config) -> bool:
    epochs = config.stage.epochs or config.dataset.skill.training.epochs or 1
    return trains_skill(config) and config.dataset.skill.keep_epochs and epochs > 1


def _stage(config: Config) -> list[str]:
    found = one_of("stage.prerequisites", config.stage.prerequisites, ("make", "require"))
    found += one_of("stage.engine", config.stage.engine, ("packed", "padded"))
    found += one_of("tracker.name", config.tracker.name, ("none", "wandb", "offline"))
    trained = {"cpt": ["knowledge"], "sft": ["skill"], "pretrain": []}
    names = trained.get(config.stage.name, ["knowledge", "skill"])
    dropping = [name for name in names if getattr(config.adapter, name).dropout]
    if config.stage.tokens_per_forward == "auto" and dropping:
        found.append(
            f"stage.tokens_per_forward=auto: dropout (adapter.{dropping[0]}.dropout) is drawn a pack, so the "
            "size of packs is part of the experiment; give a number (4096 is the default) or set "
            "dataset.dropout=0"
        )
    return found


def _model(config: Config) -> list[str]:
    model, found = config.model, []
    found += one_of("model.source", model.source, ("hub", "tiny", "smollm2"))
    found += one_of("model.dtype", model.dtype, DTYPES)
    found += one_of("model.attn_implementation", model.attn_implementation, ATTENTION)
    if model.quantize is not None:
        found += one_of("model.quantize", model.quantize, ("4bit", "8bit"))
    if config.stage.engine == "packed" and model.quantize is not None:
        found.append(
            f"model.quantize={model.quantize}: the packed engine multiplies plain weights; add "
            "stage.engine=padded"
        )
    if config.stage.engine == "padded" and model.attn_implementation == "rows":
        found.append(
            "model.attn_implementation=rows: the padded engine has no packed rows; leave it at auto"
        )
    if model.source == "hub" and not model.path:
        found.append("model.path: empty; name a Hub id or a local folder")
    if model.source == "tiny" and config.dataset.source != "world":
        found.append(
            f"model={model.name} dataset={config.dataset.name}: the tiny model knows only the small "
            "world's words; choose another model, for example model=smollm2_135m"
        )
    shape = model.architecture
    if shape.heads > 0 and shape.width % (2 * shape.heads):
        found.append(
            f"model.architecture.width={shape.width}: must be a multiple of twice the heads "
            f"({shape.heads}), as rotary positions need an even width a head"
        )
    return found


def _adapter(config: Config) -> list[str]:
    found = []
    for field in ("knowledge", "skill"):
        key = f"adapter.{field}.target_modules"
        modules = getattr(config.adapter, field).target_modules
        if not modules:
            found.append(f"{key}: empty; name the linear layers to adapt")
        found += no_twice(key, modules)
    return found


def _method(config: Config, method: MethodConfig) -> list[str]:
    key, found = f"method={method.name}", []
    if method.family is not None:
        found += one_of("method.family", method.family, FAMILIES)
    if method.colour is not None and not re.fullmatch(r"#[0-9A-Fa-f]{6}", method.colour):
        found.append(f"method.colour={shown(method.colour)}: must be like '#0072B2'")
    if not method.real and not method.fictitious:
        return [f"{key}: uses neither real nor fictitious rows; switch one on"]
    if method.forms == []:
        return ["method.forms=[]: names no form; leave it out (or null) for both"]
    for form in method.forms or ():
        found += one_of("method.forms", form, FORMS)
    found += no_twice("method.forms", method.forms)
    if found or not method.knowledge or not trains_skill(config):
        return found
    forms = method.forms or FORMS
    kinds = {s.fictitious for s in config.dataset.knowledge if s.form in forms}
    needed = {f for f in (False, True) if (method.fictitious if f else method.real)}
    if not needed & kinds:
        kind = " or ".join("fictitious" if f else "real" for f in sorted(needed))
        found.append(
            f"{key}: needs {kind} knowledge ({' or '.join(forms)}), but "
            f"dataset={config.dataset.name} has no such source; add one to dataset.knowledge or "
            "choose another method"
        )
    return found
