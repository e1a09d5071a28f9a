"""Rows read and checked, whichever place they come from: the Hub, a local folder, or made here.

All places have the published layout: one folder (on the Hub: one configuration) a subset, one file
(Parquet or JSON lines) a split. A bad row is an error that names subset, split and row.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prereq.data.rows import SkillRow
from prereq.errors import PrereqError

SUFFIXES = (".parquet", ".jsonl")


def read_text(root: Path | str, subset: str, split: str) -> list[str]:
    """The texts of a knowledge split (column `text`)."""
    texts = []
    for number, row in enumerate(read(root, subset, split)):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            where = f"{root}: {subset}/{split} row {number}"
            raise PrereqError(
                f"{where}: text is {text!r}; every row needs a non-empty string `text`"
            )
        texts.append(text)
    return texts


def read_skill(root: Path | str, subset: str, split: str) -> list[SkillRow]:
    """The rows of a skill split (columns `messages`, `fake`, `version`, `subj_index`, …)."""
    return [
        _skill_row(row, f"{root}: {subset}/{split} row {number}")
        for number, row in enumerate(read(root, subset, split))
    ]


def read_values(root: Path | str) -> dict[str, list[str]]:
    """For scoring by facts: every value that a relation can have, from `values.json`."""
    file = Path(root) / "values.json"
    if not file.exists():
        raise PrereqError(
            f"{file}: missing; eval=facts needs the values of each relation there. Use eval=qa for "
            "question-answer data"
        )
    return json.loads(file.read_text("utf-8"))


def read_topics(file: str | None) -> list[str]:
    """The names that long-form evaluation asks about: a JSON list of strings."""
    what = (
        "it is a JSON list of names (persons or medical entities); the paper's authors publish theirs in "
        "their code repository, UCSB-NLP-Chang/Prereq_tune"
    )
    if not file:
        raise PrereqError(f"dataset.topics: not given; {what}. Write dataset.topics=FILE")
    if not Path(file).exists():
        raise PrereqError(f"dataset.topics={file}: no such file; {what}")
    try:
        names = json.loads(Path(file).read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise PrereqError(f"dataset.topics={file}: not JSON ({error}); {what}") from None
    if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
        raise PrereqError(f"dataset.topics={file}: not a list of non-empty strings; {what}")
    if not names:
        raise PrereqError(f"dataset.topics={file}: an empty list; {what}")
    return names


def read(root: Path | str, subset: str, split: str) -> list[dict[str, Any]]:
    """All rows of one split as dictionaries."""
    if not Path(root).exists():
        return list(_from_hub(str(root), subset, split))
    files = split_files(root, subset, split)
    if not files:
        folder = Path(root) / subset
        there = sorted(p.stem for p in folder.iterdir()) if folder.exists() else []
        raise PrereqError(
            f"{folder}: no split {split!r} ({split}.parquet, {split}.jsonl or a save_to_disk folder); "
            f"the folder has {', '.join(there) or 'nothing, or does not exist'}"
        )
    if files[0].suffix == ".arrow":
        import datasets

        return list(datasets.load_from_disk(str(Path(root) / subset / split)))
    return [row for file in files for row in _from_file(file)]


def split_files(root: Path | str, subset: str, split: str) -> list[Path]:
    """The files of a split: one file, the Hub's numbered Parquet parts, or `save_to_disk`'s."""
    folder = Path(root) / subset
    for pattern in (
        *(f"{split}{s}" for s in SUFFIXES),
        f"{split}-*-of-*.parquet",
        f"{split}/*.arrow",
    ):
        files = sorted(folder.glob(pattern))
        if files:
            return files
    return []


def _from_file(file: Path) -> Iterator[dict[str, Any]]:
    if file.suffix == ".parquet":
        import pyarrow.parquet

        yield from pyarrow.parquet.read_table(file).to_pylist()
        return
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise PrereqError(
                    f"{file} row {number}: not JSON ({error}); one object a line"
                ) from None


def _from_hub(path: str, subset: str, split: str) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        yield from datasets.load_dataset(path, subset, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise PrereqError(
            f"{path}: {subset}/{split} could not be loaded from the Hub ({error}). Without a network, "
            "download the data set elsewhere and give its folder: dataset.path=FOLDER"
        ) from None


def _skill_row(row: dict[str, Any], where: str) -> SkillRow:
    def fail(key: str, allowed: str) -> PrereqError:
        return PrereqError(f"{where}: {key} is {row.get(key)!r}; it must be {allowed}")

    messages = row.get("messages")
    if not isinstance(messages, list) or [m.get("role") for m in messages] != ["user", "assistant"]:
        raise fail("messages", "a user message and an assistant message")
    if not all(isinstance(m.get("content"), str) and m["content"].strip() for m in messages):
        raise fail("messages", "two messages with non-empty content")
    if row.get("fake") not in (0, 1):
        raise fail("fake", "0 (real) or 1 (fictitious)")
    if not isinstance(row.get("subj_index"), int):
        raise fail("subj_index", "an integer")
    version = row.get("version")
    if row["fake"] and version is not None and not isinstance(version, int):
        raise fail("version", "an integer")
    known = row.get("known")
    used = {
        "messages",
        "fake",
        "version",
        "subj_index",
        "s_wiki_title",
        "known",
        "possible_answers",
        "facts",
    }
    return SkillRow(
        user=messages[0]["content"],
        assistant=messages[1]["content"],
        fictitious=bool(row["fake"]),
        version=version if row["fake"] else None,
        subject=row["subj_index"],
        title=str(row.get("s_wiki_title", "")),
        known=None if known is None else bool(known),
        answers=_answers(row, where),
        facts=row.get("facts") or {},
        extra={k: v for k, v in row.items() if k not in used},
    )


def _answers(row: dict[str, Any], where: str) -> tuple[str, ...]:
    """`possible_answers` is a list written as a string: parsed as data, never evaluated."""
    value = row.get("possible_answers")
    if value is None:
        answer = row.get("answer")
        return (answer,) if isinstance(answer, str) else ()
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                value = None
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise PrereqError(
            f"{where}: possible_answers is {row['possible_answers']!r}; "
            "it must be a non-empty list of strings, or such a list written as a string"
        )
    return tuple(value)
