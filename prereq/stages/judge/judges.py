"""Who splits answers into facts and who judges those, as the configuration has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prereq.artifacts.spec import Artifact, Spec
from prereq.config.schema.judge import splitter_server
from prereq.data.sources import read_values
from prereq.evaluation.factscore import exact, models, prompts, source
from prereq.evaluation.factscore.rows import Judge, Split
from prereq.stages.data.sets import data_sets
from prereq.stages.pretrain import base_model, libraries
from prereq.stages.specs import Specs, choices, judged, missing


def needed(specs: Specs, who: str) -> list[Artifact]:
    """What a splitter or judge rests on, found or made: values, or the model of this process.

    Called in every process, before the one that writes goes on alone.
    """
    if who == "exact":
        return data_sets(specs, [choices.tests(specs.config)[0].subset])
    return [base_model(judged.own(specs))] if who == "local" else []


def check(specs: Specs) -> None:
    """Raise PrereqError for what cannot be read or asked, before anything is answered or paid for."""
    judge = specs.config.judge
    splits, judges = (missing(spec(specs)) for spec in (judged.facts, judged.verdicts))
    if judge.knowledge and missing(judged.evidence(specs)):
        source.read(judge.knowledge)
    for who, wanted, splitting in ((judge.splitter, splits, True), (judge.verdicts, judges, False)):
        if wanted and who != "exact":
            prompts.check(judge.prompts)
        if wanted and who == "openai":
            with _ask(specs, who, splitting):
                pass  # which sends nothing as yet


@contextmanager
def splitter(specs: Specs) -> Iterator[Split]:
    config = specs.config
    if config.judge.splitter == "exact":
        yield exact.splitter(_values(specs))
        return
    with _ask(specs, config.judge.splitter, splits=True) as (ask, layout):
        yield models.splitter(ask, layout, config.judge.prompts)


@contextmanager
def judge(specs: Specs) -> Iterator[Judge]:
    config = specs.config
    if config.judge.verdicts == "exact":
        yield exact.judge(_values(specs))
        return
    with _ask(specs, config.judge.verdicts, splits=False) as (ask, layout):
        yield models.judge(ask, layout, config.judge.prompts)


@contextmanager
def _ask(specs: Specs, who: str, splits: bool) -> Iterator[tuple[models.Ask, str]]:
    """The model that splits or judges, and the layout of its replies. They are kept beside the data sets."""
    asked, replies = specs.config.judge, specs.root / "replies" / "judge.sqlite"
    if who == "openai":
        server = splitter_server(asked) if splits else asked.server
        key = "judge.server" if server == asked.server else "judge.splitter_server"
        names = (f"{key}.url", f"{key}.model")
        with models.served(server, names, asked.max_tokens, replies) as ask:
            yield ask, "json"
        return
    from prereq.evaluation.conversations import local_replies

    libraries()
    mine = judged.own(specs)
    base = mine.base
    reference = base.key if isinstance(base, Spec) else base.reference
    generate = local_replies(
        mine.config.model,
        base.path,
        specs.config.stage.engine,
        asked.max_tokens,
        asked.tokens_per_batch,
        0.0,
        longest="judge.max_tokens",
    )
    name = f"{judged.label(specs, 'local')} {reference}"
    with models.local(generate, name, asked.max_tokens, replies) as ask:
        yield ask, "lines"


def _values(specs: Specs) -> dict[str, list[str]]:
    return read_values(specs.folder(choices.tests(specs.config)[0].subset))
