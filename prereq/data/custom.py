"""A user's own rows as a data set: read, cut by subject, written in the published layout.

`skill/{train,development,test}` hold the rows, `knowledge/real` what the training rows state: their
passages, and statements of the answers that no passage holds.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from prereq.config import DatasetConfig
from prereq.config.schema.sources import CUT
from prereq.data.columns import read_passages, read_rows, subjects
from prereq.data.reading import is_file
from prereq.data.rows import UserRow
from prereq.errors import PrereqError
from prereq.runtime.console import say
from prereq.runtime.files import write_lines

State = Callable[[str, str, str], list[str]]  # question, answer and subject → statements
EDITION = 1  # raised when the same rows and seed give another data set


@dataclass(frozen=True)
class Given:
    """What the user's files hold."""

    rows: list[UserRow]
    splits: dict[str, list[UserRow]]  # development and test, where they are files
    passages: list[tuple[str, str]]  # (subject, text)


_read: dict[tuple, tuple[tuple, Given]] = {}  # with the size and time of change of each file


def given(data: DatasetConfig) -> Given:
    """The user's rows, read and checked once for each state of the files. Raises PrereqError."""
    sources = [data.rows, data.development, data.test, data.passages]
    key = (*sources, tuple(vars(data.columns).values()), data.revision)
    state = tuple(_state(source) for source in sources)
    if key not in _read or _read[key][0] != state:
        more = {name: getattr(data, name) for name in CUT if getattr(data, name)}
        rows = read_rows(data.rows, data.columns, "dataset.rows", data.revision)
        splits = {
            name: read_rows(source, data.columns, f"dataset.{name}")
            for name, source in more.items()
        }
        passages = read_passages(data.passages, data.columns) if data.passages else []
        _read[key] = state, Given(rows, splits, passages)
    return _read[key][1]


def _state(source: str | None) -> tuple[int, ...]:
    if not source or not is_file(source) or not Path(source).exists():
        return ()
    status = Path(source).stat()
    return status.st_size, status.st_mtime_ns


def content(data: DatasetConfig, seed: int) -> dict[str, Any]:
    """What determines the data set: the rows as they were understood, never their file's name or format."""
    found = given(data)
    shares = {
        n: getattr(data.cut, n) for n in CUT if n not in found.splits and getattr(data.cut, n)
    }
    values: dict[str, Any] = {"source": "custom", "edition": EDITION, "rows": _digest(found.rows)}
    values |= {name: _digest(rows) for name, rows in found.splits.items()}
    if found.passages:
        values["passages"] = _sha(found.passages)
    return values | ({"cut": shares, "seed": seed} if shares else {})


def check_answers(data: DatasetConfig, scoring: str) -> None:
    """Raises PrereqError where rows of long form would be scored by accepted answers."""
    found = given(data)
    long = next((row for row in (found.splits.get("test") or found.rows) if row.long), None)
    if long:
        raise PrereqError(
            f"eval={scoring}: needs accepted answers, and {long.place} has a response; add "
            "eval=long_form, which asks the test rows and stores what is said, or take dataset=custom_long"
        )


def cut(data: DatasetConfig, seed: int) -> dict[str, list[UserRow]]:
    """The rows of each split, in the order of the file: no subject is in two that are cut here.

    Raises PrereqError where there are fewer subjects than splits.
    """
    found = given(data)
    shares = {
        n: getattr(data.cut, n) for n in CUT if n not in found.splits and getattr(data.cut, n)
    }
    names = sorted(subjects(found.rows))
    if len(names) <= len(shares):
        keys = " ".join(f"dataset.cut.{name}=0" for name in shares)
        files = " ".join(f"dataset.{name}=FILE" for name in shares)
        raise PrereqError(
            f"dataset.rows={data.rows}: {len(names)} subject{'s' * (len(names) != 1)}, and train, "
            f"{' and '.join(shares)} need one each; give more rows, or {files}, or cut nothing off ({keys})"
        )
    random.Random(f"cut {seed}").shuffle(names)
    places: dict[str, str] = {}
    for split, share in shares.items():
        room = len(names) - len(places) - (len(shares) - list(shares).index(split))
        for name in names[len(places) :][: min(room, max(1, round(share * len(names))))]:
            places[name] = split
    splits: dict[str, list[UserRow]] = {"train": []} | {name: [] for name in shares}
    for row in found.rows:
        splits[places.get(row.subject, "train")].append(row)
    return splits | found.splits


def write(folder: Path, data: DatasetConfig, seed: int, state: State) -> dict[str, Any]:
    """The data set under `folder`; returns how many rows each file has, for the manifest."""
    splits = cut(data, seed)
    numbers = {name: i for i, name in enumerate(subjects([r for s in splits.values() for r in s]))}
    for name, rows in splits.items():
        write_lines(folder / "skill" / f"{name}.jsonl", (_skill(row, numbers) for row in rows))
    texts = knowledge(splits["train"], given(data).passages, state)
    lines = ({"text": text, "wording": number} for text, number in texts.items())
    write_lines(folder / "knowledge" / "real.jsonl", lines)
    _note(splits, given(data).passages, data)
    counts = {f"skill/{name}": len(rows) for name, rows in splits.items()}
    return {"rows": counts | {"knowledge/real": len(texts)}}


def knowledge(
    rows: Sequence[UserRow], passages: Iterable[tuple[str, str]], state: State
) -> dict[str, int]:
    """What the rows state, each text once, and which wording of its fact it is, from 0.

    That are the passages of the row or its subject. A fact that no passage holds is stated, in several
    wordings; of long form it is the prompt with its response.
    """
    by_subject: dict[str, list[str]] = {}
    for subject, text in passages:
        by_subject.setdefault(subject, []).append(text)
    texts: dict[str, int] = {}
    for row in rows:
        own = [row.passage] if row.passage else by_subject.get(row.subject, [])
        for text in own:
            texts.setdefault(text, 0)
        if row.long:
            said = [] if own else [f"{row.question}\n{row.answers[0]}"]
        elif any(answer.lower() in text.lower() for text in own for answer in row.answers):
            said = []
        else:
            said = state(row.question, row.answers[0], row.subject)
        for number, text in enumerate(said):
            texts.setdefault(text, number)
    return texts


def _skill(row: UserRow, numbers: dict[str, int]) -> dict[str, Any]:
    """A row in the published columns."""
    turns = [*row.turns, ("user", row.question), ("assistant", row.answers[0])]
    found: dict[str, Any] = {
        "messages": [{"role": role, "content": content} for role, content in turns],
        "fake": 0,
        "subj_index": numbers[row.subject],
        "s_wiki_title": row.subject,
    }
    if not row.long:
        found["possible_answers"] = list(row.answers)
    more = {"s_pop": row.popularity, "prop": row.relation}
    return found | {name: value for name, value in more.items() if value is not None}


def _note(
    splits: dict[str, list[UserRow]], passages: Sequence[tuple[str, str]], data: DatasetConfig
) -> None:
    """Say which passages and subjects found no partner, and which subjects are in two files."""
    learnt = set(subjects(splits["train"]))
    for name in (name for name in CUT if getattr(data, name)):
        both = learnt & set(subjects(splits[name]))
        if both:
            what = f"{len(both):,} of its subjects are in the training rows too"
            say("noted", escape(f"dataset.{name}={getattr(data, name)}: {what}"))
    if passages:
        titles = {title for title, _ in passages}
        every = {row.subject for rows in splits.values() for row in rows}
        own = {row.subject for row in splits["train"] if row.passage}
        alone, without = len(titles - every), len(learnt - titles - own)
        counts = (
            [f"{alone:,} of {len(titles):,} are of no row's subject and left out"] if alone else []
        )
        counts += (
            [
                f"{without:,} of {len(learnt):,} subjects have none, and a statement of question and answer"
            ]
            if without
            else []
        )
        if counts:
            say("noted", escape(f"dataset.passages={data.passages}: {'; '.join(counts)}"))


def _digest(rows: Iterable[UserRow]) -> str:
    """16 hex digits that stand for the rows, wherever and however they are written."""
    left_out = ("number", "file")
    names = [name for name in UserRow.__slots__ if name not in left_out]
    return _sha([[getattr(row, name) for name in names] for row in rows])


def _sha(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()[:16]
