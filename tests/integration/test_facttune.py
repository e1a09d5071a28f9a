"""`method=facttune` on the command line: pairs of the skill's own answers, and DPO on them."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("trl")

QA = ["dataset=world_qa", "method=facttune", "stage.processes=1", "method.dpo.epochs=2"]


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def words(small_world) -> list[str]:
    often = ["dataset.world.often=40", "dataset.world.seldom=40"]  # so that something is known
    return [*QA, *small_world, *often, "dataset.skill.training.epochs=6"]


@pytest.fixture(scope="module")
def made(run_cli, words, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("facttune")
    result = run_cli(*words, "stage=eval", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "rows gave none" in result.stderr and "held_out_last" in result.stdout
    return folder


def place(made: Path, kind: str, name: str = "facttune") -> Path:
    (folder,) = made.glob(f"outputs/world_qa/tiny/{kind}/{name}-*")
    return folder


def test_pairs_are_of_answers_that_the_data_finds_right_and_wrong(made):
    (data,) = made.glob("outputs/world_qa/data/*/skill/train.jsonl")
    rows = lines(data)
    told = {line["row"]: line for line in lines(place(made, "pairs") / "answers.jsonl")}
    assert list(told) == [number for number, row in enumerate(rows) if not row["fake"]]
    pairs = lines(place(made, "pairs") / "pairs.jsonl")
    for pair in pairs:
        row = rows[pair["row"]]
        (right,) = row["facts"].values()
        assert pair["prompt"] == f"Question: {row['messages'][0]['content']}\nAnswer:"
        assert right in pair["chosen"] and pair["scores"] == [1.0, 0.0]
        said = {answer["text"]: answer["score"] for answer in told[pair["row"]]["answers"]}
        assert (said[pair["chosen"]], said[pair["rejected"]]) == (1.0, 0.0)
    summary = json.loads((place(made, "pairs") / "manifest.json").read_text())["summary"]
    given = {pair["row"] for pair in pairs}
    assert summary["pairs"] == len(pairs) > 0
    assert summary["rows_without_a_pair"] == len(told) - len(given)
    for line in told.values():
        assert line["unfinished"] + sum(a["count"] for a in line["answers"]) == 8
        scores = {answer["score"] for answer in line["answers"]}
        assert (line["row"] in given) == (len(scores) > 1)


def test_the_skill_is_a_plain_folder_with_its_curves_and_epochs(made):
    from peft import LoraConfig
    from safetensors.torch import load_file

    skill, first = place(made, "skill"), place(made, "skill", "sft")
    assert sorted(f.name for f in (skill / "epochs").iterdir()) == ["001", "002"]
    assert not list(skill.glob("checkpoint*")) and not list(skill.glob("ref*"))
    assert LoraConfig.from_pretrained(skill).r == 16
    mine, before = (load_file(f / "adapter_model.safetensors") for f in (skill, first))
    assert mine.keys() == before.keys()
    logged = lines(skill / "metrics.jsonl")
    assert logged[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # it begins as its reference
    assert {"rewards/accuracies", "rewards/margins", "logps/chosen"} <= set(logged[-1])
    manifest = json.loads((skill / "manifest.json").read_text())
    assert manifest["summary"]["steps"] == len(logged)


def test_stopped_pairs_go_on_and_are_the_same(made, run_cli, words, tmp_path):
    shutil.copytree(made / "outputs", tmp_path / "outputs")
    folder = place(tmp_path, "pairs")
    whole = [(folder / name).read_text("utf-8") for name in ("answers.jsonl", "pairs.jsonl")]
    scratch = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(folder)
    shutil.rmtree(place(tmp_path, "skill"))
    scratch.mkdir()
    kept = whole[0].splitlines(keepends=True)[:5]
    (scratch / "checkpoint.jsonl").write_text("".join(kept) + '{"split": "sk', "utf-8")
    before = (place(made, "skill") / "adapter_model.safetensors").read_bytes()
    result = run_cli(*words, "stage=sft", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [(folder / n).read_text("utf-8") for n in ("answers.jsonl", "pairs.jsonl")] == whole
    assert (place(tmp_path, "skill") / "adapter_model.safetensors").read_bytes() == before


def test_answers_that_are_all_alike_are_refused_and_nothing_is_left(made, run_cli, words, tmp_path):
    shutil.copytree(made / "outputs", tmp_path / "outputs")
    cold = ["method.dpo.temperature=0.01", "method.dpo.epoch=last"]
    result = run_cli(*words, *cold, "stage=sft", cwd=tmp_path)
    assert result.returncode == 2
    assert "none has two answers of different scores" in " ".join(result.stderr.split())
    assert not list(tmp_path.glob("outputs/world_qa/tiny/pairs/.*.partial"))
