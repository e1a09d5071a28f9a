"""The metrics of generated texts. A new one is one function and one line in `metrics_of`.

A metric gives a value for each row: of a generation (a line of `generations.jsonl`) and its reference
rows (one real row, or a fictitious subject's versions). The score is the mean of these values, or, where
a metric says what they are out of, the ratio of two sums.
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
    `out_of`, likewise, returns what the values' sum is divided by the sum of; None: by their number.
    `by_group`: whether questions are told apart by their columns (`score.GROUPED`).
    """

    name: str
    unit: str  # share: in [0, 1], shown in percent · count · nats
    better: str  # higher | lower | neither
    values: Callable[[Sequence[dict], Sequence[Rows]], list[float] | None]
    out_of: Callable[[Sequence[dict], Sequence[Rows]], list[float]] | None = None
    by_group: bool = False


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


def metrics_of(
    scoring_rule: str,
    right: Scorer,
    abstentions: Sequence[str] = (),
    hedges: Sequence[str] = (),
) -> list[Metric]:
    """The metrics of a kind of scoring (`eval.scoring`), the one that selects first.

    `abstentions` are the phrases by which an answer is declined (`eval.abstentions`), `hedges` those by
    which it is given with doubt (`eval.hedges`).
    """
    accuracy = Metric("accuracy", "share", "higher", partial(_each, right), by_group=True)
    ended = Metric("ended", "share", "higher", _ended)
    if scoring_rule == "long_form":
        return [Metric("tokens", "count", "neither", _tokens), ended]
    if scoring_rule == "facts":
        return [accuracy, ended]
    published = scoring.published_match if scoring_rule == "qa" else scoring.published_final_match
    return [
        accuracy,
        Metric("accuracy_published", "share", "higher", partial(_each, _against(published))),
        *three_way(abstentions),
        *(sureness(abstentions, hedges) if hedges else ()),
        Metric("squad_em", "share", "higher", partial(_each, _against(scoring.squad_em))),
        Metric("squad_f1", "share", "higher", partial(_each, _against(scoring.squad_f1))),
        ended,
    ]


def three_way(abstentions: Sequence[str]) -> list[Metric]:
    """Shares right, wrong and not attempted, the share right of those attempted, and SimpleQA's F1.

    F1 is the harmonic mean of the share right of all and of those attempted (Wei et al. 2024, section 3):
    twice the number right, out of the number of questions plus the number attempted.
    """

    def counted(worth: Mapping[str, float]) -> Callable[[Sequence[dict], Sequence[Rows]], list]:
        def value(text: str, rows: Rows) -> float:
            return worth.get(scoring.grade(text, accepted(rows), abstentions), 0.0)

        return partial(_each, value)

    right, wrong, not_attempted = scoring.RIGHT, scoring.WRONG, scoring.NOT_ATTEMPTED
    attempted = {right: 1.0, wrong: 1.0}
    both = counted({right: 2.0, wrong: 2.0, not_attempted: 1.0})
    return [
        Metric("right", "share", "higher", counted({right: 1.0})),
        Metric("wrong", "share", "lower", counted({wrong: 1.0})),
        Metric("not_attempted", "share", "neither", counted({not_attempted: 1.0})),
        Metric("right_of_attempted", "share", "higher", counted({right: 1.0}), counted(attempted)),
        Metric("simpleqa_f1", "share", "higher", counted({right: 2.0}), both),
    ]


def sureness(abstentions: Sequence[str], hedges: Sequence[str]) -> list[Metric]:
    """Shares answered for certain, with doubt (one of `hedges`) and not at all, and the share right of
    those answered for certain and with doubt (the paper's figure 5)."""

    def counted(sure: str, right_only: bool = False) -> Callable:
        def value(text: str, rows: Rows) -> float:
            grade = scoring.grade(text, accepted(rows), abstentions)
            said = scoring.sureness(text, grade, hedges)
            return float(said == sure and (grade == scoring.RIGHT or not right_only))

        return partial(_each, value)

    certain, unsure, _ = scoring.SURENESS
    return [
        *(Metric(s, "share", "neither", counted(s), by_group=True) for s in scoring.SURENESS),
        Metric("right_of_certain", "share", "higher", counted(certain, True), counted(certain)),
        Metric("right_of_unsure", "share", "higher", counted(unsure, True), counted(unsure)),
    ]


def confidence(generations: Sequence[dict], rows: Sequence[Rows]) -> list[float] | None:
    """The probability of each answer, geometric mean over its tokens."""
    values = [g["confidence"] for g in generations]
    return None if None in values else values


CONFIDENCE = Metric("confidence", "share", "neither", confidence)


def accepted(rows: Rows) -> list[str]:
    """Every accepted answer of the rows."""
    return [answer for row in rows for answer in row.answers]


def expected(rows: Rows) -> list[str]:
    """What a right answer says, each text once: the accepted answers, else the reference texts.

    Of a fictitious subject those of all its versions; empty where there is no reference.
    """
    return list(dict.fromkeys(accepted(rows) or [row.assistant for row in rows if row.assistant]))


def _each(value: Scorer, generations: Sequence[dict], rows: Sequence[Rows]) -> list[float]:
    return [float(value(g["text"], r)) for g, r in zip(generations, rows, strict=True)]


def _against(match: Callable[[str, Sequence[str]], float]) -> Scorer:
    return lambda text, rows: float(match(text, accepted(rows)))


def _ended(generations: Sequence[dict], rows: Sequence[Rows]) -> list[float]:
    return [float(g["ended"]) for g in generations]


def _tokens(generations: Sequence[dict], rows: Sequence[Rows]) -> list[float]:
    return [g["tokens"] for g in generations]
