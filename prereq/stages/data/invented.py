"""Fictitious rows and knowledge, made of the training rows of a data set: what `stage=synth` writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prereq.config import Config
from prereq.data import custom
from prereq.data.sources import read_skill
from prereq.errors import PrereqError
from prereq.stages.data import arrange
from prereq.stages.pretrain import base_model
from prereq.stages.specs import Specs, choices
from prereq.synth import write as writing
from prereq.synth.rows import (
    LongRow,
    RealRow,
    SynthSettings,
    Writer,
    WriterSettings,
    read_titles,
)
from prereq.synth.writers.chosen import writer

if TYPE_CHECKING:
    from prereq.synth.writers.local import Generate


def write(specs: Specs, folder: Path) -> dict[str, Any]:
    """The data in `folder`; what its manifest says of it. Raises PrereqError."""
    config = specs.config
    rows = real_rows(specs)
    _check_versions(config, isinstance(rows[0], LongRow))
    laid_out = config.dataset.source == "hub"
    if laid_out:
        arrange.check(specs)
    settings = _of(SynthSettings, config.synth)
    if config.synth.questions is None:
        settings = replace(settings, questions=len(rows))
    with _writer(specs) as chosen:
        told = writing.write(folder, rows, settings, config.seed, _avoid(specs), chosen)
    found: dict[str, Any] = {"synth": told}
    return found | ({"laid_out": arrange.write(specs, folder)} if laid_out else {})


def real_rows(specs: Specs) -> list[RealRow] | list[LongRow]:
    """The training rows: a user's own, else the real ones of the data set. Raises PrereqError."""
    config, data = specs.config, specs.config.dataset
    if data.source == "custom":
        own = custom.cut(data, config.seed)["train"]
        if own[0].long:
            return [LongRow(row.question, row.answers[0], row.subject) for row in own]
        return [RealRow(r.question, r.answers, r.subject, r.relation, r.passage) for r in own]
    splits = choices.modelled_on(config)
    read = [row for split in splits for row in read_skill(specs.folder(split[0]), *split)]
    real = [row for row in read if not row.fictitious]
    if not real:
        raise PrereqError(
            f"stage=synth: dataset={data.name} has no real row in its training splits "
            f"({', '.join(data.skill.splits)}), and fictitious ones are modelled on those; add "
            "some (fake: 0), or name a split that has them, dataset.skill.splits=[NAME]"
        )
    if config.eval.scoring == "long_form":
        return [LongRow(row.user, row.assistant, row.title) for row in real]
    return [
        RealRow(r.user, r.answers or (r.assistant,), r.title or r.user, _text(r.extra.get("prop")))
        for r in real
    ]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _avoid(specs: Specs) -> dict[str, list[str]]:
    """Names that no invented one may equal, by the list that they are of."""
    from prereq.world.words import FIRST_NAMES, LAST_NAMES

    config = specs.config
    found = {"the small world": [f"{a} {b}" for a in FIRST_NAMES for b in LAST_NAMES]}
    if config.dataset.source == "custom":
        given = custom.given(config.dataset)
        rows = [*given.rows, *(row for split in given.splits.values() for row in split)]
        found["the rows"] = list(dict.fromkeys(row.subject for row in rows))
    if config.synth.titles:
        found[Path(config.synth.titles).name] = read_titles(Path(config.synth.titles))
    return found


def _check_versions(config: Config, long: bool) -> None:
    """Refuse knowledge sources of the other form: long form has a file for each version."""
    data = config.dataset
    sources = [s for s in data.knowledge if s.fictitious]
    if data.source not in ("custom", "hub") or not sources:
        return
    if any(long != (source.version is not None) for source in sources):
        form, fits = ("long", "dataset=custom_long") if long else ("short", "dataset=custom")
        if data.source == "hub":
            fits = "eval=qa" if long else "eval=long_form, where rows are texts"
        raise PrereqError(
            f"dataset={data.name}: the rows are of {form} form, and its fictitious knowledge sources "
            f"are{' not' if long else ''} told apart by version; what fits them: {fits}"
        )


@contextmanager
def _writer(specs: Specs) -> Iterator[Writer]:
    """Who words the knowledge. Replies of models are kept beside the data sets."""
    config = specs.config
    settings = _of(WriterSettings, config.synth)
    replies = specs.root / "replies" / "synth.sqlite"
    generate, model = None, None
    if settings.writer != "template":
        replies.parent.mkdir(parents=True, exist_ok=True)
    if settings.writer == "local":
        generate, model = _local(specs)
    with writer(settings, config.seed, replies, generate, model) as chosen:
        yield chosen


def _local(specs: Specs) -> tuple[Generate, str]:
    from prereq.evaluation.conversations import local_replies

    config, asked, base = specs.config, specs.config.synth, base_model(specs)
    generate = local_replies(
        config.model,
        base.path,
        config.stage.engine,
        asked.max_tokens,
        asked.tokens_per_batch,
        asked.temperature or 0.0,
        asked.top_p or 1.0,
    )
    return generate, f"{config.model.name} {base.reference}"


def _of(kind: type, asked: Any) -> Any:
    """The settings of a part of the library, from the fields of the same names."""
    return kind(**{field.name: getattr(asked, field.name) for field in fields(kind)})
