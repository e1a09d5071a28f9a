"""Files that can be trusted: read with clear errors, written whole, flushed to disk, without NaN.

Our own JSON and JSON lines go through here. Lines end at line feeds and nowhere else:
`str.splitlines` would also cut at U+2028 or U+0085, which stand in people's texts.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prereq.errors import PrereqError


def read_json(file: Path, remedy: str) -> Any:
    """The value in a JSON file. Raises PrereqError, which ends with `remedy`."""
    try:
        return parse_json(file.read_text("utf-8-sig"))  # editors may add a byte-order mark
    except OSError as error:
        raise PrereqError(f"{file}: cannot be read ({error.strerror}); {remedy}") from None
    except ValueError as error:
        raise PrereqError(f"{file}: not JSON ({error}); {remedy}") from None


def parse_json(text: str) -> Any:
    """The value that a JSON text holds.

    Raises ValueError, also for NaN, Infinity, a key given twice and deep nesting.
    """
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def read_lines(file: Path, remedy: str) -> list[Any]:
    """The values of a JSON lines file of ours. Raises PrereqError, which ends with `remedy`."""
    values = []
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise PrereqError(f"{file}: cannot be read ({error.strerror}); {remedy}") from None
    except ValueError as error:
        raise PrereqError(f"{file}: not UTF-8 ({error}); {remedy}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values.append(parse_json(line))
        except ValueError as error:
            raise PrereqError(f"{file} line {number}: not JSON ({error}); {remedy}") from None
    return values


def write_json(file: Path, value: Any, indent: int | None = 1) -> None:
    """Write a JSON file whole or not at all. Raises ValueError for NaN or infinity."""
    write_text(file, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False))


def write_lines(file: Path, values: Iterable[Any]) -> None:
    """Write a JSON lines file whole or not at all. Raises ValueError for NaN or infinity."""
    lines = (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values)
    write_text(file, "".join(lines))


def write_text(file: Path, text: str) -> None:
    """Write a text file whole or not at all, and flush it to disk."""
    write_bytes(file, text.encode("utf-8"))


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, and flush it to disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        flush(temporary)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    flush(file.parent)


def flush(path: Path) -> None:
    """Have a file's content, or a folder's entries, reach the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder on Windows
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems flush no folders
        if not path.is_dir():
            raise
    finally:
        os.close(handle)


_digests: dict[tuple[int, ...], str] = {}


def sha256(file: Path) -> str:
    """The digest of a file's content, read again only where its size or a time of change differ.

    A file is known by its number, not by its path: renaming its folder costs no second reading.
    """
    status = os.stat(file)
    seen = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    if seen not in _digests:
        with open(file, "rb") as stream:
            _digests[seen] = hashlib.file_digest(stream, "sha256").hexdigest()
    return _digests[seen]


def checksum(value: dict[str, Any]) -> str:
    """The digest of a JSON object without its own field `checksum`, whatever the order of its fields."""
    rest = {name: part for name, part in value.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _not_a_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, none of whose values is lost because its key comes again."""
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} comes twice")
    return value


_decoder = json.JSONDecoder(parse_constant=_not_a_number, object_pairs_hook=_object)


def shipped(name: str) -> Path:
    """The folder `conf` or `launchers`: inside the package in a wheel, beside it in a clone."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise PrereqError(f"no {name}/ in {package} or {package.parent}; reinstall prereq")
