"""The small world inside a model that was pre-trained elsewhere: here a random tiny Llama in its place."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.integration.test_command import manifests

LONG = ["dataset.pretrain.max_length=256", "dataset.knowledge_training.max_length=256"]
LONG += ["dataset.skill.training.max_length=256"]  # its tokens are bytes


def words(place: Path, *more: str) -> list[str]:
    given = ["dataset=world_smollm2_qa", "model=hf", f"model.path={place / 'llama'}"]
    return [*given, *LONG, "model.dtype=bfloat16", "stage.processes=1", *more]


def only(outputs: Path, kind: str) -> Path:
    (found,) = outputs.glob(f"*/**/{kind}/*-*/")
    return found


def changed(before: Path, after: Path) -> set[str]:
    """Ends of the names of weights that differ once the first model is in bfloat16, too."""
    first = AutoModelForCausalLM.from_pretrained(before, dtype=torch.bfloat16).state_dict()
    second = AutoModelForCausalLM.from_pretrained(after, dtype="auto").state_dict()
    assert first.keys() == second.keys()
    assert {weight.dtype for weight in second.values()} == {torch.bfloat16}
    names = [name for name in first if not torch.equal(first[name], second[name])]
    return {name.removesuffix(".weight").rpartition(".")[2] for name in names}


@pytest.fixture(scope="module")
def made(place, run_cli, small_world, tmp_path_factory) -> tuple[Path, str]:
    """A base with a LoRA of the world's text merged, a skill on it and its export; what was said."""
    folder = tmp_path_factory.mktemp("further")
    command = words(place, *small_world, "dataset.pretrain.r=4")
    said = ""
    for stage in (["stage=pretrain"], ["stage=export", "method=sft"]):
        result = run_cli(*command, *stage, cwd=folder)
        assert result.returncode == 0, result.stdout + result.stderr
        said += result.stderr
    return folder, said


def test_a_lora_of_the_worlds_text_is_merged_into_a_plain_folder(made, place):
    folder, _ = made
    base = only(folder / "outputs", "base")
    linear = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert changed(place / "llama", base) == linear
    assert not list(base.glob("**/adapter*"))
    text = "Ada Moss plays the oboe."
    ids = [AutoTokenizer.from_pretrained(one)(text).input_ids for one in (place / "llama", base)]
    assert ids[0] == ids[1]
    losses = [json.loads(line)["loss"] for line in (base / "metrics.jsonl").open()]
    assert losses[-1] < losses[0]


def test_the_manifest_says_what_the_base_was_and_what_it_recalls(made):
    folder, said = made
    (manifest,) = manifests(folder / "outputs", "base")
    assert manifest["content"]["lora"]["r"] == 4 and manifest["content"]["lora"]["alpha"] is None
    assert manifest["content"]["training"]["epochs"] == 1
    documents = (only(folder / "outputs", "data") / "pretrain/train.jsonl").read_text().splitlines()
    assert manifest["summary"]["rows"] == len(documents)
    recalls = manifest["summary"]["recall"]
    assert set(recalls) == {"3", "6"} and all(0 <= share <= 1 for share in recalls.values())
    assert "of the facts told 6 times" in said


def test_an_export_of_it_says_what_its_base_is(made):
    folder, said = made
    export = only(folder / "outputs", "export")
    assert "checked" in said
    card = (export / "README.md").read_text()
    assert "trained further" in card and "invented texts of dataset=world_smollm2_qa" in card
    AutoModelForCausalLM.from_pretrained(export)


def test_all_weights_go_on_training(place, run_cli, small_world, tmp_path):
    command = words(place, *small_world, "dataset.pretrain.r=null", "stage=pretrain")
    dry = run_cli(*command, "stage.dry_run=true", cwd=tmp_path)
    assert dry.returncode == 0 and "to make" in dry.stdout and "given" in dry.stdout
    result = run_cli(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    base = only(tmp_path / "outputs", "base")
    assert {"embed_tokens", "lm_head", "norm", "q_proj"} <= changed(place / "llama", base)
    again = run_cli(*command, cwd=tmp_path)
    assert "found" in again.stderr and "of the facts told 3 times" in again.stderr
