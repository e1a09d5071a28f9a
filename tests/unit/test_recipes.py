"""Every recipe value of the four published tasks, against the tables written out again here."""

import pytest

from prereq.config import layer
from prereq.config.checks import problems
from prereq.errors import ConfigError
from tests.configs import composed

# name: (form, fictitious, version, split, max length, epochs, batch)
KNOWLEDGE = {
    "popqa": {
        "passage_real": ("passage", False, None, "passage_train_real", 768, 5, 128),
        "statement_real": ("statement", False, None, "statement_train_real", 64, 3, 512),
        "passage_fake_10": ("passage", True, None, "passage_train_fake", 256, 10, 128),
        "passage_fake_12": ("passage", True, None, "passage_train_fake", 256, 12, 128),
        "passage_fake_14": ("passage", True, None, "passage_train_fake", 256, 14, 128),
        "statement_fake_6": ("statement", True, None, "statement_train_fake", 64, 6, 512),
        "statement_fake_7": ("statement", True, None, "statement_train_fake", 64, 7, 512),
        "statement_fake_8": ("statement", True, None, "statement_train_fake", 64, 8, 512),
    },
    "hotpotqa": {
        "passage_real": ("passage", False, None, "passage_train_real", 512, 15, 128),
        "passage_fake": ("passage", True, None, "passage_train_fake", 320, 15, 128),
        "statement_real": ("statement", False, None, "statement_train_real", 64, 1, 512),
        "statement_fake": ("statement", True, None, "statement_train_fake", 64, 5, 512),
    },
    "bio": {
        "passage_v0": ("passage", True, 0, "passage_train_v0", 768, 15, 128),
        "passage_v1": ("passage", True, 1, "passage_train_v1", 768, 15, 128),
        "passage_v2": ("passage", True, 2, "passage_train_v2", 768, 15, 128),
        "passage_v3": ("passage", True, 3, "passage_train_v3", 768, 15, 128),
        "passage_v4": ("passage", True, 4, "passage_train_v4", 768, 15, 128),
        "statement_v0": ("statement", True, 0, "statement_train_v0", 128, 15, 512),
        "statement_v1": ("statement", True, 1, "statement_train_v1", 128, 15, 512),
        "statement_v2": ("statement", True, 2, "statement_train_v2", 128, 15, 512),
        "statement_v3": ("statement", True, 3, "statement_train_v3", 128, 15, 512),
        "statement_v4": ("statement", True, 4, "statement_train_v4", 128, 15, 512),
    },
    "medical": {
        "passage_v0": ("passage", True, 0, "passage_train_v0", 512, 15, 128),
        "passage_v1": ("passage", True, 1, "passage_train_v1", 512, 15, 128),
        "passage_v2": ("passage", True, 2, "passage_train_v2", 512, 15, 128),
        "passage_v3": ("passage", True, 3, "passage_train_v3", 512, 15, 128),
        "passage_v4": ("passage", True, 4, "passage_train_v4", 512, 15, 128),
        "statement_v0": ("statement", True, 0, "statement_train_v0", 128, 15, 512),
        "statement_v1": ("statement", True, 1, "statement_train_v1", 128, 15, 512),
        "statement_v2": ("statement", True, 2, "statement_train_v2", 128, 15, 512),
        "statement_v3": ("statement", True, 3, "statement_train_v3", 128, 15, 512),
        "statement_v4": ("statement", True, 4, "statement_train_v4", 128, 15, 512),
    },
}
# dataset: (r, max length, epochs, batch, lr, real weight, draw group, splits, method, scoring)
SKILL = {
    "popqa": (32, 64, 3, 512, 5e-5, 0.5, 32, ["train"], "prereq_tune", "qa"),
    "hotpotqa": (64, 128, 4, 512, 3e-5, 1.0, 16, ["train"], "prereq_tune", "final_answer"),
    "bio": (64, 768, 50, 128, 3e-5, 0.0, 8, ["train_fake"], "prereq_fictitious", "long_form"),
    "medical": (64, 512, 80, 128, 5e-5, 0.0, 8, ["train_fake"], "prereq_fictitious", "long_form"),
}
MODULES = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize("dataset", KNOWLEDGE)
def test_knowledge_recipes_are_the_published_ones(dataset):
    config = composed(f"dataset={dataset}")
    found = {}
    for source in config.dataset.knowledge:
        t = layer(config.dataset.knowledge_training, source.training)
        assert (t.learning_rate, t.weight_decay, t.beta2, t.warmup) == (3e-5, 0.1, 0.95, 0.03)
        assert source.subset == f"{dataset}_knowledge"
        values = (source.form, source.fictitious, source.version, source.split)
        found[source.name] = (*values, t.max_length, t.epochs, t.batch_size)
    assert found == KNOWLEDGE[dataset]


@pytest.mark.parametrize("dataset", SKILL)
def test_skill_recipes_are_the_published_ones(dataset):
    config = composed(f"dataset={dataset}")
    r, length, epochs, batch, lr, weight, group, splits, method, scoring = SKILL[dataset]
    skill, t = config.dataset.skill, config.dataset.skill.training
    assert (t.max_length, t.epochs, t.batch_size, t.learning_rate) == (length, epochs, batch, lr)
    assert (t.weight_decay, t.beta2, t.warmup) == (0.01, 0.999, 0.1)
    assert (skill.real_weight, skill.draw_group, skill.splits) == (weight, group, splits)
    assert skill.alternate and skill.subset == f"{dataset}_skill"
    assert (config.method.name, config.eval.scoring) == (method, scoring)
    assert (config.adapter.skill.r, config.adapter.knowledge.r) == (r, 32)
    for lora in (config.adapter.skill, config.adapter.knowledge):
        assert set(lora.target_modules) == MODULES
        assert lora.dropout == 0.05 and lora.alpha is None  # alpha: 2r
    assert config.seed == 42 and config.dataset.path == "Shiyu-Lab/Prereq_Tune"
    assert config.model.name == "llama3_8b" and config.model.dtype == "bfloat16"
    assert config.eval.max_new_tokens == (1024 if scoring == "long_form" else 128)
    assert problems(config) == []


def test_prompts_of_the_long_form_tasks():
    assert composed("dataset=bio").dataset.topic_prompt == "Generate a biography for {name}."
    assert composed("dataset=medical").dataset.topic_prompt == "Tell me about {name}."


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("prereq_tune", (True, True, True, None, None)),
        ("prereq_fictitious", (True, False, True, None, None)),
        ("prereq_plain", (True, True, True, 0.5, None)),
        ("prereq_no_plain", (True, True, True, 0.0, None)),
        ("prereq_real", (False, True, True, None, None)),
        ("prereq_statements", (True, True, True, None, ["statement"])),
        ("prereq_passages", (True, True, True, None, ["passage"])),
        ("sft", (False, True, False, None, None)),
        ("sft_fictitious", (True, True, False, None, None)),
        ("popular", (False, True, False, None, None)),
        ("base", (False, True, False, None, None)),
    ],
)
def test_methods(method, fields):
    m = composed("dataset=hotpotqa", f"method={method}").method
    assert (m.fictitious, m.real, m.knowledge, m.real_weight, m.forms) == fields
    assert m.popular == (method == "popular") and m.trains == (method != "base")


def test_versions_of_a_source_are_told_apart_by_its_name_and_split():
    with pytest.raises(ConfigError) as error:
        composed("dataset=bio", "dataset.knowledge.0.split=train", "dataset.knowledge.1.name=v")
    assert "dataset.knowledge.0.split=train: must hold {version}" in str(error.value)
    assert "dataset.knowledge.1.name=v: must hold {version}" in str(error.value)


def test_a_single_version_is_one_source_and_none_is_refused():
    config = composed("dataset=bio", "dataset.knowledge.0.versions=[3]")
    assert next((s.name, s.split, s.version) for s in config.dataset.knowledge) == (
        "passage_v3",
        "passage_train_v3",
        3,
    )
    one = composed("dataset=bio", *(f"dataset.knowledge.{i}.versions=[2]" for i in (0, 1)))
    assert [s.name for s in one.dataset.knowledge] == ["passage_v2", "statement_v2"]
    with pytest.raises(ConfigError, match="names no version"):
        composed("dataset=bio", "dataset.knowledge.0.versions=[]")
