"""A user's own file as rows: JSON lines, CSV, Parquet or a Hub data set, columns by mapping.

A row is a question with its accepted answers, a prompt with a response (long form), or a conversation.
Types are checked and never cast; only in CSV, where everything is text, is popularity read as a number.
Line ends become line feeds and outer blanks are dropped, so that rows are the same from every format.
"""

import difflib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.markup import escape

from prereq.config import Columns
from prereq.config.schema.sources import FORMS, OPTIONAL, named_forms
from prereq.data import checks, reading
from prereq.data.problems import Problems, bad_rows, shown
from prereq.data.rows import UserRow, place
from prereq.runtime.console import say


def read_rows(
    source: str, columns: Columns, key: str = "dataset.rows", revision: str | None = None
) -> list[UserRow]:
    """The rows of a file or Hub data set, `key` what names it in the configuration.

    Says in a line each which columns are not used, whose subject is the question, and what repeats.
    Raises BadRows: up to ten problems, with file and line.
    """
    problems = Problems()
    name, numbered, as_text = reading.of_source(source, key, revision, problems)
    form = _form([row for _, row in numbered], columns)
    if _mapped(numbered, columns, form, name, problems):
        raise bad_rows(f"{key}={source}", [problems])
    rows = []
    for number, row in numbered:
        found = _row(row, columns, form, as_text, place(name, number), problems)
        if found:
            rows.append(UserRow(**found, number=number, file=name))
    if problems.count:
        raise bad_rows(f"{key}={source}", [problems])
    _note(rows, numbered, columns, form, name)
    return rows


def read_passages(
    source: str, columns: Columns, key: str = "dataset.passages", revision: str | None = None
) -> list[tuple[str, str]]:
    """The (subject, text) pairs of a file of passages: columns `subject` or `title`, and `text`."""
    problems = Problems()
    name, numbered, _ = reading.of_source(source, key, revision, problems)
    there = {column: None for _, row in numbered for column in row}
    title = next((column for column in (columns.subject, "title") if column in there), "title")
    for column in (c for c in (title, "text") if numbered and c not in there):
        problems.add(name, checks.missing(column, there))
    found = []
    for number, row in numbered if not problems.count else ():
        values = [
            _text_of(row, column, place(name, number), problems) for column in (title, "text")
        ]
        found.append(tuple(values))
    if problems.count:
        raise bad_rows(f"{key}={source}", [problems])
    return found


def _form(rows: list[dict[str, Any]], columns: Columns) -> tuple[str, ...]:
    """Which columns are required: those that the configuration names, else those that are there."""
    there = set().union(*rows[:1])
    found = [f for f in FORMS if there & {getattr(columns, name) for name in f}]
    return next(iter([*named_forms(columns), *found]), FORMS[0])


def _mapped(
    rows: list[tuple[int, dict[str, Any]]],
    columns: Columns,
    form: tuple[str, ...],
    name: str,
    problems: Problems,
) -> bool:
    """Whether no row has a column that must be there, or that the configuration names."""
    before = problems.count
    there = {column: None for _, row in rows for column in row}
    for key in (*form, *OPTIONAL) if rows else ():
        column = getattr(columns, key)
        if column not in there and (key in form or column != key):
            how = f"another name is given by dataset.columns.{key}=NAME"
            how = how if column == key else f"dataset.columns.{key} names it"
            problems.add(name, f"{checks.missing(column, there)} ({how})")
    return problems.count > before


def _row(
    row: dict[str, Any],
    columns: Columns,
    form: tuple[str, ...],
    as_text: bool,
    where: str,
    problems: Problems,
) -> dict[str, Any] | None:
    """The values of a UserRow; None where there are problems, which are added."""
    before = problems.count
    found: dict[str, Any] = {}
    if form == ("messages",):
        found = _conversation(row, columns.messages, where, problems)
    else:
        found["question"] = _text_of(row, getattr(columns, form[0]), where, problems)
        found["answers"] = _answers(row, getattr(columns, form[1]), form[1], where, problems)
        found["long"] = form[1] == "response"
    for key in OPTIONAL[:3]:
        found[key] = _optional(row, getattr(columns, key), where, problems)
    found["popularity"] = _number(row, columns.popularity, as_text, where, problems)
    if problems.count > before:
        return None
    said = [content for _, content in found.get("turns", ())]
    found["subject"] = found["subject"] or "\n".join([*said, found["question"]])
    return found


def _text_of(row: dict[str, Any], column: str, where: str, problems: Problems) -> str | None:
    if column not in row:
        problems.add(where, checks.missing(column, row))
    elif not checks.is_text(row[column]):
        problems.add(where, f"{column} is {shown(row[column])}; it must be a non-empty string")
    else:
        return _clean(row[column])
    return None


def _answers(
    row: dict[str, Any], column: str, key: str, where: str, problems: Problems
) -> tuple[str, ...] | None:
    """The accepted answers: a text, a list, or a list written as a text. A response is one text."""
    value = row.get(column)
    if key == "response" or column not in row:
        text = _text_of(row, column, where, problems)
        return None if text is None else (text,)
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = checks.parsed(value.strip())
    elif checks.is_text(value):
        return (_clean(value),)
    if isinstance(value, list) and value and all(map(checks.is_text, value)):
        return tuple(map(_clean, value))
    problems.add(
        where,
        f"{column} is {shown(row[column])}; it must be a non-empty string or a non-empty list of them"
        + (' (an answer that begins with "[" stands in a list)' * isinstance(row[column], str)),
    )
    return None


def _conversation(
    row: dict[str, Any], column: str, where: str, problems: Problems
) -> dict[str, Any]:
    """Question, response and what was said before, of a list of messages."""
    if column not in row:
        problems.add(where, checks.missing(column, row))
        return {}
    value = row[column]
    messages = checks.parsed(value) if isinstance(value, str) else value
    faults = list(checks.message_faults(messages))
    for fault in faults:
        problems.add(where, fault if column == "messages" else f"{column}: {fault}")
    if faults:
        return {}
    turns = [(m["role"], _clean(m["content"])) for m in messages]
    return {
        "question": turns[-2][1],
        "answers": (turns[-1][1],),
        "long": True,
        "turns": tuple(turns[:-2]),
    }


def _optional(row: dict[str, Any], column: str, where: str, problems: Problems) -> str | None:
    value = row.get(column)
    if value is None:
        return None
    if not checks.is_text(value):
        problems.add(where, f"{column} is {shown(value)}; it must be a non-empty string or null")
        return None
    return _clean(value)


def _number(
    row: dict[str, Any], column: str, as_text: bool, where: str, problems: Problems
) -> float | None:
    """The popularity; a whole number is the same one whether it is written 3 or 3.0."""
    value = row.get(column)
    if value is None:
        return None
    if as_text:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
    else:
        number = value if checks.is_number(value) else math.nan
    if not math.isfinite(number):
        problems.add(where, f"{column} is {shown(value)}; it must be a finite number or null")
        return None
    return int(number) if number == int(number) else number


def _clean(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _note(
    rows: list[UserRow],
    numbered: list[tuple[int, dict[str, Any]]],
    columns: Columns,
    form: tuple[str, ...],
    name: str,
) -> None:
    """Say what is not used, what is taken in a column's place, and which rows repeat one another."""
    used = {getattr(columns, key) for key in (*form, *OPTIONAL)}
    there = {column: None for _, row in numbered for column in row}
    unused = [column for column in there if column not in used]
    lacking = [getattr(columns, key) for key in OPTIONAL if getattr(columns, key) not in there]
    if unused:
        near = {column: difflib.get_close_matches(column, unused, n=1) for column in lacking}
        hint = "; ".join(f"is {found[0]} the {column}?" for column, found in near.items() if found)
        what = f"{name}: not used: {', '.join(unused)}{f' ({hint})' if hint else ''}"
        say("noted", escape(what))
    for key in OPTIONAL:
        column = getattr(columns, key)
        if column in there and all(row.get(column) is None for _, row in numbered):
            say("noted", escape(f"{name}: the column {column} is empty"))
    own = sum(row.get(columns.subject) is None for _, row in numbered)
    if own:
        which = "every row" if own == len(rows) else f"{own:,} of {len(rows):,} rows"
        say("noted", escape(f"{name}: of {which} the subject is the question itself"))
    for what, places in _repeats(rows).items():
        some = ", ".join(places[:3]) + (", …" if len(places) > 3 else "")
        say("noted", escape(f"{name}: {len(places):,} of {len(rows):,} rows {what} ({some})"))


def _repeats(rows: list[UserRow]) -> dict[str, list[str]]:
    first: dict[tuple, UserRow] = {}
    found: dict[str, list[str]] = {}
    for row in rows:
        before = first.setdefault((row.turns, row.question), row)
        if before is not row:
            same = before.answers == row.answers
            what = (
                "repeat an earlier one"
                if same
                else "ask what an earlier one asks and answer otherwise"
            )
            found.setdefault(what, []).append(row.place.removeprefix(f"{row.file} "))
    return found


def subjects(rows: list[UserRow]) -> Iterator[str]:
    """Every subject once, in the order of the rows."""
    yield from Counter(row.subject for row in rows)
