"""Keys say what determines the content, and nothing is made while they are computed."""

import json
import os
import shutil
from pathlib import Path

import pytest

from prereq.artifacts.spec import Artifact
from prereq.data.sources import read_skill
from prereq.errors import PrereqError
from prereq.stages.data import rows as data
from prereq.stages.specs import Specs, choices
from tests.configs import composed


@pytest.fixture
def mine(place, tmp_path, monkeypatch) -> Path:
    """Data and model that a test may change, in the current folder."""
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def specs(mine: Path, *overrides: str, task: str = "popqa", model: str | None = None) -> Specs:
    common = [
        f"dataset={task}",
        f"dataset.path={mine / 'data'}",
        "model=hf",
        "model.dtype=float32",
    ]
    return Specs(composed(*common, f"model.path={model or mine / 'llama'}", *overrides))


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")
    os.utime(file, ns=(1, 1))  # as some tools restore the time of change


def test_computing_every_key_makes_nothing(mine):
    every = specs(mine, "stage=eval")
    assert every.scores.key and every.generations.key and every.skill.key
    made = [p for p in mine.rglob("*") if "outputs" in p.parts and p.name != ".digests.json"]
    assert [p for p in made if p.is_file()] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("data/popqa_skill/train.jsonl", "Riga", "Rome", {"skill", "scores"}),
        ("data/popqa_skill/test.jsonl", "Riga", "Rome", {"scores"}),
        (
            "data/popqa_knowledge/passage_train_real.jsonl",
            "Riga",
            "Rome",
            {"knowledge", "skill", "scores"},
        ),
        ("llama/config.json", '"hidden_act": "silu"', '"hidden_act": "gelu"', None),
    ],
)
def test_what_is_in_a_file_is_in_the_keys_that_rest_on_it(mine, file, old, new, changes):
    def keys() -> dict[str, str]:
        s = specs(mine, "stage=eval")
        found = {"skill": s.skill.key, "scores": s.scores.key, "base": s.base.reference}
        return found | {"knowledge": s.knowledge(s.config.dataset.knowledge[0]).key}

    before = keys()
    rewrite(mine / file, old, new)
    after = keys()
    expected = set(before) if changes is None else changes
    assert {name for name in before if before[name] != after[name]} == expected


def test_a_folder_is_itself_by_whatever_path(mine):
    (mine / "link").symlink_to(mine / "llama")
    keys = {specs(mine, model=m).skill.key for m in ("llama", "link", str(mine / "llama"))}
    moved = shutil.copytree(mine / "llama", mine / "moved")
    assert keys == {specs(mine, model=str(moved)).skill.key}


def test_a_skill_from_elsewhere_enters_by_its_content(mine):
    folder = mine / "skill"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (folder / "adapter_model.safetensors").write_bytes(b"one")
    first = specs(mine, "stage=eval", "skill=skill")
    assert isinstance(first.skill, Artifact)
    (folder / "adapter_model.safetensors").write_bytes(b"two")
    again = specs(mine, "stage=eval", f"skill={folder}")
    assert first.scores.key != again.scores.key


def test_the_values_that_facts_are_told_by_are_in_the_scores(mine):
    before = specs(mine, "stage=eval", "eval=facts")
    keys = before.scores.key, before.skill.key
    (mine / "data/values.json").write_text('{"city": ["Riga"]}')
    after = specs(mine, "stage=eval", "eval=facts")
    assert after.scores.key != keys[0] and after.skill.key == keys[1]


@pytest.mark.parametrize("override", ["stage.processes=2", "stage.checkpoint_seconds=1"])
def test_what_changes_no_result_changes_no_key(mine, override):
    assert specs(mine).skill.key == specs(mine, override).skill.key


@pytest.mark.parametrize(
    ("override", "differs"),
    [("adapter.skill.dropout=0.05", True), ("adapter.skill.dropout=0", False)],
)
def test_packs_are_in_the_key_where_dropout_is_drawn_by_them(mine, override, differs):
    one, two = (
        specs(mine, "stage=sft", "method=sft", override, f"stage.tokens_per_forward={tokens}")
        for tokens in (1024, 4096)
    )
    assert (one.skill.key != two.skill.key) == differs


@pytest.mark.parametrize(("dropout", "differs"), [("0.05", True), ("0", False)])
def test_joint_training_is_in_the_key_where_dropout_depends_on_it(mine, dropout, differs):
    keys = set()
    for together in ("true", "false"):
        rate = f"adapter.knowledge.dropout={dropout}"
        s = specs(mine, "stage=cpt", rate, f"stage.together={together}")
        keys.add(s.knowledge(s.config.dataset.knowledge[0]).key)
    assert (len(keys) == 2) == differs


@pytest.mark.parametrize("override", ["stage.engine=padded", "model.dtype=bfloat16"])
def test_how_it_is_computed_is_in_the_key(mine, override):
    assert specs(mine, "stage=sft").skill.key != specs(mine, "stage=sft", override).skill.key


def test_who_abstains_is_in_the_key_of_the_scores_alone(mine):
    """Stored answers are scored anew, and none is generated again."""
    usual, other = specs(mine), specs(mine, "eval.abstentions=[Unknown]")
    assert usual.generations.key == other.generations.key
    assert usual.scores.key != other.scores.key


def test_another_seed_is_the_same_experiment(mine):
    one, two = specs(mine, "seed=1"), specs(mine, "seed=2")
    assert one.skill.key != two.skill.key
    assert one.skill.experiment == two.skill.experiment


def test_fictitious_knowledge_needs_fictitious_rows(mine):
    file = mine / "data/popqa_skill/train.jsonl"
    rows = [line for line in file.read_text().splitlines() if '"fake": 0' in line]
    file.write_text("\n".join(rows))
    s = specs(mine, "stage=sft", "method=prereq_tune")
    rows = list(read_skill(mine / "data", "popqa_skill", "train"))
    with pytest.raises(PrereqError, match=r"no fictitious one .* method=prereq_real"):
        data.method_rows(s, rows)


def test_more_fictitious_entities_than_there_are_is_said(mine):
    s = specs(mine, "stage=sft", "dataset.fictitious_entities=7")
    rows = list(read_skill(mine / "data", "popqa_skill", "train"))
    with pytest.raises(PrereqError, match="fictitious_entities=7: there are 6"):
        data.method_rows(s, rows)


def test_a_method_takes_the_knowledge_of_its_kinds_of_rows(mine):
    names = {}
    for method in ("prereq_tune", "prereq_real", "sft"):
        config = specs(mine, "stage=sft", f"method={method}").config
        names[method] = {source.fictitious for source in choices.beside(config)}
    assert names == {"prereq_tune": {True, False}, "prereq_real": {False}, "sft": set()}


def test_the_base_model_alone_is_a_method_without_a_skill(mine):
    base = specs(mine, "stage=eval", "method=base")
    assert base.skill is None and base.name == "base"
    assert not choices.beside(base.config) and not choices.plugged(base.config)
    for override in ("dataset.skill.training.epochs=9", "dataset.skill.splits=[test]"):
        assert specs(mine, "stage=eval", "method=base", override).scores.key == base.scores.key
    assert base.generations.key != specs(mine, "stage=eval", "method=sft").generations.key


def test_how_rows_are_asked_is_in_the_keys_of_what_rests_on_it(mine):
    plain, chat = (specs(mine, "stage=eval", f"dataset.prompt={how}") for how in ("plain", "chat"))
    assert plain.skill.key != chat.skill.key and plain.generations.key != chat.generations.key
    source = plain.config.dataset.knowledge[0]
    assert plain.knowledge(source).key == chat.knowledge(source).key
    assert "prompt" not in plain.skill.content


def test_fictitious_rows_that_stand_apart_are_read_by_methods_that_use_them(mine):
    apart = [
        "dataset.skill.fictitious.subset=popqa_knowledge",
        "dataset.skill.fictitious.splits=[passage_train_fake]",
    ]
    real, other = ("popqa_skill", "train"), ("popqa_knowledge", "passage_train_fake")
    for method, expected in {
        "sft": [real],
        "prereq_real": [real],
        "sft_fictitious": [real, other],
        "prereq_fictitious": [other],
    }.items():
        config = specs(mine, "stage=sft", f"method={method}", *apart).config
        assert choices.skill_splits(config) == expected
    assert choices.skill_splits(specs(mine, "method=prereq_fictitious").config) == [real]
