"""`experiment=…` by the command line: its table beside the published one, as text, CSV and picture."""

import csv
from pathlib import Path

import pytest

METHODS = "dataset.methods=[sft_fictitious,prereq_tune]"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("experiments") / "outputs"


@pytest.fixture(scope="module")
def grown(run_cli, small_world, outputs):
    """Figure 4 at two sizes: the first experiment made, whose artifacts the others find."""
    result = run_cli(
        "experiment=figure4", "dataset.fictitious_sizes=[2]", *small_world, cwd=outputs.parent
    )
    assert result.returncode == 0, result.stderr
    return result


def rows(outputs: Path, name: str) -> list[dict]:
    name = name if name == "scores" else f"{name}-world-tiny"
    with open(outputs / "report" / f"{name}.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_figure_4_trains_on_each_size_and_draws_it(grown, outputs):
    found = rows(outputs, "figure4")
    places = {(row["here"], row["column"]) for row in found}
    methods = ("sft_fictitious", "prereq_tune")
    assert places == {(f"{n} subjects", m) for n in (2, 6) for m in methods}
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in found)
    assert [float(row["published"]) for row in found if row["published"]] == [15.44, 45.3]
    assert "Figure 4" in grown.stdout and "another task and another model" in grown.stdout
    assert (outputs / "report" / "figure4-world-tiny.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (outputs / "report" / "figure4-world-tiny.svg").read_text()
    told = [row["changes"] for row in rows(outputs, "scores")]
    assert any("fictitious_entities=2" in changes for changes in told)
    assert not all("fictitious_entities" in changes for changes in told)  # of all: as the recipe is


def test_table_2_finds_what_figure_4_made(run_cli, small_world, grown, outputs):
    result = run_cli("experiment=table2", *small_world, cwd=outputs.parent)
    assert result.returncode == 0, result.stderr
    made = [
        line.split()[1:3] for line in result.stderr.splitlines() if line.startswith("     made")
    ]
    assert made == [[kind, "world/tiny"] for kind in ("skill", "generations", "scores")]  # of sft
    found = {(row["row"], row["column"]): row for row in rows(outputs, "table2")}
    plugged = found["base + K₂ + S", "version 1, %"]
    assert plugged["here"] == "prereq_tune + fictitious_v1" and plugged["published"] == "95.4000"
    assert plugged["of"] == "fictitious questions" and plugged["rows"] == "4"
    scores = [row for row in rows(outputs, "scores") if row["knowledge"] == "fictitious_v1"]
    scores = [row for row in scores if "fictitious_entities" not in row["changes"]]
    (own,) = [row for row in scores if row["metric"] == "own"]
    assert plugged["value"] == own["value"]


def test_figure_3_has_the_claims_judged(run_cli, small_world, grown, outputs):
    result = run_cli("experiment=figure3", METHODS, *small_world, cwd=outputs.parent)
    assert result.returncode == 0, result.stderr
    found = rows(outputs, "figure3")
    assert {row["column"] for row in found} == {"supported, %", "claims"}
    (claims,) = [row for row in found if (row["here"], row["column"]) == ("prereq_tune", "claims")]
    assert claims["published"] == "16.0000" and 0 <= float(claims["value"]) <= 5
    assert "judged by exact" in result.stdout and "not run here: SFT, POPULAR" in result.stdout
    assert (outputs / "report" / "figure3-world-tiny.png").exists()


@pytest.mark.slow
def test_forms_trains_knowledge_of_both(run_cli, small_world, grown, outputs):
    result = run_cli("experiment=forms", *small_world, cwd=outputs.parent)
    assert result.returncode == 0, result.stderr
    found = {row["row"]: row for row in rows(outputs, "forms")}
    assert [found[form]["published"] for form in ("both", "statements", "passages")] == [
        "45.3000",
        "38.7500",
        "39.7500",
    ]
    assert all(row["value"] for row in found.values())
    assert len(list(outputs.glob("world/tiny/knowledge/*/manifest.json"))) == 6
    assert any("both_forms=true" in row["changes"] for row in rows(outputs, "scores"))


def test_sizes_that_the_data_has_not_are_refused_before_anything_is_trained(
    run_cli, small_world, tmp_path
):
    words = ["experiment=figure4", "dataset.fictitious_sizes=[7]", *small_world]
    result = run_cli(*words, cwd=tmp_path)
    assert result.returncode == 2 and "fictitious_sizes=7: there are 6" in result.stderr
    assert not list(tmp_path.glob("**/*.safetensors"))


def test_a_dry_run_counts_every_size_on_the_published_layout(run_cli, place):
    words = ["dataset=popqa", f"dataset.path={place / 'data'}", "model=hf", "output_dir=dry"]
    words += [f"model.path={place / 'llama'}", "model.dtype=float32", "stage.dry_run=true"]
    result = run_cli("experiment=figure4", "dataset.fictitious_sizes=[2,4]", *words, cwd=place)
    assert result.returncode == 0, result.stderr
    skills = [line.split() for line in result.stdout.splitlines() if line.startswith("skill ")]
    counted = [int(line[4]) for line in skills]  # subjects: six real rows and the fictitious ones
    assert counted == [12, 12, 8, 8, 10, 10]
