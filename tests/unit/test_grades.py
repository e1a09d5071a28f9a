"""Right, wrong or not attempted: the traps of grading short answers by rule."""

import pytest

from prereq.config import EvalConfig, TestSplit
from prereq.data.rows import SkillRow
from prereq.evaluation import metrics, score
from prereq.evaluation.scoring import (
    NOT_ATTEMPTED,
    RIGHT,
    WRONG,
    exact_match,
    grade,
    said,
    squad_em,
    squad_f1,
)

PHRASES = EvalConfig(name="qa").abstentions


def graded(text: str, *answers: str) -> str:
    return grade(text, answers, PHRASES)


@pytest.mark.parametrize("empty", ["", " ", "\u3000", "\n"])
def test_an_empty_accepted_answer_makes_nothing_right(empty):
    assert graded("Lyon", empty) == WRONG and graded("Lyon", empty, "Lyon") == RIGHT
    assert not squad_em("Lyon", [empty]) and squad_f1("Lyon", [empty]) == 0
    assert graded(empty, "Lyon") == graded(empty, empty) == NOT_ATTEMPTED


def test_marks_alone_say_nothing_unless_they_are_the_answer():
    assert graded("....", "Lyon") == NOT_ATTEMPTED and graded("!!!", "!!!") == RIGHT


def test_an_answer_is_whole_words():
    assert exact_match("Because it is.", ["us"])  # as published
    assert graded("Because it is.", "us") == WRONG
    assert graded("It is the US.", "us") == RIGHT
    assert graded("Lyon's mayor", "Lyon") == RIGHT and graded("(Lyon)", "Lyon") == RIGHT
    assert graded("Lyonnais", "Lyon") == WRONG and graded("Lyon2", "Lyon") == WRONG
    assert graded("New-York", "York") == RIGHT


def test_scripts_that_do_not_part_words_are_not_held_to_it():
    assert graded("東京です", "東京") == RIGHT
    assert graded("서울입니다", "서울") == RIGHT


@pytest.mark.parametrize(
    ("text", "answer", "expected"),
    [
        ("3.5", "5", WRONG),
        ("3.5", "35", WRONG),
        ("3.5", "3", WRONG),
        ("1,200", "200", WRONG),
        ("1,776", "1776", RIGHT),
        ("1776", "1,776", RIGHT),
        ("It was 1999.", "1999", RIGHT),
        ("11999", "1999", WRONG),
        ("July 4, 1776", "July 4 1776", RIGHT),
        ("１２", "12", RIGHT),
    ],
)
def test_numbers_are_whole(text, answer, expected):
    assert graded(text, answer) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Answer: Lyon", "lyon"),
        ("Answer: Answer:  Lyon", "lyon"),
        ("ANSWER：Lyon", "lyon"),
        ("The answer is:\n\nLyon\n\nThe answer is: Paris", "lyon"),
        ("Lyon\nQuestion: Who is next?\nAnswer: Paris", "lyon"),
        ("Lyon\nAnswer: Paris", "lyon"),
        ("It may be Paris. Final answer: Lyon", "lyon"),
        ("Final answer: Paris. No. Final answer: Lyon", "lyon"),
        ("Final answer: Lyon\nQuestion: And now?\nFinal answer: Paris", "lyon"),
        ("Final answer: Answer: Lyon", "lyon"),
        ("Ｌｙｏｎ", "lyon"),
    ],
)
def test_what_a_text_gives_as_its_answer(text, expected):
    assert said(text) == expected
    assert graded(text, "Lyon") == RIGHT and squad_em(text, ["Lyon"])
    assert graded(text, "Paris") == WRONG


def test_combining_marks_are_part_of_their_letter():
    assert graded("Sa\u0303o Paulo", "São Paulo") == RIGHT
    assert graded("q\u0303", "q") == WRONG  # of which Unicode has no single character
    assert graded("q\u0303", "q\u0303") == RIGHT


@pytest.mark.parametrize(
    "text", ["I don't know.", "I DON’T KNOW", "Ｉ don＇t know", "I do not know"]
)
def test_who_abstains_does_not_attempt_even_where_the_answer_is_named(text):
    assert graded(text, "Lyon") == NOT_ATTEMPTED
    assert graded(f"{text} Perhaps Lyon?", "Lyon") == NOT_ATTEMPTED
    assert graded(f"{text}. Final answer: Lyon", "Lyon") == NOT_ATTEMPTED
    assert graded(f"Lyon\nQuestion: And?\nAnswer: {text}", "Lyon") == RIGHT


def test_an_accepted_answer_that_reads_like_an_abstention_is_none():
    song = "I Don't Know How to Love Him"
    assert graded(song, song) == RIGHT and graded(song, "Yesterday") == NOT_ATTEMPTED
    assert graded(f"I don't know. {song}?", song) == NOT_ATTEMPTED


def test_phrases_are_the_configurations():
    assert grade("Keine Ahnung.", ["Lyon"], ["keine Ahnung"]) == NOT_ATTEMPTED
    assert grade("I don't know", ["Lyon"], ["keine Ahnung"]) == WRONG
    assert grade("I don't know", ["Lyon"], []) == WRONG
    assert grade("Unknowable", ["Lyon"], ["unknow"]) == WRONG  # whole words


def test_the_best_of_all_accepted_answers_counts():
    assert graded("Paris", "Lyon", "Paris") == RIGHT and squad_em("Paris", ["Lyon", "the Paris"])
    assert squad_f1("city of Lyon", ["Paris", "Lyon"]) == pytest.approx(0.5)


def rows(texts: list[str], answers: list[str]) -> dict[str, dict]:
    """Metric → its row of the table, for these texts."""
    items = [
        score.Item((SkillRow(f"Q{i}?", a, False, None, i, "", answers=(a,)),))
        for i, a in enumerate(answers)
    ]
    place = {"split": "test", "epoch": 0, "knowledge": "", "tokens": 1, "ended": True}
    said = [place | {"item": i, "text": t, "confidence": None} for i, t in enumerate(texts)]
    settings = EvalConfig(name="qa", bootstrap=200)
    right, ends = metrics.scorer("qa", {}), {"best": 0, "last": 0}
    tests = [TestSplit(name="test", subset="s", split="test")]
    made = score.table(said, {"test": items}, tests, settings, right, ends, {})
    return {row["metric"]: row for row in made["scores"]}


def test_f1_is_the_harmonic_mean_of_both_accuracies():
    found = rows(["Lyon", "Oslo", "Rome", "I don't know", "Bern"], ["Lyon", "Oslo", "X", "Y", "Z"])
    assert (found["right"]["value"], found["wrong"]["value"]) == (40.0, 40.0)
    assert found["not_attempted"]["value"] == 20.0
    overall, attempted = 40.0, found["right_of_attempted"]["value"]
    assert attempted == 50.0
    assert found["simpleqa_f1"]["value"] == pytest.approx(
        2 * overall * attempted / (overall + attempted)
    )
    for name in ("right_of_attempted", "simpleqa_f1"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]


def test_where_nothing_is_attempted_there_is_no_share_of_it():
    found = rows(["I don't know"] * 3, ["Lyon"] * 3)
    assert "right_of_attempted" not in found and found["simpleqa_f1"]["value"] == 0.0
    assert found["not_attempted"]["value"] == 100.0
