"""The report puts together what is one experiment, and nothing else."""

import csv
import json

import pytest

from prereq.report import collect, picture, tables
from tests.scored import compare, lines, scored


def test_seeds_of_one_experiment_are_a_line(tmp_path):
    for seed in (1, 2, 3):
        scored(tmp_path, seed=seed)
    (line,) = lines(tmp_path)
    assert sorted(line.runs) == [1, 2, 3] and line.name == "sft"
    assert [s.value for s in line.scores("held_out", "accuracy")] == [75.0] * 3


def test_settings_that_differ_make_lines_named_after_the_difference(tmp_path):
    scored(tmp_path, "prereq_tune", who="1", changes={"method.real_weight": 0.5})
    scored(tmp_path, "prereq_tune", who="2", changes={"method.real_weight": 1.0})
    scored(tmp_path, "prereq_tune", who="3")
    names = {line.name for line in lines(tmp_path)}
    assert names == {
        "prereq_tune",
        "prereq_tune (method.real_weight=0.5)",
        "prereq_tune (method.real_weight=1)",
    }


def test_what_differs_in_a_file_only_is_told_apart_and_what_all_share_is_said_once(tmp_path):
    scored(tmp_path, who="1", changes={"model.dtype": "float32"})
    scored(tmp_path, who="2", changes={"model.dtype": "float32"})
    found = lines(tmp_path)
    assert len({line.name for line in found}) == 2
    assert all(line.name.startswith("sft #") for line in found)


def test_another_split_evaluated_later_blanks_nothing(tmp_path, capsys):
    scored(tmp_path, rows={"held_out": [1.0, 0.0]})
    scored(tmp_path, rows={"mine": [1.0, 1.0]})
    (line,) = lines(tmp_path)
    assert [s.value for s in line.scores("held_out", "accuracy")] == [50.0]
    assert [s.value for s in line.scores("mine", "accuracy")] == [100.0]
    compare([line])
    shown = capsys.readouterr().out
    assert "held out" in shown and "mine" in shown


def test_rows_that_were_changed_between_seeds_are_not_averaged(tmp_path, capsys):
    scored(tmp_path, seed=1, splits={"mine": "old"})
    scored(tmp_path, seed=2, splits={"mine": "new"})
    (line,) = lines(tmp_path)
    assert [s.seed for s in line.scores("mine", "accuracy")] == [2]
    assert sorted(s.seed for s in line.scores("held_out", "accuracy")) == [1, 2]
    compare([line])
    assert "mine: seed 1 answered other rows of that name; not shown" in capsys.readouterr().out


def test_the_sentence_compares_like_with_like(tmp_path, capsys):
    """The best of a kind is chosen on the split that selects, and rows are counted once a seed."""
    better = {"held_out": [1.0] * 4, "validation": [1.0, 1.0]}
    worse = {"held_out": [0.0] * 4, "validation": [0.0, 1.0]}
    for seed in (1, 2):
        scored(tmp_path, "prereq_tune", seed, rows=better)
        scored(tmp_path, "sft", seed, rows=worse)
        # Better on the rows that are reported, and worse where the choice is made.
        scored(tmp_path, "sft_fictitious", seed, rows={**better, "validation": [0.0, 0.0]})
    compare(lines(tmp_path))
    shown = " ".join(capsys.readouterr().out.split())
    assert "prereq_tune answers 100.0 % right at its best epoch and sft 0.0 %" in shown
    assert "4 rows × 2 seeds" in shown and "chosen on validation" in shown


def test_other_base_models_are_not_compared(tmp_path, capsys):
    scored(tmp_path, "prereq_tune", base="one")
    scored(tmp_path, "sft", base="other")
    compare(lines(tmp_path))
    assert "→" not in capsys.readouterr().out


def test_dropped_rows_and_missing_seeds_stand_below_the_table(tmp_path, capsys):
    scored(tmp_path, "sft", dropped=31, cut=1)
    scored(tmp_path, "sft", seed=2)
    scored(tmp_path, "prereq_tune")
    compare(lines(tmp_path))
    shown = capsys.readouterr().out
    assert "sft: of its training rows longer than max_length 1 cut, 31 dropped" in shown
    assert "fewer than 2 seeds: prereq_tune (1)" in shown


def test_the_picture_names_what_it_leaves_out(tmp_path):
    for number in range(10):
        scored(tmp_path, who=str(number), changes={"skill.epochs": number} if number else {})
    drawn, left_out = picture.curves(lines(tmp_path), tmp_path / "accuracy.png")
    assert drawn.read_bytes()[:4] == b"\x89PNG"
    assert len(left_out) == 2 and all(n.startswith("world sft (skill.epochs=") for n in left_out)


def test_the_long_table_names_base_and_differences(tmp_path):
    scored(tmp_path, changes={"skill.epochs": 5})
    scores = [score for line in lines(tmp_path) for score in line.shown()]
    collect.write_csv(scores, collect.Score, tmp_path / "scores.csv")
    (row, *_) = csv.DictReader((tmp_path / "scores.csv").read_text().splitlines())
    assert row["base"] == "tiny" and row["changes"] == "skill.epochs=5" and row["method"] == "sft"


def test_scores_of_another_version_are_left_out_with_a_word(tmp_path, capsys):
    scored(tmp_path)
    (manifest,) = tmp_path.glob("world/tiny/scores/*/manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 1}))
    assert collect.read(tmp_path) == []


@pytest.mark.parametrize("columns", [80, 60])
def test_no_number_is_cut_in_a_narrow_terminal(tmp_path, monkeypatch, columns):
    from io import StringIO

    from rich.console import Console

    out = Console(file=StringIO(), width=columns, highlight=False)
    monkeypatch.setattr(tables, "out", out)
    rows = {f"split_{n}": [1.0, 0.0, 1.0] for n in range(9)}
    scored(tmp_path, "prereq_fictitious", rows=rows, roles=dict.fromkeys(rows))
    compare(lines(tmp_path))
    text = out.file.getvalue()
    assert text.count("66.7 ± 50.0") == 9 and max(map(len, text.splitlines())) <= columns


def test_a_line_has_the_colour_of_its_method_and_no_other_line_has_it(tmp_path):
    for number in range(3):
        scored(tmp_path, who=str(number), changes={"skill.epochs": number} if number else {})
    scored(tmp_path, "prereq_tune")
    found = picture.coloured(lines(tmp_path))
    assert len({colour for _, colour in found}) == len(found) == 4
    assert next(colour for line, colour in found if line.method == "sft") == "#D55E00"
