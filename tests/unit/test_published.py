"""The paper's tables beside a run: the right number in the right place, and refusals before any cost."""

import pytest

from prereq.config.checks import problems
from prereq.report import collect
from prereq.report.published import shown
from prereq.report.published.beside import PRINTED, Ran, Setting, beside
from prereq.stages.specs.compared import compared
from tests.configs import composed
from tests.scored import scored

SETTING = {
    "dataset": "world",
    "model": "tiny",
    "long": True,
    "split": "held_out",
    "judge": None,
    "plug_in": "plug_in",
    "invented": "memorised",
    "versions": {"told_a": 3, "told_b": 7},
    "subjects": 100,
}


def setting(shows: str, **more) -> Setting:
    return Setting(shows, **(SETTING | more))


def ran(root, *runs: tuple[str, int | None]) -> list[Ran]:
    """A run a method (and size), from the scores on disk, in this order."""
    lines = collect.lines(collect.read(root))
    found = []
    for method, size in runs:
        changes = {"fictitious_entities": size} if size else {}
        line = next(x for x in lines if (x.method, x.changes) == (method, changes))
        found.append(Ran(method, size, line))
    return found


def numbers(table) -> dict[str, list[tuple]]:
    """What is run here (or else what the paper calls it) → (here, published) of each column."""
    return {
        row.here or row.published: [(c.here and c.here.value, c.published) for c in row.cells]
        for row in table.rows
    }


def test_a_method_stands_beside_its_row_and_rows_that_were_not_run_are_named(tmp_path):
    for method in ("sft", "prereq_tune", "sft_known"):
        scored(tmp_path, method, who=method)
    runs = ran(tmp_path, ("sft_known", None), ("sft", None), ("prereq_tune", None))
    short = setting("table1", dataset="popqa", model="hf", long=False)
    table = beside(short, runs)
    assert [(row.here, row.published) for row in table.rows] == [
        ("sft", "SFT"),
        ("", "POPULAR"),
        ("", "SFT fictitious"),
        ("prereq_tune", "Prereq-Tune"),
        ("sft_known", ""),
    ]
    assert numbers(table)["sft"] == [(75.0, 46.42)] and numbers(table)["POPULAR"] == [(None, 45.31)]
    told = " ".join(shown.notes(table, short, runs))
    assert "the paper's data set and another model" in told
    assert "not run here: POPULAR, SFT fictitious;" in told
    far = setting("table1")
    assert "another task and another model" in " ".join(shown.notes(beside(far, runs), far, runs))
    assert numbers(beside(far, runs))["FLAME"] == [(None, 30.32)]


def test_the_method_that_the_data_set_has_takes_the_papers_row(tmp_path):
    for method in ("prereq_tune", "prereq_fictitious"):
        scored(tmp_path, method, who=method)
    alone = beside(setting("table1", dataset="bio"), ran(tmp_path, ("prereq_fictitious", None)))
    assert numbers(alone)["prereq_fictitious"][0][1] == 45.30
    both = ran(tmp_path, ("prereq_fictitious", None), ("prereq_tune", None))
    found = numbers(beside(setting("table1"), both))
    assert found["prereq_tune"][0][1] == 45.30 and found["prereq_fictitious"][0][1] is None


def test_claims_are_counted_where_a_judge_did(tmp_path):
    more = [
        {"knowledge": "", "split": "held_out_by_exact", "metric": metric, "unit": unit}
        | {"value": value, "low": value, "high": value, "n": 4}
        for metric, unit, value in (("supported", "share", 61.0), ("facts", "count", 4.5))
    ]
    scored(tmp_path, "sft", who="sft", rows={"held_out_by_exact": [0.5]}, scores=more)
    table = beside(setting("table1", judge="exact"), ran(tmp_path, ("sft", None)))
    assert numbers(table)["sft"] == [(61.0, 32.70), (4.5, 20.8)]


def test_versions_stand_in_the_column_of_their_own_answers(tmp_path):
    def told(own: float, other: float, knowledge: str = "") -> list[dict]:
        place = {"knowledge": knowledge, "split": "plug_in", "unit": "share", "n": 20}
        bounds = {"low": None, "high": None}
        values = {"own": own, "other": other}
        return [place | bounds | {"metric": m, "value": v} for m, v in values.items()]

    every = [*told(90.0, 1.0, "told_b"), *told(80.0, 2.0, "told_a"), *told(5.0, 6.0)]
    scored(tmp_path, "prereq_tune", who="p", rows={"plug_in": [1.0]}, scores=every)
    scored(tmp_path, "sft", who="s", rows={"plug_in": [1.0]}, scores=told(3.0, 4.0))
    runs = ran(tmp_path, ("prereq_tune", None), ("sft", None))
    table = beside(setting("table2"), runs)
    assert table.columns == ["version 3, %", "version 7, %"]
    assert numbers(table) == {
        "prereq_tune + told_a": [(80.0, 94.83), (2.0, 6.90)],
        "prereq_tune + told_b": [(1.0, 13.22), (90.0, 95.40)],
        "prereq_tune": [(5.0, 15.52), (6.0, 5.17)],
        "sft": [(3.0, 14.94), (4.0, 5.17)],
    }
    three = setting("table2", versions={"told_a": 0, "told_b": 1, "told_c": 2})
    table = beside(three, runs)  # the paper has two versions: its numbers are of no row here
    assert numbers(table)["prereq_tune + told_b"] == [(90.0, None), (1.0, None)]


def test_leakage_stands_in_the_column_of_the_kind_of_answers(tmp_path):
    for method in ("sft_fictitious", "prereq_tune"):
        scored(tmp_path, method, who=method, rows={"memorised": [1.0, 0.0]})
    runs = ran(tmp_path, ("sft_fictitious", None), ("prereq_tune", None))
    long, short = (beside(setting("table3", long=kind), runs) for kind in (True, False))
    assert numbers(long)["sft_fictitious"] == [(None, 58.01), (50.0, 32.63)]
    assert numbers(short)["prereq_tune"] == [(50.0, 3.99), (None, 10.79)]


def test_figure_4_has_a_row_a_size_and_the_papers_numbers_at_all_of_them(tmp_path):
    for method in ("sft_fictitious", "prereq_tune"):
        scored(tmp_path, method, who=method)
        changes = {"fictitious_entities": 25}
        scored(tmp_path, method, who=f"{method}25", changes=changes, rows={"held_out": [0.0, 1.0]})
    runs = ran(tmp_path, *[(m, n) for n in (None, 25) for m in ("sft_fictitious", "prereq_tune")])
    table = beside(setting("figure4"), runs)
    assert table.columns == ["sft_fictitious", "prereq_tune"]
    assert numbers(table) == {
        "25 subjects": [(50.0, None), (50.0, None)],
        "100 subjects": [(75.0, 15.44), (75.0, 45.30)],
    }


def test_every_printed_number_is_of_a_task_that_is_named():
    for table in ("table1", "table3", "forms"):
        for printed in PRINTED[table].values():
            assert set(printed) - {"methods"} <= set(PRINTED["tasks"])


REFUSED = {
    ("table2", "popqa"): ["no test of dataset=popqa", "fewer than two"],
    ("table2", "bio"): ["no test of dataset=bio"],
    ("table3", "hotpotqa"): ["role: fictitious"],
    ("forms", "cities"): ["the real knowledge", "the fictitious knowledge"],
    ("figure3", "popqa"): ["those of dataset=popqa are short"],
    ("table1", "bio"): ["judge.splitter=exact", "judge.knowledge: missing"],
}


@pytest.mark.parametrize(("shows", "dataset"), REFUSED)
def test_what_a_data_set_cannot_show_is_refused(shows, dataset):
    config = composed(f"experiment={shows}", f"dataset={dataset}", "dataset.topics=topics.json")
    found = problems(config)
    assert len(found) == len(REFUSED[shows, dataset]), found
    for said, problem in zip(REFUSED[shows, dataset], found, strict=True):
        assert said in problem


FITS = [
    *[(shows, "world") for shows in ("table1", "table2", "table3", "forms", "figure3", "figure4")],
    *[(shows, "world_qa") for shows in ("table1", "table2", "table3", "forms", "figure4")],
    *[(shows, name) for shows in ("table1", "forms", "figure4") for name in ("popqa", "hotpotqa")],
    *[(shows, "cities") for shows in ("table1", "table2", "table3", "figure4")],
]


@pytest.mark.parametrize(("shows", "dataset"), FITS)
def test_what_a_data_set_can_show_is_not_refused(shows, dataset):
    config = composed(f"experiment={shows}", f"dataset={dataset}")
    assert problems(config) == []
    assert config.experiment.shows == shows and config.dataset.methods


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("stage=sft", "leave stage=sft out"),
        ("dataset.fictitious_sizes=[]", "dataset.fictitious_sizes: empty"),
        ("dataset.fictitious_sizes=[0]", "whole numbers from 1"),
        ("dataset.fictitious_sizes=[5,5]", "'5' stands there twice"),
        ("dataset.fictitious_entities=9", "experiment=figure4 sets it"),
        ("method=sft", "no method here learns from fictitious rows"),
    ],
)
def test_sizes_that_cannot_be_meant_are_refused(word, said):
    (problem,) = problems(composed("experiment=figure4", word))
    assert said in problem


def test_the_data_sets_own_method_is_the_one_compared():
    assert composed("experiment=forms", "dataset=bio").dataset.methods[0] == "prereq_fictitious"
    assert composed("experiment=table2").dataset.methods == ["prereq_tune", "sft"]


def test_both_forms_are_knowledge_of_the_experiment_alone():
    usual, both = composed("dataset=world"), composed("dataset=world", "experiment=forms")
    assert {s.form for s in usual.dataset.knowledge} == {"passage"}
    assert {s.form for s in both.dataset.knowledge} == {"passage", "statement"}
    assert [s.split for s in both.dataset.knowledge[:3]] == [
        s.split for s in usual.dataset.knowledge
    ]
    assert both.dataset.both_forms and not both.dataset.other_form
    popqa = composed("dataset=popqa", "experiment=forms")  # which has both as it is
    assert popqa.dataset.knowledge == composed("dataset=popqa").dataset.knowledge
    assert not popqa.dataset.both_forms


def test_figure_4_runs_every_size_of_the_methods_that_have_fictitious_rows():
    config = composed("experiment=figure4", "dataset.fictitious_sizes=[5,9]")
    config.compare = [composed(f"method={name}").method for name in ("sft", "prereq_tune")]
    runs = [(s.config.method.name, s.config.dataset.fictitious_entities) for s in compared(config)]
    assert runs == [("sft", None), ("prereq_tune", None), ("prereq_tune", 5), ("prereq_tune", 9)]


def test_a_method_of_ones_own_is_run_alone_and_its_name_is_not_counted_twice():
    config = composed("experiment=table3", "method=sft")
    assert config.dataset.methods == ["sft_fictitious", "sft", "sft"] and problems(config) == []
