"""The data card: what was made from what, what was dropped and why, and examples to read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from prereq.synth.checks import NEAR
from prereq.synth.made import Made, Row
from prereq.synth.names import versions
from prereq.synth.rows import SynthSettings, Writer

EXAMPLES = 20


def card(made: Made, settings: SynthSettings, seed: int, writer: Writer, form: str) -> str:
    """The card in Markdown. `form`: `short` or `long`."""
    parts = [
        f"# Fictitious data, {form} form",
        "Its subjects and their facts are invented; they are meant to exist nowhere. No name equals one of "
        "the lists it was compared with (those thrown away are counted below); names that are in no list "
        "could not be compared.",
        _table([("setting", "value"), *_settings(settings, seed, writer)]),
    ]
    if writer.prompts:
        parts += ["## Prompts", *(f"```\n{prompt}\n```" for prompt in writer.prompts)]
    parts += [
        "## Files",
        _table([("file", "rows", "words a row: median", "most"), *_lengths(made)]),
    ]
    parts += ["## Counts", _table([("what", "count"), *_counts(made)]), _meaning(form)]
    for title, lines in made.about.items():
        parts += [f"## {title}", _table(lines)]
    parts += [f"## Examples ({min(EXAMPLES, len(made.examples))})"]
    parts += [_example(example) for example in _spread(made.examples)]
    return "\n\n".join(parts) + "\n"


def counts(
    made: Made, settings: SynthSettings, seed: int, writer: Writer, form: str
) -> dict[str, Any]:
    """The same numbers for programs."""
    files = {
        name: {"rows": int(rows), "median_words": float(middle), "most_words": int(most)}
        for name, rows, middle, most in _lengths(made)
    }
    return {
        "form": form,
        "writer": writer.name,
        "model": writer.model,
        "seed": seed,
        "versions": versions(),
        "files": files,
        "counts": dict(sorted(made.counts.items())),
    }


def _settings(settings: SynthSettings, seed: int, writer: Writer) -> list[tuple[str, str]]:
    made_with = ", ".join(f"{name} {version}" for name, version in versions().items())
    types = ", ".join(f"{name}: {kind}" for name, kind in settings.types.items())
    values = {name: value for name, value in vars(settings).items() if name != "types"}
    return [
        ("writer", writer.name),
        ("model", writer.model or "none"),
        ("prompts", "below" if writer.prompts else "none"),
        ("seed", str(seed)),
        *((name, f"{value:g}") for name, value in values.items()),
        ("types", types or "as guessed"),
        ("made with", made_with),
    ]


def _lengths(made: Made) -> list[tuple[str, str, str, str]]:
    """Rows and words of each file."""
    found = []
    for name, rows in sorted(made.files.items()):
        words = [len(_text(row).split()) for row in rows] or [0]
        found.append((name, str(len(rows)), f"{statistics.median(words):g}", str(max(words))))
    return found


def _text(row: Row) -> str:
    return row["text"] if "text" in row else row["messages"][1]["content"]


def _counts(made: Made) -> list[tuple[str, str]]:
    return [(name, f"{count:,}") for name, count in sorted(made.counts.items())]


def _meaning(form: str) -> str:
    common = (
        "A text that fails a check is asked for again, and dropped when every try failed. Two texts are "
        f"near-duplicates when the Jaccard index of their sets of words is {NEAR} or more."
    )
    if form == "short":
        return (
            f"{common} A question is kept only with a statement and a passage that hold its answer."
        )
    return (
        f"{common} A subject is kept only if in every version each value of its response stands in a "
        "statement and in a passage of that version, and none in any text of another version."
    )


def _spread(examples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Examples from all over the data, in its order."""
    last = len(examples) - 1
    if last < EXAMPLES:
        return list(examples)
    return [examples[n * last // (EXAMPLES - 1)] for n in range(EXAMPLES)]


def _example(example: dict[str, Any]) -> str:
    version = f" (version {example['version']})" if "version" in example else ""
    said = "\n".join(f"  - {_plain(text)}" for text in example["statements"])
    return (
        f"- **{_plain(example['question'])}**{version} {_plain(example['answer'])}\n"
        f"  - passage: {_plain(example['passage'])}\n{said}"
    )


def _table(lines: Iterable[Sequence[str]]) -> str:
    head, *rest = [[_plain(cell).replace("|", "\\|") for cell in line] for line in lines]
    width = len(head)
    rows = [head, ["---"] * width, *(line + [""] * (width - len(line)) for line in rest)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(text: str) -> str:
    """Text on one line."""
    return " ".join(text.split())
