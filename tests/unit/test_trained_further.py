"""A real model that goes on training on the world's text: what is refused, what keys hold, what is told."""

import random
import re
from collections import Counter

import pytest
import torch

from prereq.artifacts.spec import Artifact
from prereq.config import checks
from prereq.model import adapters
from prereq.model.adapters import drawn_rounding
from prereq.stages.specs import Specs
from prereq.world import build, recall
from prereq.world.words import RELATIONS, VALUES
from tests.configs import composed
from tests.unit.test_adapters import write

REAL = ["dataset=world_smollm2_qa", "model=hf", "model.dtype=float32"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dataset=world_qa", "model=smollm2_135m"], "use dataset=world_smollm2_qa model=smollm2"),
        (["dataset=world", "model=smollm2_135m"], "use dataset=world_smollm2 model=smollm2_135m"),
        (["dataset=world_smollm2_qa", "model=tiny"], "no weights to start from"),
        (["dataset=world", "dataset.pretrain.r=8"], "trains all of its weights"),
        (["dataset=cities", "dataset.pretrain.start=model"], "only the embedded world has text"),
        (["dataset=cities", "dataset.pretrain.r=8"], "only the embedded world has text"),
        (["dataset.pretrain.start=here"], "dataset.pretrain.start"),
        (["dataset=world_smollm2_qa", "dataset.pretrain.r=0"], "dataset.pretrain.r=0"),
        (
            ["dataset=world_smollm2", "model.quantize=4bit", "stage.engine=padded"],
            "take no update in 4 or 8 bits",
        ),
    ],
)
def test_a_model_that_cannot_know_the_world_is_refused_in_one_line(words, said):
    (problem,) = checks.problems(composed(*words))
    assert said in problem


@pytest.mark.parametrize("name", ["world", "world_qa", "world_smollm2", "world_smollm2_qa"])
def test_the_recipes_are_sound(name):
    assert checks.problems(composed(f"dataset={name}")) == []


def test_a_key_holds_the_text_the_rank_and_the_model_that_was_given(place, tmp_path):
    def base(*words: str, llama: str = "llama") -> tuple[str, str]:
        given = f"model.path={place / llama}"
        specs = Specs(composed(*REAL, given, f"output_dir={tmp_path}", "stage=pretrain", *words))
        assert isinstance(specs.given, Artifact) and specs.given in specs.base.direct
        return specs.base.key, specs.skill.key

    usual = base()
    assert base("dataset.skill.training.epochs=1")[0] == usual[0]
    for words in (
        ["dataset.pretrain.r=8"],
        ["dataset.pretrain.r=null"],
        ["stage.learning_rate=1e-4"],
        ["dataset.world.often=3"],
        ["seed=2"],
        ["model.dtype=bfloat16"],
    ):
        changed = base(*words)
        assert changed[0] != usual[0] and changed[1] != usual[1], words


def test_what_is_asked_for_was_told_so_often():
    sizes = composed("dataset=world").dataset.world
    sizes.asked, sizes.skill_known, sizes.validation, sizes.held_out = 6, 4, 3, 5
    rng = random.Random(3)
    text = " ".join(build.pretraining(rng, build.populate(rng, sizes), sizes))
    told = list(recall.facts(sizes, 3))
    people = 6 + 4 + 3 + 5
    assert len(told) == people * len(RELATIONS)
    assert Counter(fact.times for fact in told) == {60: 10 * 5, 20: 8 * 5}  # 3+2+2+3 are told often
    for fact in told:
        said = re.findall(re.escape(fact.sentence) + r" (\w+)", text)
        assert set(said) <= {fact.value}
    assert {fact.value for fact in told} <= {value for group in VALUES.values() for value in group}
    sentences = [f"{fact.sentence} {fact.value}" for fact in told]
    assert sum(sentence in text for sentence in sentences) == len(sentences)


def test_merging_for_good_is_merging_for_a_while(tiny_llama, tmp_path):
    write(tmp_path / "adapter", tiny_llama())
    kept = tiny_llama().to(torch.bfloat16)
    adapters.merge(kept, tmp_path / "adapter")
    with adapters.merged(tiny_llama().to(torch.bfloat16), [tmp_path / "adapter"]) as model:
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, kept.state_dict()[name]), name


def test_weights_are_stored_in_16_bits_by_draws_and_in_32_as_they_are(tiny_llama):
    exact = tiny_llama().state_dict()
    same = adapters.stored_in(tiny_llama(), torch.float32).state_dict()
    assert all(torch.equal(weight, same[name]) for name, weight in exact.items())
    short = adapters.stored_in(tiny_llama(), torch.bfloat16)
    assert {weight.dtype for weight in short.parameters()} == {torch.bfloat16}
    draws = torch.Generator().manual_seed(0)
    for name, weight in short.named_parameters():
        assert torch.equal(weight, drawn_rounding(exact[name], torch.bfloat16, draws)), name
