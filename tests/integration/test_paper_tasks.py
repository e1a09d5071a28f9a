"""The paper's four tasks from the command line, on their layout with a few rows and a tiny model."""

import json
import shutil
from pathlib import Path

import pytest

from prereq.runtime.files import read_lines
from tests import published
from tests.integration.test_command import manifests, scores

FAST = [
    "adapter.skill.r=4",
    "adapter.knowledge.r=4",
    "eval.max_new_tokens=6",
    "eval.bootstrap=20",
    "stage.epochs=1",
]


def task(place: Path, name: str, model: str = "llama") -> list[str]:
    overrides = [f"dataset={name}", f"dataset.path={place / 'data'}", "model=hf", *FAST]
    overrides += [f"model.path={place / model}", "model.dtype=float32"]
    if name in ("bio", "medical"):
        overrides.append(f"dataset.topics={place / 'data' / 'topics.json'}")
    return overrides


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("popqa", 8),
        pytest.param("bio", 10, marks=pytest.mark.slow),
        pytest.param("hotpotqa", 4, marks=pytest.mark.slow),
        pytest.param("medical", 10, marks=pytest.mark.slow),
    ],
)
def test_cpt_sft_eval(run_cli, place, name, sources):
    apart = [*task(place, name), "output_dir=apart"]  # other tests make their own of these tasks
    result = run_cli(*apart, "stage=cpt", cwd=place)
    assert result.returncode == 0, result.stderr
    outputs = place / "apart" / name
    assert len(list(outputs.glob("hf/knowledge/*/manifest.json"))) == sources
    shared = [o for o in apart if not o.startswith("stage.")]
    compact = 2 if name in ("bio", "medical") else sources  # one entry for all versions of a form
    shared += [f"dataset.knowledge.{i}.training.epochs=1" for i in range(compact)]
    shared += ["dataset.skill.training.epochs=1"]
    for stage in ("sft", "eval"):
        result = run_cli(*shared, f"stage={stage}", cwd=place)
        assert result.returncode == 0, result.stderr
        assert "knowledge" not in [w for w in result.stderr.split() if w == "making"]
    assert len(list(outputs.glob("hf/knowledge/*/manifest.json"))) == sources  # none made twice
    result = run_cli(*shared, "stage=eval", cwd=place)
    assert result.returncode == 0 and " made " not in result.stderr, result.stderr
    (file,) = outputs.glob("hf/generations/*/generations.jsonl")
    rows = read_lines(file, "")
    assert {"prompt", "text", "tokens", "ended"} <= set(rows[0])
    if name in ("bio", "medical"):
        assert len(rows) == 3 and rows[0]["prompt"].startswith("Question: ")
    else:
        (file,) = outputs.glob("hf/scores/*/scores.json")
        found = {(s["split"], s["metric"]) for s in json.loads(file.read_text())["scores"]}
        split = "test/s_pop=100-999" if name == "popqa" else "test/type=bridge"
        assert {
            ("test", "accuracy"),
            ("test", "accuracy_published"),
            ("test", "wrong"),
            ("test", "squad_f1"),
            ("test", "simpleqa_f1"),
            (split, "accuracy"),
        } <= found


def test_a_skill_at_hand_needs_its_knowledge_no_more(run_cli, place):
    """Keys are computed, not made: nothing is trained again to find what was made from it."""
    shared = [*task(place, "popqa"), "output_dir=kept", "method=prereq_real"]
    shared = [o for o in shared if not o.startswith("stage.")]
    shared += [f"dataset.knowledge.{i}.training.epochs=1" for i in range(8)]
    shared += ["dataset.skill.training.epochs=1"]
    assert run_cli(*shared, "stage=sft", cwd=place).returncode == 0
    shutil.rmtree(place / "kept/popqa/hf/knowledge")
    result = run_cli(*shared, "stage=eval", cwd=place)
    assert result.returncode == 0, result.stderr
    made = [line.split()[1] for line in result.stderr.splitlines() if line.split()[:1] == ["made"]]
    assert made == ["generations", "scores"]


def test_a_foreign_adapter_of_another_base_is_refused_with_both_names(run_cli, place):
    shared = [o for o in task(place, "hotpotqa") if not o.startswith("stage.")]
    made = run_cli(*shared, "stage=sft", "method=sft", "stage.epochs=1", cwd=place)
    assert made.returncode == 0, made.stderr
    foreign = place / "foreign"
    shutil.copytree(next((place / "outputs/hotpotqa/hf/skill").glob("sft-*")), foreign)
    config = json.loads((foreign / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "meta-llama/Meta-Llama-3-8B"
    (foreign / "adapter_config.json").write_text(json.dumps(config))
    result = run_cli(*shared, "stage=eval", f"skill={foreign}", cwd=place)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "meta-llama/Meta-Llama-3-8B" in result.stderr and "llama" in result.stderr


def test_test_rows_are_checked_before_anything_is_trained(run_cli, place, tmp_path):
    shutil.copytree(place / "data", tmp_path / "data")
    file = tmp_path / "data/popqa_skill/test.jsonl"
    rows = read_lines(file, "")
    rows[2]["possible_answers"], rows[4]["s_pop"] = None, "12"
    published.write(tmp_path / "data", "popqa_skill/test", rows)
    data = [f"dataset.path={tmp_path / 'data'}", f"output_dir={tmp_path / 'out'}"]
    result = run_cli(*task(place, "popqa"), *data, "stage=eval", cwd=place)
    assert result.returncode == 2 and "Traceback" not in result.stderr, result.stderr
    assert "popqa_skill/test.jsonl line 3: no accepted answer" in result.stderr
    assert "popqa_skill/test.jsonl line 5: s_pop is '12'" in result.stderr
    assert not list((tmp_path / "out").glob("**/*.safetensors"))


@pytest.mark.slow
def test_fictitious_entities_and_the_popular_half(run_cli, place):
    shared = [o for o in task(place, "popqa") if "epochs" not in o]
    result = run_cli(*shared, "stage=sft", "stage.epochs=1", "method=popular", cwd=place)
    assert result.returncode == 0, result.stderr
    result = run_cli(
        *shared,
        "stage=sft",
        "stage.epochs=1",
        "method=sft_fictitious",
        "dataset.fictitious_entities=2",
        cwd=place,
    )
    assert result.returncode == 0, result.stderr
    kept = {m["name"]: m["summary"]["subjects"] for m in manifests(place / "outputs", "skill")}
    assert kept["popular"] == 3 and kept["sft_fictitious"] == 6 + 2


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dataset.topics=null", "stage=eval"], "UCSB-NLP-Chang/Prereq_tune"),
        (
            ["dataset.topics=nowhere.json", "stage=eval"],
            "dataset.topics=nowhere.json: no such file",
        ),
        (["dataset.path=Shiyu-Lab/Prereq_Tune", "stage=cpt"], "dataset.path=FOLDER"),
        (
            ["model.path=nowhere/at-all", "stage=cpt"],
            "no local folder, and neither the Hub nor its cache here has it",
        ),
        (
            ["skill=nowhere/at-all", "stage=eval"],
            "neither a local folder nor an adapter on the Hub",
        ),
        (["method=sft", "stage=sft"], "has no rows for it"),
    ],
)
def test_what_is_missing_is_said_in_one_message(run_cli, place, overrides, said):
    result = run_cli(*task(place, "bio"), *overrides, cwd=place)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr and "Traceback" not in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["popqa", "hotpotqa", "bio", "medical"])
def test_with_a_real_pre_trained_model(run_cli, place, name):
    pytest.importorskip("gguf")
    from prereq.model.gguf import convert_smollm2

    if not (place / "smollm2").exists():
        convert_smollm2(place / "smollm2")
    shared = task(place, name, "smollm2")
    for _ in range(2):
        result = run_cli(*shared, "stage=pipeline", f"output_dir={place / 'real'}", cwd=place)
        assert result.returncode == 0, result.stderr
    assert " made " not in result.stderr
    assert scores(place / "real")
