"""Which files make up a split, in a local folder of the published layout.

A split of a subset is one file (`train.parquet`, `train.jsonl`), the Hub's numbered Parquet parts
(`train-00000-of-00002.parquet`), or a folder that `datasets` wrote with `save_to_disk`. Two of them at
once, or a part that is missing, is an error: nobody can know which rows are meant.
"""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from prereq.data.problems import BadRows, Problems, Unreadable, bad_rows
from prereq.runtime.files import parse_json

SUFFIXES = (".parquet", ".jsonl")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
PART = re.compile(r"(.+)-(\d+)-of-(\d+)\.parquet")


def is_local(root: Path | str) -> bool:
    """Whether the rows are in a folder here. A name that could be a folder's only is never a Hub id."""
    return isinstance(root, Path) or os.path.exists(root) or not HUB_ID.fullmatch(root)


def check_root(root: Path | str) -> None:
    """Raises BadRows where the data set is neither a folder here nor named like one on the Hub."""
    if is_local(root) and not os.path.isdir(root):
        is_what = "is a file" if os.path.exists(root) else "does not exist"
        raise BadRows(
            f"dataset.path={root} {is_what}; give a folder that has a folder a subset (~ is not "
            "expanded), or a Hub id, OWNER/NAME"
        )


def split_files(root: Path | str, subset: str, split: str) -> list[Path]:
    """The files of a split in a local folder, in the order of its rows. Raises BadRows."""
    check_root(root)
    try:
        return find(Path(root), subset, split)
    except (Unreadable, OSError) as problem:
        problems = Problems()
        problems.add(f"{subset}/{split}", str(problem))
        raise bad_rows(root, [problems]) from None


def find(root: Path, subset: str, split: str) -> list[Path]:
    """The files of a split in a local folder. Raises Unreadable, without the split's name."""
    folder = root / subset
    names = _names(root, subset)
    single = [name for name in (split + suffix for suffix in SUFFIXES) if name in names]
    parts: dict[int, list[str]] = {}  # by their total
    for name in names:
        match = PART.fullmatch(name)
        if match and match[1] == split:
            parts.setdefault(int(match[3]), []).append(name)
    saved = [split] if (folder / split).is_dir() else []
    numbered = [f"{some[0]} (of {total} parts)" for total, some in sorted(parts.items())]
    candidates = [*single, *numbered, *(f"{name}/" for name in saved)]
    if len(candidates) > 1:
        raise Unreadable(f"{' and '.join(candidates)} are there; keep the one that is meant")
    if not candidates:
        raise Unreadable(_missing(folder, split, names))
    if saved:
        return _saved(folder / split)
    files = [folder / name for name in single]
    for total, some in parts.items():
        files = _numbered(folder, split, total, some)
    for file in files:
        check_file(file)
    return files


def check_file(file: Path) -> None:
    """Raises Unreadable where the name stands for anything but a file with content."""
    if file.is_symlink() and not file.exists():
        raise Unreadable(f"{file.name} is a link to {file.readlink()}, which does not exist")
    if file.is_dir():
        raise Unreadable(f"{file.name} is a folder; it must be a file")
    if not file.is_file():
        raise Unreadable(f"{file.name} is no regular file")
    if not file.stat().st_size:
        raise Unreadable(f"{file.name} is an empty file; there must be at least one row")


def _names(root: Path, subset: str) -> list[str]:
    """What is in the folder of a subset."""
    folder = root / subset
    if folder.is_dir():
        return sorted(path.name for path in folder.iterdir())
    there = sorted(path.name for path in root.iterdir() if path.is_dir())
    has = f"has the folders {_list(there)}" if there else "has no folders"
    what = "is a file" if folder.exists() else "does not exist"
    raise Unreadable(
        f"the folder {subset} {what}{_near(subset, there)}; dataset.path={root} {has}, and each subset "
        "needs one"
    )


def _missing(folder: Path, split: str, names: list[str]) -> str:
    """Why a split has no file: what comes nearest to it, and what is there."""
    allowed = f"{split}.parquet, {split}.jsonl or a save_to_disk folder {split}/"
    text = f"no split {split!r} in {folder.name}/ ({allowed})"
    others = [name for name in names if name.partition(".")[0] == split]
    if f"{split}.json" in others:
        return (
            f"{text}; {split}.json is there: with one object a line rename it to {split}.jsonl, else "
            f"{as_lines(f'{split}.json')}"
        )
    if others:
        return f"{text}; {others[0]} is there: write it as Parquet or JSON lines"
    stems = {PART.sub(r"\1.parquet", name).removesuffix(".parquet") for name in names}
    stems = sorted({stem.removesuffix(".jsonl") for stem in stems})
    return f"{text}{_near(split, stems)}; the folder has {_list(stems) or 'nothing'}"


def as_lines(name: str) -> str:
    """What to do with a JSON array."""
    code = f"import json; [print(json.dumps(row)) for row in json.load(open('{name}', 'rb'))]"
    return f'write its rows one a line: python -c "{code}" > NEW.jsonl'


def _numbered(folder: Path, split: str, total: int, names: list[str]) -> list[Path]:
    """The numbered parts of a split, all of them."""
    by_number: dict[int, str] = {}
    for name in names:
        number = int(PART.fullmatch(name)[2])
        if number in by_number:
            raise Unreadable(f"{by_number[number]} and {name} are the same part; keep one of them")
        by_number[number] = name
    missing = [number for number in range(total) if number not in by_number]
    if missing:
        raise Unreadable(
            f"part {missing[0]:05d} of {total} ({split}-{missing[0]:05d}-of-{total:05d}.parquet) is "
            f"missing, {len(missing)} in all; fetch every part again"
        )
    if len(by_number) > total:
        raise Unreadable(f"{by_number[max(by_number)]} is more than {total} parts, 00000 on")
    return [folder / by_number[number] for number in range(total)]


def _saved(folder: Path) -> list[Path]:
    """The Arrow files of a `save_to_disk` folder, as its state.json lists them."""
    state = folder / "state.json"
    again = "save the data set into it again (Dataset.save_to_disk)"
    if not state.is_file():
        there = _list(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise Unreadable(f"the folder {folder.name}/ has no state.json but {there}; {again}")
    try:
        listed = parse_json(state.read_text("utf-8"))
        names = [data["filename"] for data in listed["_data_files"]]
        plain = all(Path(name).name == name for name in names)
    except (OSError, ValueError, TypeError, KeyError):
        plain, names = False, []
    if not plain or not names or listed.get("_indices_data_files"):
        raise Unreadable(
            f"{folder.name}/state.json does not list the data files as save_to_disk does; {again}"
        )
    for name in names:
        if not (folder / name).exists():
            raise Unreadable(f"{folder.name}/{name} is missing, which state.json lists; {again}")
        check_file(folder / name)
    return [folder / name for name in names]


def _near(name: str, there: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, there, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _list(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
