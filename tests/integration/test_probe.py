"""`stage=probe` on the command line, and the methods that go by what the base model knows."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.invariant.test_dealing import ended, start

QA = ["dataset=world_qa", "stage.processes=1", "probe.samples=3"]
METHODS = ["prereq_gated", "prereq_gated_soft", "sft_unit_cut", "sft_known_last", "flame"]
METHODS += ["sft_frozen", "sft_self_distill"]


def manifests(outputs: Path, kind: str) -> dict[str, dict]:
    found = outputs.glob(f"*/*/{kind}/*/manifest.json")
    return {one["name"]: one for one in (json.loads(file.read_text()) for file in found)}


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def made(run_cli, small_world, tmp_path_factory) -> Path:
    """A folder in which the small world has been probed, and every method here compared."""
    folder = tmp_path_factory.mktemp("probe")
    often = ["dataset.world.often=40", "dataset.world.seldom=40"]  # so that something is known
    words = [*QA, *small_world, *often, "probe.known_from=0.1"]
    result = run_cli(*words, "stage=probe", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "AUROC" in result.stderr
    methods = f"dataset.methods=[{','.join(METHODS)}]"
    result = run_cli(*words, methods, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    (folder / "words.json").write_text(json.dumps(words))
    return folder


def test_every_real_row_has_its_shares_and_a_category(made):
    (file,) = made.glob("outputs/world_qa/tiny/probe/train-*/probe.jsonl")
    (data,) = made.glob("outputs/world_qa/data/*/skill/train.jsonl")
    rows, values = lines(data), json.loads((data.parents[1] / "values.json").read_text())
    found = lines(file)
    assert [line["row"] for line in found] == [n for n, row in enumerate(rows) if not row["fake"]]
    for line in found:
        row = rows[line["row"]]
        assert line["question"] == row["messages"][0]["content"]
        assert line["known"] == bool(row["known"])
        counts = {how: sum(line["answers"][how].values()) for how in ("greedy", "sampled")}
        assert counts == {"greedy": 6, "sampled": 18}
        ((relation, right),) = row["facts"].items()
        for how, count in counts.items():
            right_ones = 0
            for text, times in line["answers"][how].items():
                told = [word for word in re.findall(r"\w+", text) if word in values[relation]]
                right_ones += times * (told[:1] == [right])
            assert line[how] == pytest.approx(right_ones / count, abs=1e-6)
    summary = manifests(made / "outputs", "probe")["train"]["summary"]
    assert summary["rows"] == len(found) and 0.5 < summary["auroc"] <= 1
    logged = json.loads((file.parent / "metrics.jsonl").read_text())
    assert logged["auroc"] == pytest.approx(summary["auroc"], abs=1e-6)
    assert {"train", "validation", "held_out", "unknown", "unseen"} == set(
        manifests(made / "outputs", "probe")
    )


def test_a_stopped_probe_goes_on_and_says_the_same(made, run_cli, tmp_path):
    shutil.copytree(made / "outputs", tmp_path / "outputs")
    (folder,) = tmp_path.glob("outputs/world_qa/tiny/probe/train-*")
    whole = (folder / "probe.jsonl").read_text("utf-8")
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(folder)
    scratch.mkdir()
    kept = whole.splitlines(keepends=True)[:7]
    (scratch / "checkpoint.jsonl").write_text("".join(kept) + '{"row": 7, "gre', "utf-8")
    words = json.loads((made / "words.json").read_text())
    result = run_cli(*words, "stage=probe", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (folder / "probe.jsonl").read_text("utf-8") == whole
    assert not scratch.exists() and not (folder / "checkpoint.jsonl").exists()


def probe_files(folder: Path) -> dict[str, bytes]:
    found = folder.glob("outputs/world_qa/tiny/probe/*/probe.jsonl")
    return {file.parent.name: file.read_bytes() for file in found}


@pytest.mark.parametrize("how", ["workers", pytest.param("ranks", marks=pytest.mark.slow)])
def test_several_processes_find_what_one_finds(made, run_cli, tmp_path, how):
    """Splits side by side (stage.processes), or the rows of each dealt out to the processes of a job."""
    shutil.copytree(made / "outputs", tmp_path / "outputs")
    shutil.rmtree(tmp_path / "outputs" / "world_qa" / "tiny" / "probe")
    words = [*json.loads((made / "words.json").read_text()), "stage=probe"]
    if how == "workers":
        words[words.index("stage.processes=1")] = "stage.processes=2"
        result = run_cli(*words, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert result.stderr.count(" made  probe") == 5
        assert result.stderr.count("using  tiny") == 1  # said once, whoever loads it
    else:
        said = ended(start(2, "prereq", *words, cwd=tmp_path))
        assert [code for code, *_ in said] == [0, 0], said
    assert len(probe_files(made)) == 5 and probe_files(tmp_path) == probe_files(made)


def test_methods_learn_from_the_rows_that_they_name(made):
    skills = manifests(made / "outputs", "skill")
    assert set(skills) == set(METHODS)
    (file,) = made.glob("outputs/world_qa/tiny/probe/train-*/probe.jsonl")
    asked = lines(file)
    sure = sum(line["sampled"] >= 0.1 for line in asked)
    assert 0 < sure < len(asked)
    summaries = {name: one["summary"] for name, one in skills.items()}
    assert summaries["sft_unit_cut"]["subjects"] == sure
    assert summaries["sft_frozen"]["subjects"] == summaries["flame"]["subjects"] == len(asked)
    assert summaries["prereq_gated"]["known"] == sum(line["known"] for line in asked)
    probed = {name for name, one in skills.items() if "probe" in one["content"]["rows"]}
    assert probed == {"prereq_gated_soft", "sft_unit_cut", "flame", "sft_self_distill"}


def test_the_report_tells_accuracy_by_what_the_base_knew(made):
    with open(made / "outputs" / "report" / "scores.csv", newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["split"].startswith("held_out/familiarity=")]
    (file,) = made.glob("outputs/world_qa/tiny/probe/held_out-*/probe.jsonl")
    known = {line["row"]: line["category"] for line in lines(file)}
    scores = manifests(made / "outputs", "scores")
    for method in METHODS:
        (answers,) = made.glob(f"outputs/world_qa/tiny/scores/{method}-*/answers.jsonl")
        mine = [
            line
            for line in lines(answers)
            if (line["split"], line["epoch"]) == ("held_out", scores[method]["epochs"]["best"])
        ]
        right: dict[str, list[float]] = {}
        for line in mine:
            right.setdefault(known[line["item"]], []).append(line["right"])
        found = {
            row["split"].removeprefix("held_out/familiarity="): (float(row["value"]), int(row["n"]))
            for row in rows
            if row["method"] == method
        }
        assert len(mine) == 30 and found == {
            category: (pytest.approx(100 * sum(values) / len(values), abs=1e-3), len(values))
            for category, values in right.items()
        }
        assert len(found) > 1


def test_frozen_modules_have_no_adapter(made):
    (folder,) = made.glob("outputs/world_qa/tiny/skill/sft_frozen-*")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert set(config["target_modules"]) == {"q_proj", "k_proj", "v_proj", "o_proj"}


def test_the_gate_tells_its_losses_apart(made):
    (soft,) = made.glob("outputs/world_qa/tiny/skill/prereq_gated_soft-*/metrics.jsonl")
    first = lines(soft)[0]
    assert {"loss/known", "loss/real", "loss/fictitious"} <= set(first)
    assert "loss/plain" not in first


def test_questions_of_the_published_layout_are_asked_after_examples(place, run_cli, tmp_path):
    """What the base knows is asked by itself, since these rows do not say."""
    words = ["dataset=popqa", f"dataset.path={place / 'data'}", "model=hf", "model.dtype=float32"]
    words += [f"model.path={place / 'llama'}", "probe.exemplars=2", "probe.prompts=2"]
    words += ["probe.samples=2", "probe.max_new_tokens=4"]
    dry = run_cli(*words, "stage=probe", "stage.dry_run=true", cwd=tmp_path)
    assert "to make" in dry.stdout and "36" in dry.stdout, dry.stdout + dry.stderr
    result = run_cli(*words, "stage=sft", "method=sft_known", cwd=tmp_path)
    assert result.returncode == 2
    assert "has no rows for it" in result.stdout + result.stderr  # a random model knows nothing
    (file,) = tmp_path.glob("outputs/popqa/hf/probe/train-*/probe.jsonl")
    assert {line["category"] for line in lines(file)} == {"unknown"}
    assert all(sum(line["answers"]["sampled"].values()) == 4 for line in lines(file))


@pytest.mark.slow
def test_biographies_are_asked_fact_by_fact(run_cli, small_world, tmp_path):
    result = run_cli(*small_world, "stage=probe", "probe.samples=2", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    (file,) = tmp_path.glob("outputs/world/tiny/probe/train-*/probe.jsonl")
    for line in lines(file):
        assert "answers" not in line and (line["greedy"] * 30) % 1 == pytest.approx(0, abs=1e-3)
