"""The real command line on a world of a few entities: every stage, twice, and what it leaves."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests import browser

METHODS = ["sft_known", "sft", "sft_fictitious", "prereq_tune", "prereq_fictitious", "prereq_plain"]
COLUMNS = (
    "dataset model base method changes knowledge seed split metric unit value low high n artifact"
)


@pytest.fixture(scope="module")
def made(run_cli, small_world, tmp_path_factory) -> Path:
    """The output folder of `python -m prereq` in a small world: all methods, and the report."""
    folder = tmp_path_factory.mktemp("run")
    result = run_cli(*small_world, "experiment.shows=table2", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "prereq_tune" in result.stdout and "held out" in result.stdout
    assert "Table 2: knowledge plugged in" in result.stdout
    return folder / "outputs"


def scores(outputs: Path) -> list[dict]:
    with open(outputs / "report" / "scores.csv", newline="") as stream:
        reader = csv.DictReader(stream)
        assert reader.fieldnames == COLUMNS.split()
        return list(reader)


def manifests(outputs: Path, kind: str) -> list[dict]:
    return [json.loads(f.read_text()) for f in outputs.glob(f"*/**/{kind}/*/manifest.json")]


def test_the_pipeline_scores_every_method(made):
    rows = scores(made)
    assert {row["method"] for row in rows} == set(METHODS)
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        for split in ("held_out", "held_out_last", "memorised", "unknown", "validation"):
            (row,) = [r for r in mine if (r["split"], r["metric"]) == (split, "accuracy")]
            assert 0 <= float(row["low"]) <= float(row["value"]) <= float(row["high"]) <= 100
            assert int(row["n"]) in (4, 6) and row["knowledge"] == ""
        plugs = {r["knowledge"] for r in mine if r["split"] == "plug_in"}
        with_knowledge = method.startswith("prereq")
        assert plugs == ({"", "fictitious_v0", "fictitious_v1"} if with_knowledge else {""})
        assert {r["metric"] for r in mine if r["split"] == "plug_in"} == {"own", "other"}
    assert (made / "report" / "accuracy.png").read_bytes()[:4] == b"\x89PNG"


def test_the_report_compares_the_methods_on_the_same_rows(made):
    with open(made / "report" / "comparisons.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "held_out"]
    assert len(rows) == len(METHODS) * (len(METHODS) - 1) / 2  # every pair, one seed
    for row in rows:
        assert float(row["low"]) <= float(row["difference"]) <= float(row["high"])
        assert row["n"] == "6" and 0 < float(row["p"]) <= float(row["p_holm"]) <= 1
    with open(made / "report" / "answers.csv", newline="") as stream:
        answers = [row for row in csv.DictReader(stream) if row["split"] == "held_out"]
    assert len(answers) == 6 and all(row["question"] and row["accepted"] for row in answers)
    scored = {(row["method"], row["split"], row["metric"]): row for row in scores(made)}
    for method in METHODS:
        right = [100 * float(row[f"{method}: right"]) for row in answers]
        mean = float(scored[method, "held_out", "accuracy"]["value"])
        assert sum(right) / len(right) == pytest.approx(mean, abs=0.01)
    assert (made / "report" / "tables.tex").read_text().count("prereq\\_tune") >= 2


@pytest.mark.skipif(browser.FOUND is None, reason="needs Chromium: apt-get install chromium")
def test_the_page_of_the_report_opens_in_a_browser(made):
    """No script error, missing picture or sideways scroll: wide and narrow, light, dark, printed."""
    page = made / "report" / "index.html"
    assert page.stat().st_size < 1_000_000
    choose = """(() => {
        const form = document.querySelector("form");
        form.elements.who.value = "sft";
        form.elements.split.value = "held_out";
        form.dispatchEvent(new Event("input"));
        return [form.hidden, document.querySelectorAll(".example:not([hidden])").length,
                form.querySelector("output").value, document.querySelectorAll("h3").length,
                [...document.querySelectorAll(".published tbody tr")].map((e) => e.innerText)];
    })()"""
    found = {}
    with browser.chromium() as chromium:
        for width, dark in ((1280, False), (390, True)):
            seen = found[width] = browser.seen(chromium, page, width, dark, run=choose)
            assert seen["errors"] == [] and not seen["sideways"] and seen["wide"] == []
            assert seen["missing"] == 0 and len(seen["pictures"]) >= 2 * len(METHODS)
            for wide, high, paths, description in seen["pictures"]:
                assert wide > 150 and high > 90 and paths > 3 and description
            hidden, shown, told, sections, beside = seen["ran"]
            assert any("prereq_tune + fictitious_v0" in x and "94.83" in x for x in beside), beside
            assert not hidden and shown == 6 and told == "6 of 24" and sections >= 6
        paper = browser.seen(chromium, page, 700, dark=True, media="print")  # A4 without margins
    assert not paper["sideways"] and paper["background"] == "rgb(255, 255, 255)"
    assert found[390]["background"] != found[1280]["background"]
    assert found[390]["accent"] != found[1280]["accent"]  # pictures follow the page


def test_every_artifact_says_what_it_is(made):
    found = {
        kind: manifests(made, kind) for kind in ("data", "base", "knowledge", "skill", "scores")
    }
    assert {k: len(v) for k, v in found.items()} == {
        "data": 1,
        "base": 1,
        "knowledge": 3,
        "skill": 6,
        "scores": 6,
    }
    for manifest in found["skill"]:
        assert manifest["packages"]["peft"] and manifest["labels"]["seed"] == 1
        assert manifest["summary"]["steps"] > 0
        assert "adapter_model.safetensors" in manifest["files"]
    tune = next(m for m in found["skill"] if m["name"] == "prereq_tune")
    beside = {knowledge["adapter"] for knowledge in tune["content"]["knowledge"]}
    assert {m["key"] for m in found["knowledge"]} == beside
    lines = next(made.glob("world/tiny/skill/prereq_tune-*/metrics.jsonl")).read_text().splitlines()
    assert len(lines) == tune["summary"]["steps"]
    assert {"loss", "loss/fictitious", "loss/real", "grad_norm", "learning_rate"} <= set(
        json.loads(lines[-1])
    )


def test_a_second_run_finds_everything(run_cli, small_world, made):
    result = run_cli(*small_world, cwd=made.parent)
    assert result.returncode == 0, result.stderr
    lines = [line.split()[0] for line in result.stderr.splitlines() if line.strip()]
    assert "found" in lines and set(lines) <= {"loading", "found", "wrote"}


def test_a_dry_run_tells_what_is_there_and_what_it_would_cost(run_cli, small_world, made, tmp_path):
    found = run_cli(*small_world, "stage.dry_run=true", cwd=made.parent)
    lines = [
        line.split() for line in found.stdout.splitlines() if " scores-" in line or "found" in line
    ]
    assert found.returncode == 0 and lines and all("found" in line for line in lines), found.stderr
    place = tmp_path / "elsewhere"
    place.mkdir()
    counted = run_cli(*small_world, "stage.dry_run=true", cwd=place)
    assert counted.returncode == 0, counted.stderr
    assert [p.name for p in place.rglob("*") if p.is_file()] == []
    lines = {line.split()[1]: line for line in counted.stdout.splitlines() if "to make " in line}
    for kind in ("base", "knowledge", "skill"):
        for manifest in manifests(made, kind):
            told = lines[f"{manifest['name']}-{manifest['key']}"].split()
            summary = manifest["summary"]
            assert told[-2:] == [f"{summary['steps']:,}", f"{summary['tokens']:,}"], kind
    (asked,) = (line for name, line in lines.items() if line.startswith("generations prereq_tune"))
    lines = (
        next(made.glob("world/tiny/generations/prereq_tune-*")) / "generations.jsonl"
    ).read_text()
    first = json.loads(lines.splitlines()[0])
    assert first["facts"] and all(
        value in text
        for text, facts in zip(first["expected"], first["facts"], strict=True)
        for value in facts.values()
    )
    # The best epoch may be the last one, which is then asked once instead of twice.
    assert int(asked.split()[-2].replace(",", "")) >= lines.count("\n")


def test_other_libraries_read_what_was_made(made):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = next(made.glob("world/tiny/base/*"))
    skill = next(made.glob("world/tiny/skill/prereq_tune-*"))
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), skill)
    assert Path(model.peft_config["default"].base_model_name_or_path) == base
    tokenizer = AutoTokenizer.from_pretrained(base)
    ids = tokenizer("Question: Generate a biography for Ada Moss.\nAnswer:", return_tensors="pt")
    assert torch.isfinite(model(input_ids=ids["input_ids"]).logits).all()


def test_require_names_what_is_missing_and_the_command(run_cli, small_world, made):
    result = run_cli(
        *small_world,
        "stage=sft",
        "stage.prerequisites=require",
        "adapter.knowledge.r=8",
        cwd=made.parent,
    )
    assert result.returncode == 2
    assert "python -m prereq stage=cpt dataset=world knowledge=[real]" in result.stderr
    assert "Traceback" not in result.stderr


def test_one_named_source_and_a_foreign_skill_adapter(run_cli, small_world, made, tmp_path):
    result = run_cli(
        *small_world, "stage=cpt", "knowledge=[fictitious_v1]", "stage.epochs=2", cwd=made.parent
    )
    assert result.returncode == 0, result.stderr
    assert "fictitious_v1" in result.stderr and "fictitious_v0" not in result.stderr
    assert len(manifests(made, "knowledge")) == 4
    foreign = shutil.copytree(next(made.glob("world/tiny/skill/sft-*")), tmp_path / "foreign")
    (foreign / "manifest.json").unlink()
    result = run_cli(*small_world, "stage=eval", f"skill={foreign}", cwd=made.parent)
    assert result.returncode == 0, result.stderr
    assert "held_out" in result.stdout
