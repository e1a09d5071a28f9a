"""Pairs of answers that DPO learns from, their tokens, and what a method with `dpo` may say."""

import random

import pytest

from prereq.config.checks import problems
from prereq.config.schema import method
from prereq.data.rows import SkillRow
from prereq.data.tokens import prompt_ids, skill_row
from prereq.stages import dpo
from prereq.stages.specs import Specs, preferred
from prereq.training.preferences import Pair, PairTokens, pair_tokens, pairs_of
from prereq.world import tokenizer
from tests.configs import composed

WORLD = ["dataset=world_qa", "method=facttune"]


def line(number: int, answers: dict[str, tuple[int, float]], unfinished: int = 0) -> dict:
    told = [{"text": t, "count": n, "score": s} for t, (n, s) in answers.items()]
    return {"split": "skill/train", "row": number, "answers": told, "unfinished": unfinished}


def test_every_two_answers_of_different_score_make_a_pair():
    scores = {"two wrong": 0.6, "all right": 1.0, "none right": 0.0, "also two wrong": 0.6}
    found = pairs_of(scores, 99, random.Random(0))
    assert {(p.chosen, p.rejected) for p in found} == {
        ("all right", "two wrong"),
        ("all right", "also two wrong"),
        ("all right", "none right"),
        ("two wrong", "none right"),
        ("also two wrong", "none right"),
    }
    assert all(p.scores == (scores[p.chosen], scores[p.rejected]) for p in found)


@pytest.mark.parametrize("scores", [{}, {"Oslo": 1.0}, {"Rome": 0.0, "Riga": 0.0, "Bonn": 0.0}])
def test_answers_of_one_score_make_none(scores):
    assert pairs_of(scores, 4, random.Random(0)) == []


def test_of_more_pairs_some_are_drawn_by_the_seed():
    scores = {"Oslo": 1.0} | {f"wrong {n}": 0.0 for n in range(20)}
    drawn = [pairs_of(scores, 4, random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(found)) == 4 for found in drawn)


def test_rows_that_give_no_pair_are_counted():
    lines = [
        line(0, {"Oslo": (6, 1.0), "Rome": (2, 0.0)}),
        line(3, {"Oslo": (8, 1.0)}),
        line(4, {"Rome": (4, 0.0), "Bonn": (2, 0.0)}, unfinished=2),
    ]
    pairs = [{"split": "skill/train", "row": 0}]
    assert dpo.summed(lines, pairs) == {
        "rows": 3,
        "pairs": 1,
        "rows_without_a_pair": 2,
        "of_these_all_right": 1,
        "unfinished_answers": 2,
        "mean_score": round(14 / 22, 6),
    }


def test_tokens_of_a_pair_are_those_of_all_other_training():
    words = tokenizer.build()
    row = SkillRow("In which city was Ann Lee born?", "Hanoi", False, None, 1, "Ann Lee")
    pair = pair_tokens(words, row, Pair("Hanoi", "Jakarta", (1.0, 0.0)))
    assert pair.prompt == prompt_ids(words, row)
    assert pair.prompt[0] == words.bos_token_id and pair.prompt.count(words.bos_token_id) == 1
    assert words.decode(pair.prompt[1:]).endswith("Answer:")
    assert pair.prompt + pair.chosen == skill_row(words, row).ids
    assert pair.chosen[-1] == pair.rejected[-1] == words.eos_token_id
    assert words.decode(pair.rejected[:-1]).strip() == "Jakarta"


def test_the_forwards_of_a_step_are_of_one_size_and_fit_the_budget():
    pytest.importorskip("trl")
    from prereq.training.dpo import pairs_per_forward

    pairs = [PairTokens([1] * 6, [2] * 4, [3] * 2), PairTokens([1] * 3, [2], [3] * 2)]
    for budget, expected in ((10**6, 12), ("auto", 12), (12 * 20, 12), (12 * 20 - 1, 6), (1, 1)):
        assert pairs_per_forward(pairs, 12, budget) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([*WORLD, "method.known_only=true"], "method.known_only beside method.dpo"),
        ([*WORLD, "method.dpo.samples=1"], "method.dpo.samples=1: must be from 2"),
        ([*WORLD, "method.dpo.beta=0"], "method.dpo.beta=0.0: must be from"),
        ([*WORLD, "method.dpo.epoch='13'"], "the skill trains for 12"),
        ([*WORLD, "method.dpo.epoch=first"], "must be best, last or the number"),
        (
            [*WORLD, "method.dpo.epoch='1'", "dataset.skill.keep_epochs=false"],
            "keeps the last epoch's adapter alone",
        ),
        (["dataset=bio", "method=facttune"], "has none for texts of free form"),
        ([*WORLD, "model.quantize=4bit"], "would train the adapter in bfloat16"),
    ],
)
def test_what_does_not_go_with_dpo_is_refused_with_what_does(words, expected):
    found = problems(composed(*words))
    assert [p for p in found if expected in p and p.startswith("method=facttune: ")], found


def test_what_it_cannot_do_here_is_said_before_anything_is_made(monkeypatch):
    monkeypatch.setattr(method, "find_spec", lambda name: None)
    assert any("pip install 'prereq[facttune]'" in p for p in problems(composed(*WORLD)))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert any("trains in one process, and 2 work" in p for p in problems(composed(*WORLD)))
    # A report of what is there needs neither.
    assert problems(composed(*WORLD, "stage=report")) == []


def test_it_goes_on_from_the_very_skill_of_plain_fine_tuning(tmp_path):
    words = [f"output_dir={tmp_path}", "stage=sft"]
    plain = Specs(composed("dataset=world_qa", "method=sft", *words))
    mine = Specs(composed(*WORLD, *words))
    assert preferred.fine_tuned(mine).skill.path == plain.skill.path
    assert {plain.skill, plain.generations, preferred.pairs(mine)} < mine.skill.inputs
    at_last = Specs(composed(*WORLD, *words, "method.dpo.epoch=last"))
    assert plain.skill in at_last.skill.inputs and plain.generations not in at_last.skill.inputs


def test_where_one_epoch_is_kept_nothing_is_asked_to_choose_it(tmp_path):
    words = [f"output_dir={tmp_path}", "stage=sft", "dataset.skill.keep_epochs=false"]
    mine, last = (
        Specs(composed(*WORLD, *words, *more)) for more in ([], ["method.dpo.epoch=last"])
    )
    assert mine.skill.key == last.skill.key
    assert {spec.kind for spec in mine.skill.inputs} == {"data", "base", "skill", "pairs"}


@pytest.mark.parametrize(
    ("override", "pairs_differ"),
    [
        ("method.dpo.beta=0.2", False),
        ("method.dpo.learning_rate_factor=0.5", False),
        ("method.dpo.temperature=0.5", True),
        ("method.dpo.pairs=2", True),
        ("method.dpo.epoch='2'", True),
        ("method.dpo.epoch=last", True),
        ("dataset.skill.training.epochs=3", True),
    ],
)
def test_keys_hold_what_determines_pairs_and_skill(override, pairs_differ, tmp_path):
    usual, other = (
        Specs(composed(*WORLD, f"output_dir={tmp_path}", "stage=sft", *more))
        for more in ([], [override])
    )
    assert usual.skill.key != other.skill.key
    assert (preferred.pairs(usual).key != preferred.pairs(other).key) == pairs_differ
