"""A split's files, or its rows on the Hub, as dictionaries with their places.

What can't be read is a problem that names file and line. Lines of JSON end at line feeds and nowhere
else; a byte-order mark, carriage returns and blank lines are read over.
"""

import codecs
import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prereq.data.checks import encodes
from prereq.data.problems import Problems, Unreadable, shown
from prereq.data.rows import place
from prereq.data.splits import HUB_ID, as_lines, check_file
from prereq.errors import PrereqError
from prereq.runtime.files import parse_json

FORMATS = (".jsonl", ".csv", ".parquet")  # of a user's own rows
LFS = b"version https://git-lfs"  # how the pointer begins that Git LFS leaves in a file's place
ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"  # of a stream; pyarrow takes one without it for whole

Numbered = Iterator[tuple[int, dict[str, Any]]]  # rows and their places, counted from 1


def from_files(files: list[Path], name: str, problems: Problems) -> Numbered:
    """The rows of a split; those that are none become problems. Raises Unreadable.

    `name` is what places call the split: its file, or what its parts have in common.
    """
    for file in files:
        with open(file, "rb") as stream:
            if stream.read(len(LFS)) == LFS:
                raise Unreadable(
                    f"{file.name} is a Git LFS pointer, not the rows themselves; run `git lfs pull` in "
                    f"{file.parent}"
                )
    if files[0].suffix == ".jsonl":
        return _json_lines(files[0], name, problems)
    if files[0].suffix == ".csv":
        return _csv(files[0], name, problems)
    return enumerate((row for file in files for row in _columns(file)), 1)


def from_hub(
    path: str,
    subset: str | None,
    split: str,
    key: str = "dataset.path",
    revision: str | None = None,
) -> Numbered:
    """The rows of a split on the Hub, `key` what names it in the configuration. Raises Unreadable."""
    import datasets

    try:
        found = datasets.load_dataset(path, subset, split=split, revision=revision)
        yield from enumerate(map(_row, found), 1)
    except Exception as error:  # of the network, the server, its files, each in its own words
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise Unreadable(
            f"{key}={path} could not be loaded from the Hub, and nothing here has that name "
            f"({reason}). Without a network, download the data set elsewhere and give it from there: "
            f"{key}={'FOLDER' if key == 'dataset.path' else 'FILE'}"
        ) from None


def is_file(source: str) -> bool:
    """Whether the name of a user's rows stands for a file here; else it is a Hub data set's."""
    path = Path(source)
    hub = re.fullmatch(rf"{HUB_ID.pattern}(:[\w.-]+(/[\w.-]+)?)?", source) and "/" in source
    return path.suffix.lower() in (*FORMATS, ".json", ".tsv", ".txt") or path.exists() or not hub


def of_source(
    source: str, key: str, revision: str | None, problems: Problems
) -> tuple[str, list[tuple[int, dict[str, Any]]], bool]:
    """Rows of a file, or of a Hub data set written `OWNER/NAME`, `OWNER/NAME:SPLIT` or `…:SUBSET/SPLIT`.

    Returns what places call it, its rows, and whether every value of them is text. Raises PrereqError
    where they cannot be read; `key` is what names the source in the configuration.
    """
    file, name = Path(source), source
    try:
        if is_file(source):
            name = file.name
            _check_user_file(file)
            raw = from_files([file], name, problems)
        else:
            path, _, split = source.partition(":")
            subset, _, split = (split or "train").rpartition("/")
            raw = from_hub(path, subset or None, split, key, revision)
        found = list(raw)
    except (Unreadable, OSError) as problem:
        said = str(problem).strip()
        where = "" if said.startswith(f"{key}=") else f"{key}={source}: "
        raise PrereqError(where + said) from None
    if not found and not problems.count:
        raise PrereqError(f"{key}={source}: no rows; it needs at least one")
    return name, found, file.suffix == ".csv"


def _check_user_file(file: Path) -> None:
    """Raises Unreadable where the name stands for no file of a kind that is read."""
    if not file.exists() and not file.is_symlink():
        there = sorted(p.name for p in file.parent.iterdir()) if file.parent.is_dir() else []
        near = difflib.get_close_matches(file.name, there, n=1, cutoff=0.6)
        raise Unreadable(f"no such file{f'; did you mean {near[0]}?' if near else ''}")
    check_file(file)
    if file.suffix not in FORMATS:
        remedy = as_lines(file.name) if file.suffix == ".json" else "write it as one of these"
        raise Unreadable(f"must end in {', '.join(FORMATS)}; {remedy}")


def _json_lines(file: Path, name: str, problems: Problems) -> Numbered:
    first = True
    with open(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.strip():
                continue
            where = place(name, number)
            try:
                value = parse_json(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise Unreadable(f"{file.name} is UTF-16; save it as UTF-8") from None
                bad = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
                problems.add(where, f"not UTF-8 ({bad}); save the file as UTF-8")
                continue
            except ValueError as error:
                if first:
                    _check_layout(file, line)
                reason = f"{error.msg} at column {error.colno}" if hasattr(error, "msg") else error
                problems.add(where, f"not JSON ({reason}); every line is one row, an object")
                continue
            if first and isinstance(value, list) and not lines.read().strip():
                _check_layout(file, b"[")
            first = False
            if not isinstance(value, dict):
                what = f"{shown(value)} is not a row; every line is one object"
                problems.add(where, f'{what}, {{"column": value, …}}')
            elif b"\\u" in line and (column := _broken(value)) is not None:
                problems.add(where, f"{shown(column)} holds half a character (a lone surrogate)")
            else:
                yield number, value


def _csv(file: Path, name: str, problems: Problems) -> Numbered:
    """The rows of a CSV file with a header. Every value is a text, that of an empty cell null."""
    content = file.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Unreadable(f"{file.name} is UTF-16; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        bad = f"byte 0x{content[error.start]:02x} in line {line}"
        raise Unreadable(f"{file.name} is not UTF-8 ({bad}); save it as UTF-8") from None
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins, header = 1, []
    try:
        for cells in reader:
            number, begins = begins, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(file, cells)
            elif len(cells) != len(header):
                what = (
                    f"{len(cells)} cell{'s' * (len(cells) != 1)}, and the header has {len(header)}"
                )
                problems.add(place(name, number), f"{what}; quote a cell that holds a comma")
            else:
                yield (
                    number,
                    {
                        column: cell if cell.strip() else None
                        for column, cell in zip(header, cells, strict=True)
                        if column or cell.strip()
                    },
                )
    except csv.Error as error:
        raise Unreadable(
            f"{file.name}, in the row that begins in line {begins}: not CSV ({error}); a quote within a "
            "quoted cell is written twice"
        ) from None


def _header(file: Path, cells: list[str]) -> list[str]:
    """The names of the columns. Raises Unreadable."""
    names = [cell.strip() for cell in cells]
    other = next((c for c in ";\t|" if c in names[0]), None) if len(names) == 1 else None
    if other:
        raise Unreadable(f"{file.name} has {other!r} between its columns; write commas")
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise Unreadable(f"{file.name} has two columns {min(twice)}; rename one of them")
    return names


def _check_layout(file: Path, line: bytes) -> None:
    """Raises Unreadable where a first line shows that the file is JSON, but not one row a line."""
    if line.lstrip().startswith(b"["):
        raise Unreadable(f"{file.name} is a JSON array; {as_lines(file.name)}")
    if line.strip() == b"{":
        raise Unreadable(f"{file.name} spreads a row over several lines; write each on one line")


def _broken(value: dict[str, Any]) -> str | None:
    """The first key that has text, or is text, which no tokenizer and no UTF-8 file can hold."""
    return next((key for key in value if not encodes([key, value[key]])), None)


def _columns(file: Path) -> Iterable[dict[str, Any]]:
    """The rows of a Parquet file, or of an Arrow stream as `save_to_disk` writes it."""
    import pyarrow
    import pyarrow.parquet

    arrow = file.suffix == ".arrow"
    try:
        with pyarrow.memory_map(str(file)) as source:
            if arrow:
                source.seek(max(0, source.size() - len(ARROW_END)))
                if source.read() != ARROW_END:
                    raise ValueError("it is cut short")
                source.seek(0)
                reader = pyarrow.ipc.open_stream(source)
                schema, batches = reader.schema, reader
            else:
                reader = pyarrow.parquet.ParquetFile(source)
                schema, batches = reader.schema_arrow, reader.iter_batches()
            twice = {name for name in schema.names if schema.names.count(name) > 1}
            if twice:
                raise Unreadable(f"{file.name} has two columns {min(twice)}; rename one of them")
            for batch in batches:
                yield from map(_row, batch.to_pylist(maps_as_pydicts="strict"))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        kind = "an Arrow stream, as save_to_disk writes it," if arrow else "Parquet"
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise Unreadable(
            f"{file.name} cannot be read as {kind} ({reason}); fetch or write it again"
        ) from None


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a table as JSON lines have it: there a fact that a row lacks is null."""
    facts = row.get("facts")
    if isinstance(facts, dict):
        row["facts"] = {key: value for key, value in facts.items() if value is not None}
    return row
