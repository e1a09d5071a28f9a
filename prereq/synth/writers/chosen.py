"""The writer that the settings choose: what a stage calls.

with writer(settings, seed, folder / "replies.sqlite", generate, model) as chosen:
    write(folder, rows, synth, seed, avoid, chosen)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prereq.config import values
from prereq.errors import PrereqError
from prereq.synth import template
from prereq.synth.rows import WRITERS, Writer, WriterSettings
from prereq.synth.writers import local, served


@contextmanager
def writer(
    settings: WriterSettings,
    seed: int,
    replies: Path,
    generate: local.Generate | None = None,
    model: str | None = None,
) -> Iterator[Writer]:
    """The writer of `settings.writer`. `replies` is the file in which replies are kept.

    `generate` and `model` are for `local` alone: see `prereq.synth.writers.local`. Raises PrereqError.
    """
    problems = faults(settings)
    if problems:
        raise PrereqError(
            "\n".join(["synth: the writer cannot be used:", *(f"  - {p}" for p in problems)])
        )
    if settings.writer == "openai":
        with served.writer(settings, replies) as chosen:
            yield chosen
    elif settings.writer == "local":
        if generate is None or model is None:
            raise ValueError("the writer local needs the function that generates, and its model")
        with local.writer(generate, model, settings, seed, replies) as chosen:
            yield chosen
    else:
        yield template.WRITER


def faults(settings: WriterSettings) -> list[str]:
    """What is wrong with settings, each with what is allowed."""
    found = []
    if settings.writer not in WRITERS:
        near = difflib.get_close_matches(settings.writer, WRITERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        found.append(f"synth.writer={settings.writer}: must be one of {', '.join(WRITERS)}{hint}")
    for name in ("max_tokens", "tokens_per_batch"):
        if getattr(settings, name) < 1:
            found.append(f"synth.{name}={getattr(settings, name)}; it must be 1 or more")
    if settings.temperature is None:
        if settings.writer == "local":
            found.append("synth.temperature=null; the writer local needs a number, 0 is greedy")
    elif not 0 <= settings.temperature <= 2:
        found.append(f"synth.temperature={settings.temperature}; it must be from 0 to 2")
    if settings.top_p is not None and not 0 < settings.top_p <= 1:
        found.append(f"synth.top_p={settings.top_p}; it must be above 0 and at most 1")
    needed_by = "synth.writer=openai" if settings.writer == "openai" else None
    return found + values.server(settings.server, *served.KEYS, needed_by)
