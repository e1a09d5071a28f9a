"""Make fictitious data from a user's real rows and write it in the published layout: the entry.

    write(folder, rows, settings, seed, avoid={"titles.txt": read_titles(file)})

makes, of `RealRow`s or of `LongRow`s,

    fictitious_skill/train.jsonl                      the task about invented subjects
    fictitious_skill/plug_in.jsonl                    that of a share of them, kept back (`plug_in`)
    fictitious_knowledge/{statement,passage}_train.jsonl      what answers it; of `LongRow`s
    fictitious_knowledge/{statement,passage}_train_v0.jsonl … one file a version
    card.md, counts.json                              what was made, dropped and why, with examples

The same rows, settings, seed, lists and `names.versions()` give the same files.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prereq.errors import PrereqError
from prereq.runtime.files import write_json, write_lines, write_text
from prereq.synth import card, template
from prereq.synth.long import make as long
from prereq.synth.rows import TYPES, LongRow, RealRow, SynthSettings, Writer
from prereq.synth.short import make as short

LEAST = {
    "questions": 1,
    "facts": 1,
    "versions": 1,
    "copies": 1,
    "wordings": 1,
    "passages": 1,
    "tries": 1,
}


def write(
    folder: Path,
    rows: Sequence[RealRow] | Sequence[LongRow],
    settings: SynthSettings,
    seed: int,
    avoid: Mapping[str, Iterable[str]] | None = None,
    writer: Writer = template.WRITER,
) -> dict[str, Any]:
    """Write the data under `folder`, which exists, and return the numbers of `counts.json`.

    `avoid`: names that no invented one may equal, by the name of their list; the subjects of the rows are
    always among them. Everything is made before anything is written. Raises PrereqError.
    """
    problems = faults(settings)
    if problems:
        raise PrereqError(
            "\n".join(["synth: the settings cannot be used:", *(f"  - {p}" for p in problems)])
        )
    form = "long" if rows and isinstance(rows[0], LongRow) else "short"
    make = long.make if form == "long" else short.make
    made = make(rows, settings, seed, writer, avoid or {})
    if not made.files.get("fictitious_skill/train.jsonl"):
        why = "; ".join(
            f"{count} {name}" for name, count in made.counts.items() if "dropped" in name
        )
        raise PrereqError(
            f"synth: nothing is left to train on ({why or 'every subject is kept for plug_in'}); ask for "
            "more questions or fewer versions, or set plug_in lower"
        )
    told = card.counts(made, settings, seed, writer, form)
    page = card.card(made, settings, seed, writer, form)
    for name, lines in made.files.items():
        write_lines(folder / name, lines)
    write_text(folder / "card.md", page)
    write_json(folder / "counts.json", told)
    return told


def faults(settings: SynthSettings) -> list[str]:
    """What is wrong with settings, each with what is allowed; whatever needs no rows to see."""
    found = []
    for name, least in LEAST.items():
        if getattr(settings, name) < least:
            found.append(f"synth.{name}={getattr(settings, name)}; it must be {least} or more")
    if not 0 <= settings.plug_in < 1:
        found.append(f"synth.plug_in={settings.plug_in}; it is a share, from 0 to below 1")
    for relation, kind in settings.types.items():
        if kind not in TYPES:
            near = difflib.get_close_matches(str(kind), TYPES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            found.append(
                f"synth.types.{relation}={kind}: no type; there are {', '.join(TYPES)}{hint}"
            )
    return found
