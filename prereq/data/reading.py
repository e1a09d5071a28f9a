"""A split's files, or its rows on the Hub, as dictionaries with their places.

What can't be read is a problem that names file and line. Lines of JSON end at line feeds and nowhere
else; a byte-order mark, carriage returns and blank lines are read over.
"""

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prereq.data.checks import encodes
from prereq.data.problems import Problems, Unreadable, shown
from prereq.data.rows import place
from prereq.data.splits import as_lines
from prereq.runtime.files import parse_json

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
    return enumerate((row for file in files for row in _columns(file)), 1)


def from_hub(path: str, subset: str, split: str) -> Numbered:
    """The rows of a split on the Hub. Raises Unreadable."""
    import datasets

    try:
        yield from enumerate(map(_row, datasets.load_dataset(path, subset, split=split)), 1)
    except Exception as error:  # of the network, the server, its files, each in its own words
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise Unreadable(
            f"dataset.path={path} could not be loaded from the Hub, and no folder has that name "
            f"({reason}). Without a network, download the data set elsewhere and give its folder: "
            "dataset.path=FOLDER"
        ) from None


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
