"""Which values make sense together: every problem of a configuration at once, with its remedy."""

import re
from collections.abc import Iterable
from typing import Any

from prereq.config import values
from prereq.config.schema import (
    Config,
    MethodConfig,
    Server,
    TestSplit,
    ask,
    experiment,
    export,
    judge,
    probe,
    sources,
    training,
)
from prereq.config.schema.method import problems as of_methods
from prereq.config.shape import braces, no_twice, one_of, shown

FORMS = ("passage", "statement")
DTYPES = ("auto", "float32", "bfloat16", "float16")
ENGINES = ("batches", "server")
FAMILIES = ("plain", "prerequisite", "oracle")  # of methods
ROLES = ("selection", "known", "unknown", "unseen", "fictitious")  # of a test split
SCORINGS = ("qa", "final_answer", "facts", "long_form")
ATTENTION = ("auto", "rows", "sdpa", "eager", "flash_attention_2", "flex_attention")
EPOCHS = ("all", "ends", "best", "last")
TAKE_SKILL = ("eval", "judge", "ask", "export")  # stages that may be given the skill


def problems(config: Config) -> list[str]:
    """What is wrong, one line each (empty: nothing). Every line names the key and the remedy."""
    found = values.problems(config) + of_methods(config)
    for part in (sources, training, ask, experiment, export, judge, probe):
        found += part.problems(config)
    for check in (_knowledge, _skill, _evaluation, _judge, _stage, _model, _adapter):
        found += check(config)
    for method in config.compare or [config.method]:
        found += _method(config, method)
    return list(dict.fromkeys(found))


def trains_skill(config: Any) -> bool:
    """Whether the command needs a skill LoRA of the recipe, not only one given by hand."""
    if config.stage.name == "ask":
        return not config.skill or bool(config.ask.against)
    return config.stage.name in ("sft", "pipeline") or (
        config.stage.name in TAKE_SKILL and not config.skill
    )


def evaluates(config: Any) -> bool:
    return config.stage.name in ("eval", "judge", "pipeline")


def asks_topics(data: Any, scoring: str) -> bool:
    """Whether long-form evaluation asks about topics, and not what the rows of test splits ask."""
    return scoring == "long_form" and bool(data.topics or not data.tests)


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
    if not config.knowledge and config.stage.name == "cpt":
        found.append("knowledge=[]: names no source; leave it out to train all of them")
    if config.stage.name not in ("cpt", "ask", "export"):
        found.append(
            f"knowledge: only stage=cpt, ask and export take it, not stage={config.stage.name}; to use "
            "fewer sources change dataset.knowledge or method.forms"
        )
    for name in config.knowledge:
        found += one_of("knowledge", name, names)
    return found + no_twice("knowledge", config.knowledge)


def _skill(config: Config) -> list[str]:
    recipe, found = config.dataset.skill, []
    found += no_twice("dataset.skill.splits", recipe.splits)
    found += no_twice("dataset.skill.fictitious.splits", recipe.fictitious.splits)
    if bool(recipe.fictitious.subset) != bool(recipe.fictitious.splits):
        found.append(
            "dataset.skill.fictitious: needs both subset and splits; leave it out where fictitious rows "
            "stand among the others"
        )
    if config.skill and config.stage.name not in TAKE_SKILL:
        found.append(
            f"skill={shown(config.skill)}: only stage=eval, judge, ask and export take an adapter that was "
            f"not made here, not stage={config.stage.name}"
        )
    size = (config.stage.batch_size if trains_skill(config) else None) or recipe.training.batch_size
    if size and recipe.draw_group and size % recipe.draw_group:
        found.append(
            f"batch_size={size}: must be a multiple of dataset.skill.draw_group={recipe.draw_group}; "
            "change one of the two"
        )
    return found


def _evaluation(config: Config) -> list[str]:
    data, asked, found = config.dataset, config.eval, []
    found += one_of("eval.scoring", asked.scoring, SCORINGS)
    found += one_of("eval.engine", asked.engine, ENGINES)
    for name in ("abstentions", "hedges"):
        found += no_twice(f"eval.{name}", getattr(asked, name))
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
    if asks_topics(data, asked.scoring):
        if braces(data.topic_prompt or "") != {"name"}:
            found.append(
                f"dataset.topic_prompt={shown(data.topic_prompt)}: eval=long_form asks about topics by a "
                "text that holds {name} and nothing else in braces (a brace itself is written twice)"
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
    wanted = not asks_topics(config.dataset, config.eval.scoring)
    wanted = wanted and any(test.plug_in for test in tests)
    return wanted and fictitious and any(method.knowledge for method in methods)


def _several_epochs(config: Config) -> bool:
    epochs = config.stage.epochs or config.dataset.skill.training.epochs or 1
    trains = trains_skill(config) and any(m.trains for m in config.compare or [config.method])
    return trains and config.dataset.skill.keep_epochs and epochs > 1


def _judge(config: Config) -> list[str]:
    asked, judges = config.judge, judge.judges(config)
    needed = {
        "judge.server": (asked.server, asked.verdicts),
        "judge.splitter_server": (judge.splitter_server(asked), asked.splitter),
    }
    if asked.validate or needed["judge.server"][0] == needed["judge.splitter_server"][0]:
        del needed["judge.splitter_server"]
    found = []
    for key, (server, who) in needed.items():
        needed_by = f"judge={asked.name}" if judges and who == "openai" else None
        found += values.server(server, f"{key}.url", f"{key}.model", needed_by)
    return found


def _stage(config: Config) -> list[str]:
    found = one_of("stage.prerequisites", config.stage.prerequisites, ("make", "require"))
    found += one_of("stage.engine", config.stage.engine, ("packed", "padded"))
    trained = {"cpt": ["knowledge"], "sft": ["skill"], "pretrain": []}
    names = trained.get(config.stage.name, ["knowledge", "skill"])
    dropping = [name for name in names if getattr(config.adapter, name).dropout]
    if config.stage.tokens_per_forward == "auto" and dropping:
        found.append(
            f"stage.tokens_per_forward=auto: dropout (adapter.{dropping[0]}.dropout) is drawn a pack, so the "
            "size of packs is part of the experiment; give a number (4096 is the default) or set "
            "dataset.dropout=0"
        )
    if config.show and config.stage.name != "data":
        found.append(
            f"show={config.show}: only stage=data shows rows, not stage={config.stage.name}"
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
    if not method.trains:
        return found + _untrained(config, method)
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


def _untrained(config: Config, method: MethodConfig) -> list[str]:
    """What does not go together with a method that leaves the base model as it is."""
    found = []
    if method.knowledge or method.fictitious:
        found.append(
            f"method={method.name}: trains nothing (trains: false), so it has no use for fictitious or "
            "knowledge; leave them out"
        )
    if config.stage.name == "sft":
        found.append(
            f"method={method.name}: trains nothing, so stage=sft has nothing to make; use stage=eval"
        )
    return found
