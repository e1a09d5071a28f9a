"""A judge and a splitter held against people: on claims with passages, or on texts whose facts they judged.

Rows of claims are `claim`, `evidence` (a text, or several) and `stance`; rows of texts are `topic`, `output`
and `sentences`, each with `text`, `model_facts` and `facts` (pairs of text and S, NS or IR), as the
annotations of Min et al. 2023.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from prereq.data.problems import Problems, bad_rows, shown
from prereq.data.reading import of_source
from prereq.data.rows import place
from prereq.evaluation.factscore import facts, scores
from prereq.evaluation.factscore.rows import (
    IRRELEVANT,
    NOT_SUPPORTED,
    SUPPORTED,
    UNREADABLE,
    Claim,
    Judge,
    Passage,
    Sentence,
    Split,
)
from prereq.evaluation.statistics import interval

RULES = 1  # raised when the same replies give another agreement
KEY = "judge.validate"
# What people say of a claim and its passage. Partly supported is not supported, as the prompt has it.
STANCES = {
    "completely-support": SUPPORTED,
    "partially-support": NOT_SUPPORTED,
    "refute": NOT_SUPPORTED,
    "irrelevant": NOT_SUPPORTED,
    "supported": SUPPORTED,
    "not supported": NOT_SUPPORTED,
}
LETTERS = {"S": SUPPORTED, "NS": NOT_SUPPORTED, "IR": IRRELEVANT}  # of facts in texts


@dataclass(frozen=True)
class Judged:
    """A claim with what people said of it."""

    claim: Claim
    stance: str


def read(file: str) -> list[Judged] | list[dict]:
    """The rows of a file, all claims or all texts. Raises BadRows that names file and line."""
    problems, found = Problems(), []
    name, rows, _ = of_source(file, KEY, None, problems)
    texts = "sentences" in rows[0][1] if rows else False
    for number, row in rows:
        value = (_text if texts else _claim)(row)
        if isinstance(value, str):
            problems.add(place(name, number), value)
        else:
            found.append(value)
    if problems.count:
        raise bad_rows(Path(file).parent, [problems])
    return found


def _claim(row: dict[str, Any]) -> Judged | str:
    """A row's claim, or what is wrong with the row."""
    claim, evidence, stance = (row.get(key) for key in ("claim", "evidence", "stance"))
    told = [evidence] if isinstance(evidence, str) else evidence
    if not isinstance(claim, str) or not claim.strip():
        return f"claim: {shown(claim)} is no text; a row has claim, evidence and stance"
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        return f"evidence: {shown(evidence)} is neither a text nor a list of texts"
    if stance not in STANCES:
        return f"stance: {shown(stance)}; must be one of {', '.join(STANCES)}"
    topic = row.get("topic") if isinstance(row.get("topic"), str) else "its subject"
    passages = tuple(Passage("Passage", one) for one in told)
    return Judged(Claim(topic, claim, passages), stance)


def _text(row: dict[str, Any]) -> dict | str:
    """A row with a text, or what is wrong with it."""
    if not isinstance(row.get("topic"), str) or not isinstance(row.get("output"), str):
        return "a text has topic and output, both text, and sentences"
    sentences = row.get("sentences")
    if not isinstance(sentences, list):
        return f"sentences: {shown(sentences)} is no list"
    for one in sentences:
        if not isinstance(one, dict) or not isinstance(one.get("text"), str):
            return f"sentences: {shown(one)} is no object with a text"
        for fact in one.get("facts") or ():
            if not isinstance(fact, list) or len(fact) != 2 or fact[1] not in LETTERS:
                return f"facts: {shown(fact)} is no pair of a text and {', '.join(LETTERS)}"
    return row


def sample(rows: Sequence[Any], items: int | None, seed: int) -> list[Any]:
    """All rows, or as many drawn by the seed, in their order."""
    if items is None or items >= len(rows):
        return list(rows)
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), items))]


def of_claims(
    rows: Sequence[Judged], judge: Judge, who: str, resamples: int
) -> tuple[dict[str, Any], list[dict]]:
    """How far a judge agrees with people whether a claim is supported; and each pair.

    Accuracy and Cohen's κ (1960) with 95 % bootstrap intervals, over verdicts that could be read.
    """
    verdicts = [verdict or UNREADABLE for verdict in judge([row.claim for row in rows])]
    pairs = [(row.stance, verdict) for row, verdict in zip(rows, verdicts, strict=True)]
    read = [
        (STANCES[stance] == SUPPORTED, verdict == SUPPORTED)
        for stance, verdict in pairs
        if verdict != UNREADABLE
    ]
    table = {stance: dict(Counter(v for s, v in pairs if s == stance)) for stance in STANCES}
    told: dict[str, Any] = {"claims": len(rows), "unreadable": len(rows) - len(read)}
    told["verdicts"] = {stance: counts for stance, counts in table.items() if counts}
    lost = f"{told['unreadable']:,} of {len(rows):,} replies could not be read"
    if not read:
        return told | {
            "said": [f"{who} gave no verdict that can be read on {len(rows):,} claims"]
        }, []
    right = [float(people == mine) for people, mine in read]
    low, high = interval(right, resamples, shares=True)
    told |= {"accuracy": 100 * fmean(right), "accuracy_low": 100 * low, "accuracy_high": 100 * high}
    told["people_supported"] = 100 * fmean(people for people, _ in read)
    told["judge_supported"] = 100 * fmean(mine for _, mine in read)
    told["always"] = max(told["people_supported"], 100 - told["people_supported"])
    told["kappa"] = kappa(read)
    told["kappa_low"], told["kappa_high"] = _kappa_interval(read, resamples)
    said = (
        f"{who} agrees with people on {told['accuracy']:.1f} % of {len(read):,} claims ({100 * low:.1f} – "
        f"{100 * high:.1f}), κ = {told['kappa']:.2f} ({told['kappa_low']:.2f} – "
        f"{told['kappa_high']:.2f}); the same verdict always would agree on {told['always']:.1f} %; "
        f"supported: {told['people_supported']:.1f} % by people, {told['judge_supported']:.1f} % by the "
        f"judge; {lost}"
    )
    kept = [
        {"claim": row.claim.fact, "stance": row.stance, "verdict": verdict}
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
    return told | {"said": [said]}, kept


def kappa(pairs: Sequence[tuple[bool, bool]]) -> float:
    """Cohen's κ of two raters of the same rows; 1 where both say the same of all of them."""
    first, second = np.asarray(pairs, dtype=float).T
    agreed = float(np.mean(first == second))
    # What two would agree on by chance, each with its own share of either verdict.
    chance = float(first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean()))
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)


def _kappa_interval(pairs: Sequence[tuple[bool, bool]], resamples: int) -> tuple[float, float]:
    """95 % percentile bootstrap over rows."""
    rng, data = np.random.default_rng(0), np.asarray(pairs)
    drawn = [kappa(data[rng.integers(0, len(data), len(data))]) for _ in range(resamples)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def of_texts(
    rows: Sequence[dict], splitter: Split | None, who: str, gamma: float, resamples: int
) -> tuple[dict[str, Any], list[dict]]:
    """The scores by people's own verdicts, and how sentences and facts compare with theirs.

    `splitter` is None where there is none to compare; it is given people's sentences.
    """
    lines = [by_people(row) for row in rows]
    table = scores.table(lines, gamma, resamples, "people")
    found = {row["metric"]: row["value"] for row in table}
    said = [
        f"by people's own verdicts on {len(rows):,} topics: {found.get('supported', 0):.1f} % supported "
        f"({found.get('supported_penalised', 0):.1f} % with the length penalty), {found['answered']:.1f} % "
        f"answered, {found.get('facts', 0):.1f} facts an answer"
    ]
    answered = [row for row in rows if row["sentences"]]
    told, same, mine = 0, 0, 0
    for row in answered:
        cut = Counter(facts.cut(row["output"], ()))
        theirs = Counter(" ".join(one["text"].split()) for one in row["sentences"])
        same += (cut & theirs).total()
        told, mine = told + theirs.total(), mine + cut.total()
    said.append(
        f"{same:,} of people's {told:,} sentences are found ({100 * same / max(1, told):.1f} %), "
        f"among {mine:,}"
    )
    result: dict[str, Any] = {"texts": len(rows), "scores": table}
    result |= {"sentences": told, "found": mine, "same": same}
    if splitter:
        counts, said_of_facts = _facts(answered, splitter, who)
        result |= counts
        said.append(said_of_facts)
    return result | {"said": said}, lines


def _facts(answered: Sequence[dict], splitter: Split, who: str) -> tuple[dict[str, Any], str]:
    """How many facts a splitter finds in sentences, beside what people and the authors' model found."""
    asked, people, model = [], 0, 0
    for row in answered:
        texts = [one["text"] for one in row["sentences"]]
        for before, one in zip(["", *texts], row["sentences"], strict=False):
            asked.append(Sentence(row["topic"], before, one["text"]))
            people += len(one.get("facts") or ())
            model += len(one.get("model_facts") or ())
    found = splitter(asked)
    unread = sum(one is None for one in found)
    mine = sum(len(one) for one in found if one)
    each = max(1, len(answered))
    counts = {
        "people_facts": people,
        "model_facts": model,
        "facts": mine,
        "unread_sentences": unread,
    }
    said = (
        f"{who} finds {mine / each:.1f} facts an answer, people {people / each:.1f}, the model that split "
        f"for them {model / each:.1f}; {unread:,} of {len(asked):,} sentences could not be read"
    )
    return counts, said


def by_people(row: dict) -> dict:
    """An annotated text as a line of `verdicts.jsonl`. Without sentences it was not answered."""
    found = [pair for one in row["sentences"] for pair in one.get("facts") or ()]
    return {
        "split": "texts",
        "knowledge": "",
        "topic": row["topic"],
        "answered": bool(row["sentences"]),
        "own_passages": True,
        "unread": 0,
        "facts": [
            {"fact": text, "verdict": LETTERS[letter], "passages": []} for text, letter in found
        ],
    }
