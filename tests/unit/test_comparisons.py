"""Methods compared row by row, and the files beside the table of scores."""

import csv
import re
from dataclasses import replace

import pytest

from prereq.evaluation.statistics import interval
from prereq.report import comparisons, picture, written
from prereq.report.estimates import estimate
from tests.scored import compare, lines, page, scored

BETTER = {"held_out": [1.0] * 9 + [0.0], "validation": [1.0, 1.0]}
WORSE = {"held_out": [0.0] * 8 + [1.0, 1.0], "validation": [0.0, 1.0]}
FACTS = {"held_out": [0.5, 0.25, 1.0], "validation": [1.0, 1.0]}
SAME = dict.fromkeys(BETTER, "the same questions")


def pair(root, first=BETTER, second=WORSE, seeds=(1,), **more) -> list[comparisons.Comparison]:
    for seed in seeds:
        scored(root, "prereq_tune", seed, rows=first, **more)
        scored(root, "sft", seed, rows=second, **more)
    one, other = sorted(lines(root), key=lambda line: line.name)
    return comparisons.compare(one, other, "held_out")


def test_one_seed_is_compared_by_its_rows(tmp_path):
    (found,) = pair(tmp_path)
    assert (found.first_value, found.second_value, found.n) == (90.0, 20.0, 10)
    assert found.difference == pytest.approx(70.0) and found.seed == "1"
    assert found.low < 70.0 < found.high
    assert (found.first_only, found.second_only) == (8, 1)
    assert found.p == found.mcnemar_p == pytest.approx(2 * (1 + 9) / 2**9)


def test_methods_that_answer_alike_may_still_differ_on_other_rows(tmp_path):
    (found,) = pair(tmp_path, second=BETTER)
    assert found.difference == 0 and found.p == found.mcnemar_p == 1.0
    # Wilson's bound of rows that differ: none of ten.
    assert (found.low, found.high) == pytest.approx((-27.75, 27.75), abs=0.01)


def test_several_seeds_have_a_row_together_and_one_each(tmp_path):
    together, *each = pair(tmp_path, seeds=(1, 2, 3))
    assert (together.seed, together.seeds, together.n) == ("", 3, 10)
    assert together.mcnemar_p is None  # it is of one pair of models
    assert [row.seed for row in each] == ["1", "2", "3"] and all(
        row.first_only == 8 for row in each
    )


def test_rows_that_all_seeds_answered_count_once(tmp_path):
    """Other questions in every seed tell more than the same questions three times."""
    apart = pair(tmp_path / "apart", seeds=(1, 2, 3))[0]
    same = pair(tmp_path / "same", seeds=(1, 2, 3), asked=SAME)[0]
    alone = pair(tmp_path / "alone")[0]
    assert apart.p < same.p == alone.p
    assert same.high - same.low > 1.3 * (apart.high - apart.low)
    assert (same.low, same.high) == pytest.approx(
        (alone.low, alone.high), abs=11
    )  # rows come in tenths


def test_other_questions_are_not_compared(tmp_path):
    scored(tmp_path, "prereq_tune", rows=BETTER, asked=dict.fromkeys(BETTER, "these"))
    scored(tmp_path, "sft", rows=WORSE, asked=dict.fromkeys(WORSE, "others"))
    assert comparisons.every(lines(tmp_path)) == []


def test_rows_that_are_partly_right_have_no_mcnemar(tmp_path):
    (found,) = pair(tmp_path, first=FACTS, second={**FACTS, "held_out": [0.0, 0.5, 1.0]})
    assert found.mcnemar_p is None and found.first_only is None and 0 < found.p <= 1


def test_scores_of_an_earlier_version_are_read(tmp_path):
    (found,) = pair(tmp_path, asked=None)
    assert found.difference == pytest.approx(70.0)


def test_every_pair_is_there_corrected_for_all_of_them(tmp_path):
    scored(tmp_path, "prereq_tune", rows=BETTER)
    scored(tmp_path, "sft", rows=WORSE)
    scored(tmp_path, "sft_fictitious", rows={**WORSE, "held_out": [0.0] * 10})
    found = [c for c in comparisons.every(lines(tmp_path)) if c.split == "held_out"]
    assert len(found) == 3
    smallest = min(found, key=lambda row: row.p)
    assert smallest.p_holm == pytest.approx(3 * smallest.p)
    assert all(row.p_holm >= row.p for row in found)


def test_a_pair_is_the_same_from_both_sides(tmp_path):
    """So the tables, whose reference may be either, have the numbers of comparisons.csv."""
    for seed in (1, 2):
        scored(tmp_path, "prereq_tune", seed, rows=BETTER)
        scored(tmp_path, "sft", seed, rows=WORSE)
    ours, plain = sorted(lines(tmp_path), key=lambda line: line.name)
    pairs = comparisons.every([ours, plain])
    one = comparisons.between(pairs, ours, plain, "held_out")
    other = comparisons.between(pairs, plain, ours, "held_out")
    assert one == comparisons.compare(ours, plain, "held_out") and len(one) == 3
    for mine, its in zip(one, other, strict=True):
        assert (its.first, its.second, its.p) == (mine.second, mine.first, mine.p)
        assert (its.difference, its.low, its.high) == (-mine.difference, -mine.high, -mine.low)
        assert (its.first_only, its.second_only) == (mine.second_only, mine.first_only)
    assert comparisons.between(pairs, ours, plain, "mine") == []


def test_the_interval_of_a_cell_is_over_seeds_and_rows(tmp_path):
    for seed, right in enumerate((2, 5, 8)):
        scored(tmp_path, seed=seed, rows={"held_out": [1.0] * right + [0.0] * (10 - right)})
    (line,) = lines(tmp_path)
    found = estimate(line, "held_out", "accuracy")
    rows = [1.0] * 15 + [0.0] * 15
    low, high = interval(rows, 2000)
    assert found.value == 50.0 and found.high - found.low > 1.2 * 100 * (high - low)
    assert estimate(line, "held_out", "squad_f1") is None


def test_scores_without_rows_are_put_together_by_their_own_intervals(tmp_path, capsys):
    for seed, value in enumerate((80.0, 90.0)):
        place = {"knowledge": "", "split": "held_out_against_mine", "metric": "confidence_auroc"}
        row = place | {"unit": "share", "value": value, "low": value - 1, "high": value + 1, "n": 9}
        scored(tmp_path, seed=seed, scores=[row])
    (line,) = lines(tmp_path)
    found = estimate(line, "held_out_against_mine", "confidence_auroc")
    assert found.value == 85.0 and found.high - found.low == pytest.approx(2 * 1.96 * 5, abs=0.01)
    compare([line])
    assert "85.0 ± 9.8" in capsys.readouterr().out


def test_the_best_is_never_chosen_on_the_reported_rows(tmp_path):
    scored(tmp_path, "sft", rows={"held_out": [0.0, 0.0], "validation": [1.0, 1.0]})
    scored(tmp_path, "sft_fictitious", rows={"held_out": [1.0, 1.0], "validation": [1.0, 0.0]})
    assert comparisons.best(lines(tmp_path), "plain").name == "sft"


def test_without_a_split_that_selects_no_method_is_the_best(tmp_path, capsys):
    scored(tmp_path, "sft", rows={"held_out": [1.0, 0.0]})
    scored(tmp_path, "prereq_tune", rows={"held_out": [1.0, 1.0]})
    found = lines(tmp_path)
    assert comparisons.best(found, "plain") is None
    compare(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert "no method is called the best; comparisons.csv has every pair" in shown
    assert "the best plain" not in shown and "best of its kind" not in shown
    assert len(comparisons.every(found)) == 1


def test_the_terminal_tells_differences_and_their_tests(tmp_path, capsys):
    pair(tmp_path, seeds=(1, 2))
    compare(lines(tmp_path))
    shown = " ".join(capsys.readouterr().out.split())
    assert "held out: difference from sft, the best plain method on validation" in shown
    assert "+70.0" in shown and ".0391 .0391" in shown and "10 rows × 2 seeds" in shown


def told(item: int, answer: str, grade: str, **more) -> dict:
    line = {"split": "held_out", "item": item, "question": f"Q{item}?", "expected": ["a", "b, c"]}
    return line | {"answer": answer, "right": float(grade == "right"), "grade": grade} | more


def test_answers_stand_side_by_side(tmp_path):
    mine = [told(0, "a", "right"), told(1, 'x, "y"\n=z', "wrong")]
    mine += [told(0, "last", "wrong", epoch=2), told(0, "plugged", "right", knowledge="v0")]
    scored(tmp_path, "prereq_tune", answers=mine)
    scored(tmp_path, "sft", answers=[told(0, "I don't know", "not attempted", epoch=2)])
    scored(tmp_path, "sft_known")
    found, lacking = written.answers_told(lines(tmp_path))
    written.answers(lines(tmp_path), found, tmp_path / "answers.csv")
    assert lacking == ["world sft_known"]
    with open(tmp_path / "answers.csv", newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["question"], first["accepted"]) == ("Q0?", "a | b, c")
    assert (first["prereq_tune"], first["prereq_tune: right"]) == ("a", "right")
    # Of a split that only the last epoch answered.
    assert (first["sft"], first["sft: right"]) == ("I don't know", "not attempted")
    assert second["prereq_tune"] == 'x, "y"\n=z' and second["sft"] == ""


def judged(root, method: str, shares: list[float | None], answered: list[float]) -> None:
    """Texts that only a judge can grade, and what one said of each; None: not answered, or unreadable."""
    texts = [{**told(item, f"text {item}", ""), "right": 1.0} for item in range(len(shares) + 1)]
    for text in texts:
        del text["grade"]
    scored(root, method, rows={"held_out": [5.0]}, metric="tokens", answers=texts)
    kept = {"split": "held_out_by_x", "knowledge": "", "metric": "answered"}
    scored(
        root,
        method,
        rows={"held_out_by_x": [share or 0.0 for share in shares]},
        metric="supported",
        out_of=[float(share is not None) for share in shares],
        by_row=[kept | {"values": answered, "out_of": None}],
        asked={"held_out_by_x": "topics"},
        content={"verdicts": "0123456789"},
    )


def test_judged_texts_are_compared_on_the_topics_that_both_answered(tmp_path):
    judged(tmp_path, "sft", [0.0, 0.5, None, 0.25], [1.0, 1.0, 0.0, 1.0])
    judged(tmp_path, "prereq_tune", [1.0, None, 1.0, 0.75], [1.0, 0.0, 1.0, 1.0])
    ours, plain = sorted(lines(tmp_path), key=lambda line: line.name)
    (found,) = comparisons.compare(ours, plain, "held_out_by_x", "supported")
    assert (found.n, found.first_value, found.second_value) == (2, 87.5, 12.5)
    assert found in [replace(row, p_holm=found.p) for row in comparisons.every([ours, plain])]


def test_a_text_has_the_grade_that_a_judge_gave(tmp_path):
    """Not that it is no empty text, which is all that `stage=eval` knows of it."""
    judged(tmp_path, "sft", [0.0, 0.5, None, None], [1.0, 1.0, 0.0, 1.0])
    found, lacking = written.answers_told(lines(tmp_path))
    assert lacking == []
    written.answers(lines(tmp_path), found, tmp_path / "answers.csv")
    rows = csv.DictReader((tmp_path / "answers.csv").read_text().splitlines())
    grades = [row["sft: right"] for row in rows]
    assert grades == ["0.0000", "0.5000", "not attempted", "not judged", "not judged"]
    text = page(tmp_path).read_text("utf-8")
    for sign in ("✗ 1 wrong", "◐ 1 partly right", "○ 1 not attempted", "– 1 not judged"):
        assert sign in text


def test_coverage_is_a_table(tmp_path):
    points = [{"split": "held_out", "coverage": 50, "accuracy": 100.0}]
    scored(tmp_path, coverage=points)
    written.coverage(lines(tmp_path), tmp_path / "coverage.csv")
    (row,) = csv.DictReader((tmp_path / "coverage.csv").read_text().splitlines())
    assert (row["split"], float(row["coverage"]), float(row["accuracy"])) == ("held_out", 50, 100)


def test_coverage_is_a_picture_where_confidence_is_known(tmp_path):
    file = tmp_path / "coverage.png"
    scored(tmp_path, "sft")
    assert picture.coverage(lines(tmp_path), file) is None and not file.exists()
    for seed, many in enumerate((4, 3), 1):  # seeds with other numbers of questions
        points = [
            {"split": "held_out", "coverage": 100 * n / many, "accuracy": 50.0 * seed}
            for n in range(1, many + 1)
        ]
        scored(tmp_path, "prereq_tune", seed, coverage=points)
    (line,) = (line for line in lines(tmp_path) if line.method == "prereq_tune")
    shares, means = picture.by_coverage(line)
    assert shares == [25.0, 50.0, 75.0, 100.0] and means == [75.0] * 4
    assert picture.coverage(lines(tmp_path), file).read_bytes()[:4] == b"\x89PNG"


def test_latex_escapes_what_it_must_and_has_as_many_cells_as_columns(tmp_path):
    assert written.escaped("50 % & a_b\\#{x}~^$ ± 1") == (
        r"50 \% \& a\_b\textbackslash{}\#\{x\}\textasciitilde{}\textasciicircum{}\$ $\pm$ 1"
    )
    scored(tmp_path, "prereq_tune", rows=BETTER, changes={"a": "50 % & more_"})
    scored(tmp_path, "sft", rows=WORSE)
    found = lines(tmp_path)
    written.latex(found, comparisons.every(found), tmp_path / "tables.tex")
    text = (tmp_path / "tables.tex").read_text()
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    for columns, body in re.findall(
        r"\\begin\{tabular\}\{(l[r]+)\}(.*?)\\end\{tabular\}", text, re.S
    ):
        rows = [row for row in body.splitlines() if row.endswith(r"\\")]
        assert len(rows) >= 2
        assert all(len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1 for row in rows)
    assert "prereq\\_tune (a=50 \\% \\& more\\_)" in text
