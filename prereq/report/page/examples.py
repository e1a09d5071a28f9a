"""Answers side by side, and judged facts with their passages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prereq.artifacts import audit
from prereq.artifacts.spec import Artifact
from prereq.evaluation.scoring import NOT_ATTEMPTED, RIGHT, WRONG
from prereq.report import tables
from prereq.report.collect import Line
from prereq.report.page.origins import Origin, Origins
from prereq.report.written import NOT_JUDGED, Told
from prereq.runtime import files

MOST = 30  # examples
REPORTED = 12  # of them from the reported split
TOPICS = 8  # with verdicts
PARTLY = "partly right"
# A sign beside the word, so that nobody has to tell them apart by colour.
SIGNS = {RIGHT: "✓", WRONG: "✗", NOT_ATTEMPTED: "○", PARTLY: "◐"}
SIGNS |= {
    NOT_JUDGED: "–",
    "supported": "✓",
    "not supported": "✗",
    "irrelevant": "–",
    "unreadable": "?",
}


@dataclass(frozen=True)
class Answer:
    """A text, and all who gave it."""

    text: str
    grade: str
    note: str = ""  # how much of a text is right
    who: list[str] = field(default_factory=list, compare=False)

    @property
    def sign(self) -> str:
        return SIGNS[self.grade]


@dataclass
class Example:
    split: str
    role: str  # what its questions are
    seed: int
    question: str
    expected: list[str]
    answers: list[Answer] = field(default_factory=list)

    @property
    def marks(self) -> list[tuple[str, str, int]]:
        """(grade, its sign, how many methods got it)."""
        counts = {word: sum(len(a.who) for a in self.answers if a.grade == word) for word in SIGNS}
        return [(word, SIGNS[word], count) for word, count in counts.items() if count]


@dataclass(frozen=True)
class Verdict:
    fact: str
    verdict: str
    passages: list[int]  # places in the topic's list, from 1

    @property
    def sign(self) -> str:
        return SIGNS.get(self.verdict, "?")


@dataclass
class Topic:
    """A topic's answers, each as its judged facts, and the passages that any verdict rests on."""

    name: str
    split: str
    judged: list[tuple[str, str, list[Verdict]]] = field(default_factory=list)
    passages: list[dict] = field(default_factory=list)


def chosen(lines: Sequence[Line], told: Told, reported: str | None) -> list[Example]:
    """Thirty questions at the seed that most lines answered, evenly spaced over the reported split and
    the others: what the answers are plays no part."""
    names = {(line.dataset, line.model, line.name) for line in lines}
    seeds = [seed for *place, seed in told if tuple(place) in names]
    if not seeds:
        return []
    seed = max(sorted(set(seeds)), key=seeds.count)
    places = {line.name: (line.dataset, line.model, line.name, seed) for line in lines}
    mine = {name: told[place] for name, place in places.items() if place in told}
    asked: dict[str, dict[tuple, Example]] = {}
    for answer in (a for of_line in mine.values() for a in of_line):
        split = answer["split"]
        example = Example(split, _role(lines, split), seed, answer["question"], answer["expected"])
        asked.setdefault(split, {}).setdefault(_place(answer), example)
    picked: dict[tuple, Example] = {}
    for split, count in _quotas(list(asked), reported).items():
        picked |= dict(_spaced(sorted(asked[split].items(), key=lambda pair: pair[0]), count))
    for name, of_line in mine.items():
        for answer in of_line:
            if example := picked.get(_place(answer)):
                given = _graded(answer)
                if given not in example.answers:
                    example.answers.append(given)
                example.answers[example.answers.index(given)].who.append(name)
    return list(picked.values())


def _role(lines: Sequence[Line], split: str) -> str:
    found = next((line.roles[split] for line in lines if line.roles.get(split)), None)
    return tables.ROLES.get(found, "")


def _place(answer: dict) -> tuple:
    return answer["split"], answer["item"], answer["question"]


def _quotas(splits: Sequence[str], reported: str | None) -> dict[str, int]:
    """Split → how many examples, the reported split first."""
    others = [split for split in splits if split != reported]
    if not others:
        return dict.fromkeys(splits, MOST)
    rest = MOST - (REPORTED if reported in splits else 0)
    share, left = divmod(rest, len(others))
    quotas = {split: share + (place < left) for place, split in enumerate(others)}
    return ({reported: REPORTED} if reported in splits else {}) | quotas


def _spaced(values: Sequence[Any], count: int) -> list[Any]:
    """`count` of the values, evenly spaced."""
    count = min(count, len(values))
    return [values[place * len(values) // count] for place in range(count)]


def _graded(answer: dict) -> Answer:
    """An answer with its grade; a text without one has the share of its facts that is right."""
    text = " ".join(answer["answer"].split())
    if "grade" in answer:
        return Answer(text, answer["grade"])
    share = float(answer["right"])
    if not any(map(str.isalnum, text)):
        return Answer(text, NOT_ATTEMPTED)
    if share in (0.0, 1.0):
        return Answer(text, RIGHT if share else WRONG)
    return Answer(text, PARTLY, f"{100 * share:.0f} % of the facts")


def judged(lines: Sequence[Line], origins: Origins, reported: str | None) -> list[Topic]:
    """Some topics of the reported split (else of the first judged one), with the verdicts of each line at
    its first judged seed."""
    found: dict[str, Topic] = {}
    for line in lines:
        verdicts = _verdicts(line, origins)
        if verdicts is None:
            continue
        rows = _rows(verdicts.artifact, "verdicts.jsonl")
        by_number = {p["number"]: p for p in _rows(verdicts.artifact, "passages.jsonl")}
        texts = _texts(verdicts, origins)
        alone = [row for row in rows if not row["knowledge"]]
        splits = list(dict.fromkeys(row["split"] for row in alone))
        split = reported if reported in splits else splits[0]
        mine = [row for row in alone if row["split"] == split]
        if not found:
            picked = [row["topic"] for row in _spaced(mine, TOPICS)]
            found = {topic: Topic(topic, split) for topic in picked}
        for row in mine:
            topic = found.get(row["topic"])
            if topic and topic.split == split:
                facts = [_verdict(fact, topic, by_number) for fact in row["facts"]]
                text = texts.get((split, row["item"]), "")
                topic.judged.append((line.name, text, facts))
    return list(found.values())


def _verdict(fact: dict, topic: Topic, by_number: dict[int, dict]) -> Verdict:
    """The fact; passages that were not yet listed with the topic are added there."""
    places = []
    for number in fact["passages"]:
        passage = {key: by_number[number][key] for key in ("title", "text")}
        if passage["title"].casefold() != topic.name.casefold() and len(places) > 1:
            continue  # further down the ranking, of other pages: they are in verdicts.jsonl
        if passage not in topic.passages:
            topic.passages.append(passage)
        places.append(topic.passages.index(passage) + 1)
    return Verdict(fact["fact"], fact["verdict"], places)


def _verdicts(line: Line, origins: Origins) -> Origin | None:
    """The verdicts behind the line's judged scores, of its first seed."""
    for _, runs in sorted(line.runs.items()):
        for run in runs.values():
            if run.verdicts in origins.found:
                return origins.found[run.verdicts]
    return None


def _texts(verdicts: Origin, origins: Origins) -> dict[tuple[str, int], str]:
    """(split, item) → the answer, where the facts that were judged are kept."""
    for one in origins.chain(verdicts.manifest["key"]):
        if one.manifest["kind"] == "facts":
            rows: Iterable[dict] = _rows(one.artifact, "facts.jsonl")
            return {(r["split"], r["item"]): r["text"] for r in rows if not r["knowledge"]}
    return {}


def _rows(artifact: Artifact, name: str) -> list[dict]:
    file = audit.verified_file(artifact, name)
    return files.read_lines(file, f"remove the folder {file.parent}, and stage=judge makes it anew")
