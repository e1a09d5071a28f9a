"""What a base knows: categories, exemplars that give nothing away, and rows by the gate."""

import pytest

from prereq.data.rows import SkillRow
from prereq.data.tokens import TokenRow
from prereq.errors import PrereqError
from prereq.evaluation.familiarity import Familiarity, answer_of, before, exemplars, few_shot_ids
from prereq.training.objectives import Draw, Knowledge, Subject, skill_step
from tests.published import tokenizer


def row(number: int, answer: str, title: str | None = None) -> SkillRow:
    title = title or f"person {number}"
    question = f"Where was {title} born?"
    return SkillRow(question, answer, False, None, number, title, answers=(answer,), number=number)


@pytest.mark.parametrize(
    ("greedy", "sampled", "category", "known"),
    [
        (1.0, 0.2, "highly known", True),
        (0.5, 1.0, "maybe known", True),
        (0.0, 0.1, "weakly known", True),
        (0.0, 0.0, "unknown", False),
    ],
)
def test_categories_are_those_of_the_study(greedy, sampled, category, known):
    found = Familiarity(greedy, sampled)
    assert (found.category, found.known) == (category, known)


def test_exemplars_tell_nothing_of_the_row():
    rows = [row(n, "Paris" if n % 2 else f"Town {n}") for n in range(20)]
    asked = row(99, "paris", title="person 4")
    for drawn in exemplars(rows, sets=3, count=3, seed=1):
        shown = before(asked, drawn, 3)
        assert len(shown) == 3 and all(e.assistant != "Paris" for e in shown)
        assert all(e.title != "person 4" for e in shown)


def test_sets_differ_and_come_again():
    rows = [row(n, f"Town {n}") for n in range(30)]
    first, second = exemplars(rows, 2, 4, seed=1)
    assert first != second and [first, second] == exemplars(rows, 2, 4, seed=1)


def test_too_few_rows_are_one_clear_error():
    rows = [row(n, "Paris") for n in range(6)]
    with pytest.raises(PrereqError, match=r"probe.exemplars=6: there are 6 real rows"):
        exemplars(rows, 1, 6, seed=1)
    with pytest.raises(PrereqError, match="do not tell its answer"):
        before(row(9, "Paris"), rows, 2)


def test_a_question_stands_after_its_exemplars_as_the_training_asks():
    tokens = tokenizer()
    asked, shown = row(1, "Lima"), [row(2, "Rome"), row(3, "Bonn")]
    ids = few_shot_ids(tokens, asked, shown, "plain")
    text = tokens.decode(ids, skip_special_tokens=True)
    said = [f"Question: {e.user}\nAnswer: {e.assistant}" for e in shown]
    assert text == "\n".join([*said, f"Question: {asked.user}\nAnswer:"])
    assert ids.count(tokens.bos_token_id) == 1


def test_the_answer_is_the_first_line():
    assert answer_of(" Lima\nQuestion: Where …") == "Lima" and answer_of("") == ""


@pytest.mark.parametrize("alone", [0.0, 0.25, 1.0])
def test_a_gate_shares_a_row_between_its_two_ways(alone):
    real = Knowledge("real", "statement", False, None)
    rows = [TokenRow([1, 5, 6, 7, 2], 3), TokenRow([1, 5, 6, 2], 2)]
    subjects = [Subject(False, {None: rows[0]}, alone), Subject(False, {None: rows[1]})]
    step = skill_step([subjects], [Draw(real=real)], 0.0)
    weight = {}
    for example in step:
        total = example.weight * example.row.labels
        key = (example.row is rows[0], example.route)
        weight[key] = weight.get(key, 0) + total
    assert weight.get((True, ("skill",)), 0) == pytest.approx(alone / 2)
    assert weight.get((True, ("real", "skill")), 0) == pytest.approx((1 - alone) / 2)
    assert weight[False, ("real", "skill")] == pytest.approx(1 / 2)
