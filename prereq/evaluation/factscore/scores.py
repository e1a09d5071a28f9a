"""Verdicts counted: FActScore with and without its length penalty, as rows of the table of scores."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from statistics import fmean

from prereq.evaluation.factscore.rows import IRRELEVANT, SUPPORTED, UNREADABLE
from prereq.evaluation.statistics import interval

RULES = 1  # raised when the same verdicts give other scores
KEPT = 1  # raised when more is kept beside the scores: verdicts are counted anew
UNITS = {
    "supported": "share",
    "supported_penalised": "share",
    "facts": "count",
    "answered": "share",
    "irrelevant": "share",
    "unreadable": "share",
    "unread_sentences": "count",
    "without_passages": "share",
}


def factscore(verdicts: Sequence[str]) -> float | None:
    """The share of an answer's facts that are supported (Min et al. 2023, section 3).

    Irrelevant facts count as not supported; those with an unreadable verdict are left out. 0 without any
    fact, None where no verdict could be read.
    """
    read = [verdict for verdict in verdicts if verdict != UNREADABLE]
    if not verdicts:
        return 0.0
    return sum(v == SUPPORTED for v in read) / len(read) if read else None


def penalty(facts: int, gamma: float) -> float:
    """The factor of the length penalty: exp(1 - γ/n) for fewer than γ facts, 1 from there on."""
    if facts >= gamma:
        return 1.0
    return math.exp(1 - gamma / facts) if facts else 0.0


def table(lines: Sequence[dict], gamma: float, resamples: int, who: str) -> list[dict]:
    """Rows of the table of scores, of each split and plugged-in knowledge.

    `lines` are those of `verdicts.jsonl`; `who` judged, and is part of a split's name: `held_out_by_exact`.
    Means are over answered topics (`answered` and `without_passages`: over all), with a 95 % interval over
    topics.
    """
    rows: list[dict] = []
    for place, mine in _splits(lines, who):
        for metric, unit, of_topics in _metrics(mine, gamma):
            values = [value for value in of_topics if value is not None]
            if not values:
                continue
            whole = set(values) <= {0.0, 1.0}  # equal shares in between are no proportion of topics
            low, high = interval(values, resamples, shares=unit == "share" and whole)
            scale = 100 if unit == "share" else 1
            row = place | {"metric": metric, "unit": unit, "value": scale * fmean(values)}
            rows.append(row | {"low": scale * low, "high": scale * high, "n": len(values)})
    return rows


def by_topic(lines: Sequence[dict], gamma: float, who: str) -> dict:
    """What stands behind `table`, as `stage=eval` keeps it of questions: `{"rows": the value of each topic,
    "asked": split → digest of its topics}`.

    Topics come in the order of the items. One that does not count has the value 0 and is `out_of` 0.
    """
    rows: list[dict] = []
    asked: dict[str, str] = {}
    for place, mine in _splits(lines, who):
        mine = sorted(mine, key=lambda line: line["item"])
        topics = json.dumps([[line["item"], line["topic"]] for line in mine])
        asked[place["split"]] = hashlib.sha256(topics.encode()).hexdigest()[:16]
        for metric, _, of_topics in _metrics(mine, gamma):
            values = [value or 0.0 for value in of_topics]
            out_of = [float(value is not None) for value in of_topics]
            rows.append(place | {"metric": metric, "values": values, "out_of": out_of})
    return {"rows": rows, "asked": asked}


def _splits(lines: Sequence[dict], who: str) -> Iterator[tuple[dict[str, str], list[dict]]]:
    """Each split and plugged-in knowledge, as the table of scores names it, with its lines."""
    for split, knowledge in dict.fromkeys((line["split"], line["knowledge"]) for line in lines):
        mine = [x for x in lines if (x["split"], x["knowledge"]) == (split, knowledge)]
        yield {"knowledge": knowledge, "split": f"{split}_by_{who}"}, mine


def _metrics(lines: Sequence[dict], gamma: float) -> list[tuple[str, str, list[float | None]]]:
    """(name, unit, a value a topic) of each metric; None for a topic that does not count."""
    told: dict[str, list[float | None]] = {}
    for line in lines:
        for name, value in _of_topic(line, gamma).items():
            told.setdefault(name, []).append(value)
    return [(name, UNITS[name], values) for name, values in told.items()]


def _of_topic(line: dict, gamma: float) -> dict[str, float | None]:
    verdicts = [fact["verdict"] for fact in line["facts"]]
    score = factscore(verdicts) if line["answered"] else None
    counts = line["answered"] and verdicts
    return {
        "supported": score,
        "supported_penalised": None if score is None else score * penalty(len(verdicts), gamma),
        "facts": float(len(verdicts)) if line["answered"] else None,
        "answered": float(line["answered"]),
        "irrelevant": verdicts.count(IRRELEVANT) / len(verdicts) if counts else None,
        "unreadable": verdicts.count(UNREADABLE) / len(verdicts) if counts else None,
        "unread_sentences": float(line["unread"]) if line["answered"] else None,
        "without_passages": float(not line["own_passages"]),
    }
