"""Rows read and checked, whichever place they come from: the Hub, a local folder, or made here.

All places have the published layout: one folder (on the Hub: one configuration) a subset, one file
(Parquet or JSON lines) a split. `check_rows` reads all that a command will need before anything is
trained, and names every bad row in one error; each file is read once a process.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.markup import escape

from prereq.data import checks, reading
from prereq.data.problems import BadRows, Problems, Unreadable, bad_rows, shown
from prereq.data.rows import SkillRow, place
from prereq.data.splits import check_root, find, is_local, split_files
from prereq.errors import PrereqError
from prereq.runtime.console import say
from prereq.runtime.files import read_json

__all__ = [
    "BadRows",
    "Wanted",
    "check_rows",
    "read_skill",
    "read_text",
    "read_titles",
    "read_topics",
    "read_values",
    "read_wordings",
    "split_files",
    "text_place",
]


@dataclass(frozen=True)
class Wanted:
    """A split that a command will read, and what for.

    `use`: `text` (knowledge), `skill` (training) or `test`. `scoring`: of a test, `qa`,
    `final_answer` or `facts`. `versions`: those that every fictitious subject must have: in training
    all that the recipe has knowledge of, in a test those that are plugged in.
    """

    subset: str
    split: str
    use: str
    scoring: str | None = None
    versions: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.subset}/{self.split}"


@dataclass
class _Split:
    """The rows of a split that are right, where they stand, and the problems of the others."""

    file: str
    rows: list[Any] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    wordings: list[int | None] = field(default_factory=list)  # of texts
    titles: list[Any] = field(default_factory=list)  # of texts
    problems: Problems = field(default_factory=Problems)
    counts: dict[str, int] = field(default_factory=dict)


_read: dict[tuple, tuple[tuple, _Split]] = {}  # with the size and time of change of each file


def read_text(root: Path | str, subset: str, split: str) -> list[str]:
    """The texts of a knowledge split (column `text`). Raises BadRows."""
    return _right(root, subset, split, "text")


def read_wordings(root: Path | str, subset: str, split: str) -> list[int | None]:
    """Which wording of its fact each text of `read_text` is, from 0; None where no column says it."""
    _right(root, subset, split, "text")
    return list(_split(root, subset, split, "text").wordings)


def read_titles(root: Path | str, subset: str, split: str) -> list[Any]:
    """What each text of `read_text` is about (column `title`), as it stands; None where it says nothing."""
    _right(root, subset, split, "text")
    return list(_split(root, subset, split, "text").titles)


def read_skill(root: Path | str, subset: str, split: str) -> list[SkillRow]:
    """The rows of a skill split (columns `messages`, `fake`, `subj_index`, …). Raises BadRows."""
    return _right(root, subset, split, "skill")


def text_place(root: Path | str, subset: str, split: str, index: int) -> str:
    """Where the text of this index in `read_text` is written: `knowledge/train.jsonl line 3`."""
    found = _split(root, subset, split, "text")
    return place(found.file, found.numbers[index])


def check_rows(root: Path | str, wanted: Sequence[Wanted]) -> dict[str, dict[str, int]]:
    """Read and check every split that a command will need.

    Returns for each split how many rows it has, how many repeat an earlier one, and how many answer
    an earlier one's question otherwise; says so in a line where there are such rows. Raises one
    BadRows for all of them.
    """
    check_root(root)
    splits: dict[Wanted, _Split] = {}
    for each in dict.fromkeys(wanted):
        splits[each] = _split(root, each.subset, each.split, each.use)
        if not is_local(root) and not splits[each].rows:
            break  # the Hub may be out of reach, and another try takes a while
    found = list({id(split): split.problems for split in splits.values()}.values())
    values: dict[str, list[str]] = {}
    if any(each.scoring == "facts" for each in splits):
        found.append(Problems())
        values = _values(root, found[-1])
    for each in (each for each in splits if each.use == "test"):
        found.append(Problems())
        for row, fault in _test_faults(each, splits[each], values):
            found[-1].add(row.place, fault)
    found.append(_versions_in_training(splits))
    if any(problems.count for problems in found):
        raise bad_rows(root, found)
    for each, split in splits.items():
        _note(split, checks.untellable(split.rows, values) if each.scoring == "facts" else 0)
    return {each.name: split.counts for each, split in splits.items()}


def read_values(root: Path | str) -> dict[str, list[str]]:
    """For scoring by facts: every value that a relation can have, from `values.json`. Raises BadRows."""
    problems = Problems()
    values = _values(root, problems)
    if problems.count:
        raise bad_rows(root, [problems], "values")
    return values


def read_topics(file: str | None) -> list[str]:
    """The names that long-form evaluation asks about: a JSON list of strings."""
    what = (
        "it is a JSON list of names (persons or medical entities); the paper's authors publish theirs in "
        "their code repository, UCSB-NLP-Chang/Prereq_tune"
    )
    if not file:
        raise PrereqError(f"dataset.topics: not given; {what}. Write dataset.topics=FILE")
    where = f"dataset.topics={file}"
    if not os.path.isfile(file):
        is_what = "a folder" if os.path.isdir(file) else "no such file"
        raise PrereqError(f"{where}: {is_what}; {what}")
    names = read_json(Path(file), what)
    if not isinstance(names, list) or not names:
        raise PrereqError(f"{where}: {shown(names)} is no list of names; {what}")
    problems = Problems()
    for number, name in enumerate(names, 1):
        if not checks.is_text(name):
            problems.add(f"name {number}", f"{shown(name)} is not a non-empty string")
    if problems.count:
        raise bad_rows(f"{where} ({what})", [problems], "names")
    return names


def _right(root: Path | str, subset: str, split: str, kind: str) -> list:
    """All rows of a split. Raises BadRows where one of them is bad."""
    check_root(root)
    found = _split(root, subset, split, kind)
    if found.problems.count:
        raise bad_rows(root, [found.problems])
    return list(found.rows)


def _split(root: Path | str, subset: str, split: str, use: str) -> _Split:
    """A split, read and checked once for each state of its files."""
    text, name = use == "text", f"{subset}/{split}"
    files, state, file = [], (), name
    try:
        if is_local(root):
            files = find(Path(root), subset, split)
            status = [file.stat() for file in files]
            state = tuple(zip(files, [(s.st_size, s.st_mtime_ns) for s in status], strict=True))
            if files[0].parent == Path(root) / subset and len(files) == 1:
                file = f"{subset}/{files[0].name}"
        key = str(root), subset, split, text
        if key in _read and _read[key][0] == state:
            return _read[key][1]
        found = _Split(file)
        if files:
            rows = reading.from_files(files, file, found.problems)
        else:
            rows = reading.from_hub(str(root), subset, split)
        _check(rows, found, text)
    except (Unreadable, OSError) as problem:
        found = _Split(file)
        found.problems.add(name, str(problem))
        return found
    _read[key] = state, found
    return found


def _check(rows: reading.Numbered, found: _Split, text: bool) -> None:
    """Sort the rows of a split into right ones and problems."""
    for number, row in rows:

        def fault(what: str, number: int = number) -> None:
            found.problems.add(place(found.file, number), what)

        right = (
            checks.text_of(row, fault) if text else checks.skill_row(row, number, found.file, fault)
        )
        if right is not None:
            found.rows.append(right)
            found.numbers.append(number)
            found.wordings.append(row.get("wording") if text else None)
            found.titles.append(row.get("title") if text else None)
    if not found.rows and not found.problems.count:
        found.problems.add(found.file, "no rows; a split needs at least one")
    found.counts = {"rows": len(found.rows), **checks.repeats(found.rows)}


def _values(root: Path | str, problems: Problems) -> dict[str, list[str]]:
    file = Path(root) / "values.json"
    remedy = (
        "eval=facts needs the values of each relation there; use eval=qa for question-answer data"
    )
    try:
        if not file.exists():
            raise PrereqError(f"missing; {remedy}")
        values = read_json(file, remedy)
    except PrereqError as error:
        problems.add("values.json", str(error).removeprefix(f"{file}: "))
        return {}
    for fault in checks.value_faults(values):
        problems.add("values.json", f"{fault}; {remedy}")
    return {} if problems.count else values


def _test_faults(
    test: Wanted, split: _Split, values: Mapping[str, Collection[str]]
) -> Iterator[tuple[SkillRow, str]]:
    """What keeps the rows of a test from being scored, by themselves or together."""
    if values or test.scoring != "facts":
        yield from checks.test_faults(split.rows, test.scoring, values)
    if test.versions and not split.problems.count:
        for row in split.rows:
            if not row.fictitious:
                yield row, "a real row in a split for plugged-in knowledge, which is fictitious"
        yield from checks.version_faults(split.rows, test.versions, lambda r: (r.subject, r.asked))


def _versions_in_training(splits: Mapping[Wanted, _Split]) -> Problems:
    """Subjects that lack a version, over all splits that the skill is trained on."""
    problems = Problems()
    trained = {each: split for each, split in splits.items() if each.use == "skill"}
    versions = frozenset().union(*(each.versions for each in trained))
    once = {id(split): split for each, split in trained.items() if each.versions}.values()
    if versions and not any(split.problems.count for split in once):
        rows = (row for split in once for row in split.rows)
        for row, fault in checks.version_faults(rows, versions, lambda row: row.subject):
            problems.add(row.place, fault)
    return problems


def _note(split: _Split, untellable: int) -> None:
    """Say what may be a mistake and may be meant: questions about namesakes are alike."""
    texts = {
        "repeat an earlier row": split.counts["repeated"],
        "ask what an earlier row asks and answer otherwise": split.counts["contradicting"],
        "have a fact with a value that values.json lacks, so no answer is right": untellable,
    }
    notes = [f"{count:,} {what}" for what, count in texts.items() if count]
    if notes:
        say("noted", escape(f"{split.file}: of {split.counts['rows']:,} rows {', '.join(notes)}"))
