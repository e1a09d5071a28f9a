"""What the user's rows ask for: relations, how each is worded, and what its answers are like."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prereq.data.sentences import sentences
from prereq.errors import PrereqError
from prereq.synth import kinds
from prereq.synth.checks import normal
from prereq.synth.english.forms import agree
from prereq.synth.english.rules import A, S
from prereq.synth.english.words import DEMONYMS
from prereq.synth.rows import RealRow
from prereq.synth.wording import slot

OWN = (
    12  # words at most, besides subject and answer, of a passage's sentence that becomes a wording
)
BRACKETS = re.compile(r" ?\([^()]*\)")
NATION = re.compile(rf"\b(?:{'|'.join(DEMONYMS)})(?:[- ](?:{'|'.join(DEMONYMS)}))* (?=[a-z])")
JOINED = ("person", "work")  # subjects of which relations go together even if no real one has two


@dataclass(frozen=True)
class Relation:
    """One relation of the rows.

    `templates`: its questions with `S` for the subject, and how often each is asked. `answers`: the
    accepted answers of every row. `own`: sentences with `S` and `A` that passages of several rows have.
    `why`: how both types were found. `quoted`: no question names its subject, so it stands before each.
    """

    name: str
    subject_type: str
    answer_type: str
    why: str
    templates: Mapping[str, int]
    answers: tuple[tuple[str, ...], ...]
    own: tuple[str, ...] = ()
    subjects: frozenset[str] = frozenset()
    quoted: bool = False

    @property
    def rows(self) -> int:
        return len(self.answers)


@dataclass
class _Rows:
    """The rows of a relation while they are gathered."""

    templates: Counter[str] = field(default_factory=Counter)
    rows: list[RealRow] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)  # questions that do not name their subject


def learn(rows: Sequence[RealRow], types: Mapping[str, str]) -> tuple[list[Relation], Counter[str]]:
    """The relations of these rows, the most frequent first, and what was noted on the way, with counts.

    Rows without a relation are grouped by their question with a slot for the subject. `types`: answer
    types by relation, instead of the guess. Raises PrereqError for rows and types that cannot be used.
    """
    if not rows:
        raise PrereqError("synth: there are no rows to learn questions from; it needs at least one")
    notes: Counter[str] = Counter()
    gathered: dict[str, _Rows] = defaultdict(_Rows)
    for number, row in enumerate(rows, 1):
        _check(row, number)
        question = " ".join(row.question.split())
        template = slot(question, row.subject)
        if template is None:
            notes["question does not name its subject"] += 1
        name = row.relation or (template or f"{S}: {question}").replace(S, "…")
        if template is None:
            gathered[name].whole.append(question)
        else:
            gathered[name].templates[template] += 1
        gathered[name].rows.append(row)
    if not row_relations(rows) and any(each.templates for each in gathered.values()):
        # A question that names no subject is a group of its own, and there are better ones.
        dropped = [name for name, each in gathered.items() if not each.templates]
        for name in dropped:
            notes["row not used: no relation, and the question does not name its subject"] += len(
                gathered.pop(name).rows
            )
    _check_types(types, gathered)
    found = [_relation(name, each, types.get(name)) for name, each in gathered.items()]
    return sorted(found, key=lambda relation: (-relation.rows, relation.name)), notes


def row_relations(rows: Sequence[RealRow]) -> bool:
    return any(row.relation for row in rows)


def _relation(name: str, found: _Rows, override: str | None) -> Relation:
    rows, subjects = found.rows, [row.subject for row in found.rows]
    templates = dict(found.templates) or Counter(f"{S}: {question}" for question in found.whole)
    questions = [row.question for row in rows]
    answers = [row.answers[0] for row in rows]
    subject, why_subject = kinds.subject_type(questions, subjects)
    kind, why = kinds.answer_type(questions, answers)
    if override:
        kind, why = override, "given in types"
    own = Counter(sentence for row in rows for sentence in dict.fromkeys(_own(row)))
    return Relation(
        name,
        subject,
        kind,
        f"answers: {why}; subjects: {why_subject}",
        templates,
        tuple(row.answers for row in rows),
        tuple(sentence for sentence, count in own.most_common() if count > 1),
        frozenset(subjects),
        quoted=not found.templates,
    )


def _own(row: RealRow) -> list[str]:
    """Sentences of the row's passage that say the answer of the subject and little else.

    A name, a number or anything in brackets besides would be a real fact, told of an invented subject.
    """
    found = []
    for sentence, _ in sentences((row.passage or "").strip()):
        text = slot(NATION.sub("", BRACKETS.sub("", sentence)), row.subject)
        for answer in row.answers if text and text.count(S) == 1 else ():
            pattern = rf"(?<![\w-]){re.escape(answer)}(?![\w-])"
            if len(re.findall(pattern, text)) == 1:
                found += _bare(re.sub(pattern, A, text))
                break
    return found


def _bare(text: str) -> list[str]:
    """The sentence, if it says nothing but what `S` and `A` are to each other; else nothing."""
    words = text.replace(S, "").replace(A, "").split()
    capitals = any(word[:1].isupper() for word in text.split()[1:])
    listed = re.search(rf"(,|\band|\bor) {A}|{A}(,| and\b| or\b)", text)
    marks = re.search(r"[\d()\[\]\"“”:;/]", text)
    right = text.endswith(".") and any(any(map(str.isalpha, word)) for word in words)
    text = agree(text, A, *re.findall(r"[a-z][\w-]+", text))
    return [text] if right and len(words) <= OWN and not (capitals or listed or marks) else []


def together(relations: Sequence[Relation]) -> list[list[Relation]]:
    """Groups of relations that one subject may have.

    Both are of subjects of one type, and either some real subject has both, or they are of people or of
    works: an invented place that is a capital and has one would be odd.
    """
    groups: list[list[Relation]] = []
    for relation in relations:
        for group in groups:
            if all(_compatible(relation, other) for other in group):
                group.append(relation)
                break
        else:
            groups.append([relation])
    return groups


def _compatible(one: Relation, other: Relation) -> bool:
    if one.subject_type != other.subject_type:
        return False
    return one.subject_type in JOINED or bool(one.subjects & other.subjects)


def _check(row: RealRow, number: int) -> None:
    for column, value in (("question", row.question), ("subject", row.subject)):
        if not normal(value):
            raise PrereqError(f"row {number}: {column} is {value!r}; it must hold a word")
    if not row.answers or not all(answer.strip() for answer in row.answers):
        raise PrereqError(
            f"row {number}: answers are {row.answers!r}; it needs one at least, none of them empty"
        )


def _check_types(types: Mapping[str, str], relations: Mapping[str, object]) -> None:
    for name in types:
        if name not in relations:
            there = ", ".join(sorted(relations)[:8])
            raise PrereqError(
                f"synth.types.{name}: the rows have no such relation; they have {there}"
            )
