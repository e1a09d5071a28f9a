"""`dataset.knowledge_objective=distillation` on the command line, by both engines."""

import json

import pytest

COMMON = ["stage=cpt", "dataset=world_qa", "knowledge=[fictitious_v0]"]
COMMON += ["dataset.knowledge_objective=distillation", "dataset.distillation.weight=0.7"]


def test_a_knowledge_lora_is_taught_by_the_base_in_both_engines(run_cli, small_world, tmp_path):
    logs = []
    for engine in ("packed", "padded"):
        words = [*COMMON, *small_world, "stage.epochs=2", f"stage.engine={engine}"]
        result = run_cli(*words, cwd=tmp_path)
        assert result.returncode == 0, result.stdout + result.stderr
        folders = set(tmp_path.glob("outputs/world_qa/tiny/knowledge/fictitious_v0-*"))
        (folder,) = folders - {log for log, _ in logs}
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        logs.append((folder, [line for line in map(json.loads, lines) if "loss" in line]))
    (folder, packed), (_, padded) = logs
    assert len(packed) == len(padded) == 20  # 10 people, 30 texts each, 32 a step, two epochs
    for one, other in zip(packed, padded, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-2)
    assert packed[0]["loss"] == pytest.approx(padded[0]["loss"], rel=1e-5)
    assert packed[-1]["loss"] < packed[0]["loss"]
    made = json.loads((folder / "manifest.json").read_text())
    assert made["content"]["teacher"] == {"context": 256, "weight": 0.7}
