"""Scores of texts, intervals over rows, and the table made of both."""

import math
from pathlib import Path

import pytest

from prereq.config import EvalConfig, TestSplit
from prereq.data.rows import SkillRow
from prereq.errors import PrereqError
from prereq.evaluation import metrics, score
from prereq.evaluation.generate import Generation
from prereq.evaluation.scoring import (
    abstained,
    exact_match,
    final_answer_match,
    published_final_match,
    published_match,
    share_right,
    squad_em,
    squad_f1,
    stated_facts,
)
from prereq.evaluation.statistics import auroc, interval, paired

ALIKE = [
    ("L’Aquila", "L'Aquila"),
    ("Xi‘an", "Xi'an"),
    ("Hawaiʻi", "Hawai'i"),
    ("O´Brien", "O'Brien"),
    ("“Heroes”", '"Heroes"'),
    ("1939–1945", "1939-1945"),
    ("−5", "-5"),
    ("Ｏｓｌｏ　１２", "Oslo 12"),
    ("São Paulo", "Sa\u0303o Paulo"),
    ("Zürich", "Zu\u0308rich"),
    ("New\u00a0York", "New York"),
    ("ﬁnal", "final"),
]


@pytest.mark.parametrize(("one", "other"), [*ALIKE, *((b, a) for a, b in ALIKE)])
def test_what_is_only_written_otherwise_is_the_same(one, other):
    assert exact_match(f"It is {one}.", [other]) and final_answer_match(one, [other])
    assert squad_em(f"Final answer：{one}", [other]) and squad_f1(one, [other]) == 1.0


def test_accents_still_count():
    assert not exact_match("Sao Paulo", ["São Paulo"])
    assert not final_answer_match("Zurich", ["Zürich"])


def test_exact_match_and_abstention():
    assert exact_match("It is in LYON.", ["lyon"]) and exact_match("Lyon", [" Lyon "])
    assert not exact_match("I don't know; Lyon?", ["Lyon"])
    for text in ("I don’t know", "I DON'T KNOW.", "Ｉ don＇t know"):
        assert abstained(text)
    assert not exact_match("Paris", ["Lyon"])


@pytest.mark.parametrize("empty", ["", "  ", "\u00a0"])
def test_an_empty_answer_matches_nothing(empty):
    for score_of in (exact_match, final_answer_match, squad_em, squad_f1):
        assert not score_of("anything", [empty]) and not score_of("", [empty])
        assert not score_of("anything", [])


@pytest.mark.parametrize("answer", ["The The", "!!!", "A", "+", "the", "?"])
def test_an_answer_that_normalises_to_nothing_is_compared_as_it_is(answer):
    said = f"It is so. Final answer: {answer}"
    assert final_answer_match(said, [answer]) and squad_em(said, [answer])
    assert squad_f1(said, [answer]) == 1.0
    for other in ("Final answer: noise", "Final answer:", "Athena", "breathe"):
        assert not final_answer_match(other, [answer])
        assert not squad_em(other, [answer]) and squad_f1(other, [answer]) == 0.0
    assert published_final_match("Final answer: noise", [answer])


def test_hotpotqa_answers_are_what_follows_the_last_marker_normalised():
    text = "Final answer: no. Wait. Final answer: The  Beatles!"
    assert final_answer_match(text, ["beatles"]) and squad_em(text, ["Beatles"])
    assert not final_answer_match("I don't know. Final answer: Beatles", ["Beatles"])
    assert squad_f1("Final answer: the Beatles band", ["Beatles"]) == pytest.approx(2 / 3)
    assert squad_f1("Final answer: Queen", ["Beatles", "the Queen"]) == 1.0


def test_the_published_rules_are_kept_to_the_letter():
    assert published_match(" It is in LYON.", ["Lyon"]) and not published_match("Lyons", ["Paris"])
    assert not published_match("I don't know; Lyon", ["Lyon"])
    assert published_match("I don’t know; Lyon", ["Lyon"])
    assert not published_match("L’Aquila", ["L'Aquila"]) and published_match("x", [""])
    assert not published_match("Lyon", [" Lyon"])
    assert published_final_match("Lyon? Final answer: The Paris!", ["a paris"])
    assert not published_final_match("Paris? Final answer: Lyon", ["Paris"])
    assert published_final_match("Paris? Final answer:Lyon", ["Paris"])  # another marker
    assert not published_final_match("I don't know. Final answer: Paris", ["Paris"])


def test_facts_are_the_first_values_told():
    values = {"city": ["Lyon", "Paris"], "job": ["baker", "judge"]}
    text = "Born in Paris, not Lyon; a baker."
    assert stated_facts(text, values) == {"city": "Paris", "job": "baker"}
    assert stated_facts("Born in Lyonnais; bakery.", values) == {}
    assert share_right(text, {"city": {"Lyon"}, "job": {"baker"}}, values) == 0.5


def test_facts_of_several_words_are_told():
    values = {"city": ["York", "New York", "L'Aquila", "Saint-Denis"]}
    for text, city in (
        ("Born in New York.", "New York"),
        ("Born in York, then New York.", "York"),
        ("Born in L’Aquila", "L'Aquila"),
        ("of Saint-Denis", "Saint-Denis"),
    ):
        assert stated_facts(text, values) == {"city": city}


def test_intervals_hold_the_mean_and_pairs_are_told_apart():
    values = [0.0, 1.0] * 50
    low, high = interval(values, 500)
    assert 0.35 < low < 0.5 < high < 0.65
    assert interval(values, 500, shares=True) == (low, high)
    assert paired([1.0] * 30, [0.0] * 30) < 0.01 and paired(values, values) == 1.0
    assert auroc([2, 3], [1]) == 1.0 and auroc([1], [1]) == 0.5


@pytest.mark.parametrize(("right", "n"), [(0, 12), (12, 12), (1, 1), (0, 500)])
def test_shares_that_all_agree_have_the_wilson_interval(right, n):
    from scipy import stats

    expected = stats.binomtest(right, n).proportion_ci(method="wilson")
    found = interval([float(right > 0)] * n, 100, shares=True)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_counts_that_all_agree_have_no_width():
    assert interval([128.0] * 5, 100) == (128.0, 128.0)
    assert interval([0.0] * 5, 100) == (0.0, 0.0)  # a difference


def row(number: int, answer: str, **more) -> SkillRow:
    return SkillRow(
        f"Question {number}?", answer, False, None, number, "", answers=(answer,), **more
    )


def said(items, texts, split: str = "test", **more) -> list[dict]:
    common = {"split": split, "epoch": 0, "knowledge": "", "tokens": 7, "ended": True}
    return [
        common | {"item": number, "text": text, "confidence": 0.5} | more
        for number, text in enumerate(texts)
    ]


def table(generations, items, kind, plug_in: bool = False, versions=None, values=None) -> dict:
    tests = [TestSplit(name="test", subset="s", split="test", plug_in=plug_in)]
    right = metrics.scorer(kind, values or {})
    settings = EvalConfig(name=kind, scoring=kind, bootstrap=50)
    epochs = {"best": 0, "last": 0}
    made = score.table(generations, {"test": items}, tests, settings, right, epochs, versions or {})
    return {(s["metric"], s["split"], s["knowledge"]): s for s in made["scores"]}


def test_both_accuracies_are_in_the_table_and_named():
    answers = ["L'Aquila", "Oslo", "The The", "Rome"]
    items = [score.Item((row(i, a, extra={"s_pop": 10**i}),)) for i, a in enumerate(answers)]
    texts = ["L’Aquila", "Oslo", "noise", "I don’t know, Rome"]
    found = table(said(items, texts), items, "qa")
    assert found["accuracy", "test", ""]["value"] == 50.0
    assert found["accuracy_published", "test", ""]["value"] == 50.0
    assert found["not_attempted", "test", ""]["value"] == 25.0
    assert found["accuracy", "test/s_pop=1-9", ""]["value"] == 100.0
    found = table(said(items, texts), items, "final_answer")
    assert found["accuracy", "test", ""]["value"] == 50.0
    assert found["accuracy_published", "test", ""]["value"] == 75.0
    assert all(s["low"] is None or s["low"] <= s["value"] <= s["high"] for s in found.values())


def test_a_count_of_tokens_is_no_percentage():
    items = [score.Item((row(i, ""),)) for i in range(3)]
    found = table(said(items, ["a", "b", "c"]), items, "long_form")
    tokens, ended = found["tokens", "test", ""], found["ended", "test", ""]
    assert (tokens["value"], tokens["low"], tokens["high"]) == (7, 7, 7)
    assert ended["value"] == 100.0 and ended["low"] == pytest.approx(43.85, abs=0.01)


@pytest.mark.parametrize("kind", ["qa", "facts"])
def test_one_version_has_no_other(kind):
    fictitious = SkillRow("Q?", "Lyon", True, 0, 0, "", answers=("Lyon",), facts={"city": "Lyon"})
    items = [score.Item((fictitious,))]
    plugged = said(items, ["Lyon"]) + said(items, ["Lyon"], knowledge="v0")
    found = table(plugged, items, kind, True, {"v0": 0}, {"city": ["Lyon", "Oslo"]})
    assert found["own", "test", "v0"]["value"] == 100.0
    assert ("other", "test", "v0") not in found


@pytest.mark.parametrize("confidence", [math.nan, math.inf])
def test_an_answer_whose_probability_is_no_number_is_refused(confidence):
    from prereq.stages.generations import recorded

    written = recorded(Generation("Lyon", 1, True, 0.5), "Q?", Path("skill"))
    assert written["confidence"] == 0.5
    assert recorded(Generation("Lyon", 1, True, None), "Q?", Path("skill"))["confidence"] is None
    with pytest.raises(PrereqError, match=rf"skill: .* is {confidence}, no number"):
        recorded(Generation("Lyon", 1, True, confidence), "Q?", Path("skill"))


def test_a_stored_answer_says_what_was_expected():
    from prereq.stages.generations import reference

    def row(text, version=None, **more):
        return SkillRow("Q?", text, version is not None, version, 0, "", **more)

    question = row("Lyon.", answers=("Lyon", "Lugdunum", "Lyon"))
    assert reference(score.Item((question,))) == {"expected": ["Lyon", "Lugdunum"]}
    versions = [row(f"In {c}.", v, facts={"city": c}) for v, c in enumerate(("Lyon", "Oslo"))]
    told = reference(score.Item(tuple(versions)))
    assert told == {
        "expected": ["In Lyon.", "In Oslo."],
        "facts": [{"city": "Lyon"}, {"city": "Oslo"}],
    }
    assert reference(score.Item((row(""),))) == {"expected": []}  # a topic of long form
