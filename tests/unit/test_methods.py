"""What a method may say, what it may not, and what is asked of the base for it."""

import pytest

from prereq.config.checks import problems
from prereq.stages.data.rows import own_answers
from prereq.stages.specs import Specs, probed
from tests.configs import composed

WORLD = "dataset=world_qa"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([WORLD, "method=sft", "method.gate=hard"], "method.gate=hard puts unknown real rows"),
        ([WORLD, "method=prereq_gated", "method.gate=soggy"], "must be one of hard, soft"),
        (["dataset=bio", "method=prereq_gated"], "needs real knowledge"),
        ([WORLD, "method=prereq_gated_soft", "method.known_by=data"], "goes by the probe's shares"),
        ([WORLD, "method=sft", "method.known_by=probe"], "nothing here depends on what the base"),
        ([WORLD, "method=sft_known", "method.known_last=0.5"], "leaves no unknown rows"),
        ([WORLD, "method=prereq_real", "method.own_answers=0.5"], "the knowledge contradicts"),
        (["dataset=world", "method=flame"], "use dataset=world_qa"),
        (["dataset=bio", "method=sft_known", "method.known_by=probe"], "an answer of long form"),
        ([WORLD, "method=sft_frozen", "method.frozen=[mlp]"], "method.frozen=mlp: must be one of"),
        ([WORLD, "stage=probe", "probe.exemplars=4"], "has never seen a few-shot prompt"),
        (["dataset=world", "stage=probe", "probe.exemplars=4"], "asked fact by fact"),
        ([WORLD, "stage=probe", "probe.prompts=7"], "must be at most 6"),
        (["dataset=popqa", "stage=probe", "probe.exemplars=0", "probe.prompts=2"], "all are alike"),
        (["dataset=medical", "stage=probe"], "an answer of long form"),
        ([WORLD, "stage=probe", "probe.samples=0"], "probe.samples=0: must be at least 1"),
        ([WORLD, "method.known_last=1.0"], "method.known_last=1.0"),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_does(words, expected):
    assert any(expected in problem for problem in problems(composed(*words))), words


def test_every_module_frozen_leaves_nothing_to_train():
    modules = "[q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj]"
    found = problems(composed(WORLD, "method=sft", f"method.frozen={modules}"))
    assert any("leaves no module to train" in problem for problem in found)


@pytest.mark.parametrize(
    ("method", "asks"),
    [
        ("sft", False),
        ("sft_known", False),  # the world says what is known
        ("prereq_gated", False),
        ("sft_known_last", False),
        ("prereq_gated_soft", True),
        ("sft_unit_cut", True),
        ("flame", True),
        ("sft_self_distill", True),
    ],
)
def test_the_base_is_asked_where_the_method_goes_by_its_answers(method, asks, tmp_path):
    specs = Specs(composed(WORLD, f"method={method}", "stage=sft", f"output_dir={tmp_path}"))
    assert problems(specs.config) == []
    assert [spec.name for spec in probed.training(specs)] == (["train"] if asks else [])
    other = Specs(
        composed(
            WORLD, f"method={method}", "stage=sft", f"output_dir={tmp_path}", "probe.samples=2"
        )
    )
    assert (specs.skill.key != other.skill.key) == asks


def test_the_base_is_asked_where_the_data_does_not_say_what_is_known(place, tmp_path):
    words = ["dataset=popqa", f"dataset.path={place / 'data'}", "model=hf", "stage=sft"]
    words += [f"model.path={place / 'llama'}", f"output_dir={tmp_path}", "method=sft_known"]
    assert [spec.name for spec in probed.training(Specs(composed(*words)))] == ["train"]
    by_data = Specs(composed(*words, "method.known_by=data"))
    assert probed.training(by_data) == []


def test_own_answers_are_the_most_frequent_that_say_something_by_their_shares():
    assert own_answers({"Oslo": 6, "": 3, "Riga": 2}) == [("Oslo", 0.75), ("Riga", 0.25)]
    assert own_answers({"": 4}) == []
    five = own_answers(dict.fromkeys("abcde", 1))
    assert [text for text, _ in five] == list("abcd") and sum(share for _, share in five) == 1
