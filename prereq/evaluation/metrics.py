"""The metrics of generated texts. A new one is one function and one line in `metrics_of`.

A metric gives a value for each row: of a generation (a line of `generations.jsonl`) and its reference
rows (one real row, or a fictitious subject's versions).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prereq.data.rows import SkillRow
from prereq.evaluation import scoring

Rows = Sequence[SkillRow]
Scorer = Callable[[str, Rows], float]


@dataclass(frozen=True)
class Metric:
    """A name, what its values are, which of them are better, and how to find them.

    `values(generations, rows)` returns one value a generation; None where the engine does not tell.
    """

    name: str
    unit: str  # share: in [0, 1], shown in percent · count · nats
    better: str  # higher | lower | neither
    values: Callable[[Sequence[dict], Sequence[Rows]], list[float] | None]


def scorer(scoring_rule: str, values: Mapping[str, Sequence[str]]) -> Scorer:
    """`right(text, rows)` in [0, 1]: agreement of a text with any of the rows.

    `qa`, `final_answer`: exact match. `facts`: the share of the rows' relations that the text states
    as one of them has it. `long_form`: whether the text is not empty, for want of a judge.
    """
    if scoring_rule == "long_form":
        return lambda text, rows: float(bool(text))
    if scoring_rule != "facts":
        match = scoring.exact_match if scoring_rule == "qa" else scoring.final_answer_match
        return lambda text, rows: float(match(text, accepted(rows)))

    def facts(text: str, rows: Rows) -> float:
        right = {r: {row.facts[r] for row in rows} for r in rows[0].facts}
        return scoring.share_right(text, right, values)

    return facts


def metrics_of(scoring_rule: str, right: Scorer) -> list[Metric]:
    """The metrics of a kind of scoring (`eval.scoring`), the one that selects first."""
    accuracy = Metric("accuracy", "share", "higher", partial(_each, right))
    ended = Metric("ended", "share", "higher", _ended)
    if scoring_rule == "long_form":
        return [Metric("tokens", "count", "neither", _tokens), ended]
    if scoring_rule == "facts":
        return [accuracy, ended]
    published = scoring.published_match if scoring_rule == "qa" else scoring.published_final_match
    return [
        accuracy,
        Metric("accuracy_published", "share", "higher", partial(_each, _against(published))),
        Metric("abstained", "share", "neither", partial(_each, _abstained)),
        Metric("wrong", "share", "lower", partial(_each, partial(_wrong, right))),
        Metric("strict_match", "share", "higher", partial(_each, _against(scoring.strict_match))),
        Metric("f1", "share", "higher", partial(_each, _against(scoring.f1))),
        ended,
    ]


def confidence(generations: Sequence[dict], rows: Sequence[Rows]) -> list[float] | None:
    """The probability of each answer, geometric mean over its tokens."""
    values = [g["confidence"] for g in generations]
    return None if None in values else values


CONFIDENCE = Metric("confidence", "share", "neither", confidence)


def accepted(rows: Rows) -> list[str]:
    """Every accepted answer of the rows."""
    return [answer for row in rows for answer in row.answers]


def _each(value: Scorer, generations: Sequence[dict], rows: Sequence[Rows]) -> list[float]:
    return [float(value(g["text"], r)) for g, r in zip(generations, rows, strict=True)]


def _against(match: Callable[[str, Sequence[str]], float]) -> Scorer:
    return lambda text, rows: float(match(text, accepted(rows)))


def _abstained(text: str, rows: Rows) -> float:
    return float(scoring.abstained(text))


def _wrong(right: Scorer, text: str, rows: Rows) -> float:
    return 1 - right(text, rows) - _abstained(text, rows)


def _ended(generations: Sequence[dict], rows: Sequence[Rows]) -> list[float]:
    return [float(g["ended"]) for g in generations]


def _tokens(generations: Sequence[dict], rows: Sequence[Rows]) -> list[float]:
    return [g["tokens"] for g in generations]
