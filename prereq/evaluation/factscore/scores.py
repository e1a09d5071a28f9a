"""Verdicts counted: FActScore with and without its length penalty, as rows of the table of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from prereq.evaluation.factscore.rows import IRRELEVANT, SUPPORTED, UNREADABLE
from prereq.evaluation.statistics import interval

RULES = 1  # raised when the same verdicts give other scores


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
    for split, knowledge in dict.fromkeys((line["split"], line["knowledge"]) for line in lines):
        mine = [x for x in lines if (x["split"], x["knowledge"]) == (split, knowledge)]
        for metric, unit, values in _metrics(mine, gamma):
            if not values:
                continue
            whole = set(values) <= {0.0, 1.0}  # equal shares in between are no proportion of topics
            low, high = interval(values, resamples, shares=unit == "share" and whole)
            scale = 100 if unit == "share" else 1
            row = {"knowledge": knowledge, "split": f"{split}_by_{who}"}
            row |= {"metric": metric, "unit": unit, "value": scale * fmean(values)}
            rows.append(row | {"low": scale * low, "high": scale * high, "n": len(values)})
    return rows


def _metrics(lines: Sequence[dict], gamma: float) -> list[tuple[str, str, list[float]]]:
    """(name, unit, a value a topic) of each metric."""
    answered = [line for line in lines if line["answered"]]
    verdicts = [[fact["verdict"] for fact in line["facts"]] for line in answered]
    scored = [(score, v) for v in verdicts if (score := factscore(v)) is not None]
    return [
        ("supported", "share", [score for score, _ in scored]),
        ("supported_penalised", "share", [x * penalty(len(v), gamma) for x, v in scored]),
        ("facts", "count", [float(len(v)) for v in verdicts]),
        ("answered", "share", [float(line["answered"]) for line in lines]),
        ("irrelevant", "share", [v.count(IRRELEVANT) / len(v) for v in verdicts if v]),
        ("unreadable", "share", [v.count(UNREADABLE) / len(v) for v in verdicts if v]),
        ("unread_sentences", "count", [float(line["unread"]) for line in answered]),
        ("without_passages", "share", [float(not line["own_passages"]) for line in lines]),
    ]
