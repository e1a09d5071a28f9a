"""The knowledge source that facts are judged by: pages of title and text, read, checked, cut to passages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from prereq.data.problems import Problems, bad_rows, shown
from prereq.data.reading import is_file, of_source
from prereq.data.rows import place
from prereq.data.sentences import sentences
from prereq.evaluation.factscore.rows import Passage

KEY = "judge.knowledge"


@dataclass(frozen=True)
class Page:
    """A text about what its title and aliases name; `version`: of a fictitious subject."""

    title: str
    text: str
    aliases: tuple[str, ...] = ()
    version: int | None = None


@cache  # checked before anything is answered, used afterwards
def read(source: str) -> list[Page]:
    """The pages of a file (JSON lines, CSV, Parquet) or Hub data set; columns title, text, aliases, version.

    Aliases are a list, or in CSV texts between `|`. Raises BadRows that names file and line, or PrereqError.
    """
    problems = Problems()
    name, rows, plain = of_source(source, KEY, None, problems)
    pages = []
    for number, row in rows:
        page, fault = _page(row, plain)
        if fault:
            problems.add(place(name, number), fault)
        else:
            pages.append(page)
    if problems.count:
        whose = Path(source).parent if is_file(source) else source
        raise bad_rows(whose, [problems], of="pages")
    return pages


def _page(row: dict[str, Any], plain: bool) -> tuple[Page | None, str]:
    """The page of a row, or what is wrong with it. `plain`: every value is text."""
    for key in ("title", "text"):
        value = row.get(key)
        if not isinstance(value, str) or not value.strip():
            there = ", ".join(map(str, row)) or "nothing"
            what = f"{shown(value)} is no text" if key in row else f"missing; the row has {there}"
            return None, f"{key}: {what}; a page has a title and a text"
    aliases = row.get("aliases") or []
    if isinstance(aliases, str):
        aliases = aliases.split("|") if plain else [aliases]
    if not isinstance(aliases, list) or not all(isinstance(one, str) for one in aliases):
        return None, f"aliases: {shown(row['aliases'])} is no list of texts"
    version = row.get("version")
    if plain and isinstance(version, str) and version.strip().isdecimal():
        version = int(version)
    if version is not None and type(version) is not int:
        return None, f"version: {shown(version)} is no whole number"
    found = tuple(alias.strip() for alias in aliases if alias.strip())
    return Page(row["title"].strip(), row["text"], found, version), ""


def passages(pages: Iterable[Page], words: int) -> list[tuple[Page, Passage]]:
    """Every page cut between sentences into passages of at most `words` words; a longer sentence is one."""
    return [
        (replace(page, text=""), Passage(page.title, text, page.version))
        for page in pages
        for text in _cut(page.text, words)
    ]


def _cut(text: str, words: int) -> Sequence[str]:
    parts: list[list[str]] = [[]]
    count = 0
    for sentence, _ in sentences(text):
        size = len(sentence.split())
        if parts[-1] and count + size > words:
            parts.append([])
            count = 0
        parts[-1].append(sentence.strip())
        count += size
    return [" ".join(part) for part in parts if part]
