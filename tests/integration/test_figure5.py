"""`experiment=figure5`: how sure answers are by familiarity, from the command line to table and picture."""

import csv
import json

import pytest

SIZES = [
    "dataset.world.versions=2",
    "dataset.world.often=6",
    "dataset.world.seldom=4",
    "dataset.unsure.half_known=3",
    "dataset.unsure.half_told=2",
    "dataset.unsure.each=2",
    "dataset.unsure.familiarity=[0,2,6]",
    "dataset.unsure.doubted=10",
    "dataset.knowledge=[{name:'v{version}',subset:knowledge,split:'passage_train_v{version}',form:passage,"
    "fictitious:true,versions:[0,1]}]",
    "dataset.methods=[sft,prereq_fictitious]",
]


@pytest.fixture(scope="module")
def made(run_cli, small_world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure5")
    words = [
        "experiment=figure5",
        f"output_dir={folder}",
        "stage.processes=1",
        *small_world,
        *SIZES,
    ]
    return run_cli(*words), folder


def test_the_figure_is_a_table_and_a_picture(made):
    result, folder = made
    assert result.returncode == 0, result.stderr
    for method in ("sft", "prereq_fictitious"):
        assert (
            f"world_unsure · tiny_deep · {method}: answers of familiarity by familiarity"
            in result.stdout
        )
    assert "figure 5; Llama-3-8B" in result.stdout
    assert "held out: certain/" in result.stdout
    assert (folder / "report/certainty.png").read_bytes().startswith(b"\x89PNG")


def test_the_long_table_has_the_three_counts_of_every_familiarity(made):
    _, folder = made
    with (folder / "report/scores.csv").open(newline="") as file:
        scores = [row for row in csv.DictReader(file) if "familiarity/told=" in row["split"]]
    for method in ("sft", "prereq_fictitious"):
        for told in (0, 2, 6):
            mine = {
                row["metric"]: (float(row["value"]), int(row["n"]))
                for row in scores
                if row["method"] == method and row["split"] == f"familiarity/told={told}"
            }
            counts = [mine[name] for name in ("certain", "unsure", "unknown")]
            assert sum(value for value, _ in counts) == pytest.approx(100, abs=0.01)
            assert {n for _, n in counts} == {2 * 5}


def test_the_skill_learns_from_the_knowledge_of_each_version(made):
    _, folder = made
    (manifest,) = (folder / "world_unsure/tiny_deep/skill").glob(
        "prereq_fictitious-*/manifest.json"
    )
    summary = json.loads(manifest.read_text())["summary"]
    assert summary["subjects"] == 6 * 5  # a fact of a fictitious person, with a row in each version
    assert len(list((folder / "world_unsure/tiny_deep/knowledge").glob("v*"))) == 2
