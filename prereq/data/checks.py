"""What a row must be: the types of its columns, and what training and scoring need of it.

Types are checked and never cast: `"0"` is no 0, and a number is no text. A column that may be absent
may also be null, because in a table every row has every column.
"""

import ast
import difflib
import io
import math
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from prereq.data.problems import shown
from prereq.data.rows import SkillRow
from prereq.runtime.files import parse_json

LITERAL = 20_000  # characters of a Python list in a string that are parsed at most
BESIDE = re.compile(r"""['"]\s*\w{0,2}['"]|#""")  # strings that may stand beside each other
QUESTIONS = ("qa", "final_answer")  # scored by accepted answers

Fault = Callable[[str], None]  # takes what is wrong with a row


def is_flag(value: object) -> bool:
    return isinstance(value, bool) or (is_integer(value) and value in (0, 1))


def is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    return is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and encodes(value)


def encodes(value: object) -> bool:
    """Whether UTF-8 can hold all text in a value of JSON: it has no half of a surrogate pair."""
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)
    if isinstance(value, dict):
        return all(encodes(key) and encodes(part) for key, part in value.items())
    return not isinstance(value, list) or all(map(encodes, value))


def _is_label(value: object) -> bool:
    return isinstance(value, str) or is_number(value)


def _is_facts(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_text, (*value, *value.values())))


REQUIRED = {
    "messages": None,  # checked by `message_faults`
    "fake": (is_flag, "0 (real) or 1 (fictitious)"),
    "subj_index": (is_integer, "an integer"),
}
OPTIONAL = {
    "version": (is_integer, "an integer or null"),
    "s_wiki_title": (lambda value: isinstance(value, str), "a string or null"),
    "known": (is_flag, "0, 1 or null"),
    "s_pop": (is_number, "a finite number or null"),
    "told": (is_integer, "a whole number or null"),
    "type": (_is_label, "a string, a number or null"),
    "prop": (_is_label, "a string, a number or null"),
    "facts": (_is_facts, "an object of relations and their values, non-empty strings, or null"),
    "answer": (is_text, "a non-empty string or null"),
    "possible_answers": None,  # checked by `_accepted`
}
OWN_FIELDS = {*REQUIRED, "version", "s_wiki_title", "known", "facts", "possible_answers"}


def missing(column: str, row: Collection[str]) -> str:
    """The message for a column that a row lacks, with the nearest one that it has."""
    return f"the column {column} is missing{_near(column, row) or f'; it has {shown(list(row))}'}"


def _near(column: str, row: Collection[str]) -> str:
    near = difflib.get_close_matches(column, row, n=1, cutoff=0.6)
    return f"; did you mean {shown(near[0])}?" if near else ""


def text_of(row: dict[str, Any], fault: Fault) -> str | None:
    """The text of a knowledge row."""
    if "text" not in row:
        fault(missing("text", row))
    elif not is_text(row["text"]):
        fault(f"text is {shown(row['text'])}; it must be a non-empty string")
    elif (number := row.get("wording")) is not None and not (is_integer(number) and number >= 0):
        fault(f"wording is {shown(row['wording'])}; it must be a whole number from 0, or left out")
    else:
        return row["text"]
    return None


def skill_row(row: dict[str, Any], number: int, file: str, fault: Fault) -> SkillRow | None:
    """The row of a skill; None where `fault` was called."""
    faults: list[str] = [missing(column, row) for column in REQUIRED if column not in row]
    if "messages" in row:
        faults += message_faults(row["messages"])
    for column, (is_right, allowed) in ((c, r) for c, r in (REQUIRED | OPTIONAL).items() if r):
        value = row.get(column)
        absent = column not in row or (column in OPTIONAL and value is None)
        if not absent and not is_right(value):
            faults.append(f"{column} is {shown(value)}; it must be {allowed}")
    answers = _accepted(row)
    if answers is None:
        faults.append(
            f"possible_answers is {shown(row['possible_answers'])}; it must be a non-empty list of "
            "non-empty strings, or such a list written as a string"
        )
    for text in faults:
        fault(text)
    if faults:
        return None
    fictitious, known = bool(row["fake"]), row.get("known")
    return SkillRow(
        user=row["messages"][-2]["content"],
        assistant=row["messages"][-1]["content"],
        fictitious=fictitious,
        version=row.get("version") if fictitious else None,
        subject=row["subj_index"],
        title=row.get("s_wiki_title") or "",
        known=None if known is None else bool(known),
        answers=answers,
        facts=row.get("facts") or {},
        extra={k: v for k, v in row.items() if k not in OWN_FIELDS},
        turns=tuple((m["role"], m["content"]) for m in row["messages"][:-2]),
        number=number,
        file=file,
    )


def message_faults(messages: object) -> Iterator[str]:
    """What is wrong with the column `messages`: turns of user and assistant, the last the assistant's."""
    whole = isinstance(messages, list) and all(isinstance(m, dict) for m in messages)
    roles = [m.get("role") for m in messages] if whole else []
    turns = roles[roles[:1] == ["system"] :]
    if not turns or turns != ["user", "assistant"] * (len(turns) // 2):
        yield (
            f"messages is {shown(messages)}; it must be a user message and an assistant message, "
            '[{"role": "user", "content": …}, {"role": "assistant", "content": …}], or more such turns, '
            "after a system message if there is one"
        )
        return
    for message in messages:
        content = message.get("content")
        if not is_text(content):
            parts = " (a list of content parts is not read)" if isinstance(content, list) else ""
            yield (
                f"messages: the {message['role']}'s content is {shown(content)}{parts}; it must be a "
                "non-empty string"
            )


def _accepted(row: dict[str, Any]) -> tuple[str, ...] | None:
    """The accepted answers of a row, () where it has none; None where they are not what they must be.

    `possible_answers` may be a list written as a string: parsed as data, never evaluated.
    """
    value = row.get("possible_answers")
    if value is None:
        return () if row.get("answer") is None else (row["answer"],)
    if isinstance(value, str):
        value = parsed(value)
    right = isinstance(value, list) and value and all(map(is_text, value))
    return tuple(value) if right else None


def parsed(text: str) -> object:
    """A list written as JSON, or as Python writes it; None where it is neither."""
    try:
        return parse_json(text)
    except ValueError:
        pass
    if len(text) > LITERAL:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes
            value = ast.literal_eval(text)
        return None if BESIDE.search(text) and _joined(text) else value
    except (ValueError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError):
        return None


def _joined(text: str) -> bool:
    """Whether Python makes one string of several: without commas, as numpy prints an array."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    kinds = [token.type for token in tokens if token.type not in (tokenize.NL, tokenize.COMMENT)]
    return any(a == b == tokenize.STRING for a, b in pairwise(kinds))


def repeats(rows: Sequence[str | SkillRow]) -> dict[str, int]:
    """How many rows repeat an earlier one, and how many answer an earlier one's question otherwise.

    Versions of a fictitious subject contradict one another by design, so each is compared with its own.
    """
    if not rows or isinstance(rows[0], str):
        return {"repeated": len(rows) - len(set(rows)), "contradicting": 0}
    first: dict[tuple, tuple] = {}
    counts = Counter(repeated=0, contradicting=0)
    for row in rows:
        answer = row.assistant, row.answers
        before = first.setdefault((row.asked, row.fictitious, row.version), answer)
        if before is not answer:
            counts["repeated" if before == answer else "contradicting"] += 1
    return dict(counts)


def version_faults(
    rows: Iterable[SkillRow], versions: Collection[int], key: Callable[[SkillRow], object]
) -> Iterator[tuple[SkillRow, str]]:
    """Fictitious subjects, told apart by `key`, that lack one of the versions or have one twice."""
    subjects: dict[object, dict[int | None, SkillRow]] = {}
    for row in rows:
        if not row.fictitious:
            continue
        subject = subjects.setdefault(key(row), {})
        if row.version in subject:
            yield (
                row,
                f"subject {row.subject} ({shown(row.title)}) has version {row.version} twice, as in "
                f"{subject[row.version].place}; give each subject its own subj_index",
            )
        else:
            subject[row.version] = row
    for subject in subjects.values():
        lacking = sorted(set(versions) - set(subject))
        if lacking:
            row = next(iter(subject.values()))
            yield (
                row,
                f"fictitious subject {row.subject} ({shown(row.title)}) lacks version {lacking[0]}, "
                "which the recipe has knowledge of; add the row or drop the subject",
            )


def test_faults(
    rows: Iterable[SkillRow], scoring: str, values: Mapping[str, Collection[str]]
) -> Iterator[tuple[SkillRow, str]]:
    """What keeps test rows from being scored, by accepted answers or by facts."""
    relations: dict[object, set[str]] = {}
    for row in rows:
        if scoring in QUESTIONS and not row.answers:
            near = _near("possible_answers", row.extra)
            yield (
                row,
                f"no accepted answer, which eval={scoring} needs; add possible_answers or answer{near}",
            )
        elif scoring == "facts" and not row.facts:
            near = _near("facts", row.extra)
            yield row, f"no facts, which eval=facts needs; add them or use eval=qa{near}"
        elif scoring == "facts":
            unknown = sorted(set(row.facts) - set(values))
            if unknown:
                yield row, f"facts: values.json has no relation {shown(unknown[0])}"
            known = relations.setdefault(
                (row.subject, row.asked) if row.fictitious else id(row), set(row.facts)
            )
            if known != set(row.facts):
                yield row, "facts: other relations than in another version of the subject"


def untellable(rows: Iterable[SkillRow], values: Mapping[str, Collection[str]]) -> int:
    """How many rows have a fact that no answer can tell: `values` does not list it."""
    return sum(any(v not in values[r] for r, v in row.facts.items()) for row in rows)


def value_faults(values: object) -> Iterator[str]:
    """What is wrong with values.json: it must say every value that a relation can have."""
    if not isinstance(values, dict) or not values:
        yield f"{shown(values)} is no object of relations and lists of their values"
        return
    for relation, allowed in values.items():
        if not isinstance(allowed, list) or not allowed or not all(map(is_text, allowed)):
            yield f"{shown(relation)} is {shown(allowed)}; it must be a non-empty list of strings"
