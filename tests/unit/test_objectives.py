"""Routes, weights and draws as pure functions."""

import random
from collections import Counter

import pytest

from prereq.config import Training, layer
from prereq.data.packing import pack, split
from prereq.data.tokens import TokenRow
from prereq.training.loop import cosine
from prereq.training.objectives import ALONE, Draw, Knowledge, Subject, draw, skill_step, text_step
from prereq.training.plan import skill_plan, text_plan

V0 = Knowledge("a", "passage", True, 0)
V1 = Knowledge("b", "statement", True, 1)
REAL = Knowledge("c", "passage", False, None)


def row(labels: int, prompt: int = 3) -> TokenRow:
    return TokenRow(list(range(prompt + labels)), prompt)


def test_one_mean_over_both_kinds_and_one_over_the_plain_term():
    subjects = [Subject(True, {0: row(2), 1: row(5)}), Subject(False, {None: row(4)})]
    examples = skill_step([subjects], [Draw(V1, REAL)], real_weight=0.5)
    assert [(e.route, e.term, e.weight) for e in examples] == [
        (("b", "skill"), "fictitious", 1 / 9),
        (("c", "skill"), "real", 1 / 9),
        (ALONE, "plain", 0.5 / 4),
    ]


def test_without_a_version_every_row_is_used_and_without_knowledge_the_skill_stands_alone():
    subject = Subject(True, {0: row(1), 1: row(1)})
    examples = skill_step([[subject]], [Draw()], real_weight=0.0)
    assert [e.route for e in examples] == [ALONE, ALONE]


def test_a_group_without_labels_counts_for_nothing():
    empty, full = Subject(False, {None: row(0)}), Subject(False, {None: row(2)})
    examples = skill_step([[empty], [full]], [Draw(), Draw()], real_weight=0.0)
    assert [e.weight for e in examples] == [0.5]
    assert skill_step([[empty]], [Draw()], 1.0) == []


def test_alternate_goes_by_form_whatever_the_order_and_copes_with_one_form():
    for adapters in ([V0, V1, REAL], [REAL, V1, V0]):
        drawn = [draw(adapters, g, True, random.Random(g)).fictitious.form for g in range(6)]
        assert drawn == ["passage", "statement"] * 3
    assert draw([V0], 1, True, random.Random(0)) == Draw(V0, None)


def test_draws_are_uniform_and_follow_from_seed_and_step():
    def chosen(seed):
        subjects = [Subject(True, {0: row(1), 1: row(1)}) for _ in range(64)]
        plan = skill_plan(subjects, [V0, V1], batch_size=8, draw_group=2, epochs=20, seed=seed)
        return [e.route[0] for i in range(plan.steps) for e in plan.step(i)]

    counts = Counter(chosen(1))
    assert chosen(1) == chosen(1) != chosen(2)
    assert abs(counts["a"] / sum(counts.values()) - 0.5) < 0.05


def test_an_epoch_sees_every_row_once_in_a_new_order():
    rows = [row(i + 1) for i in range(10)]
    plan = text_plan(rows, batch_size=4, epochs=2, seed=0, route=("k",))
    assert plan.steps == 6
    epochs = [
        [len(e.row.ids) for i in range(3) for e in plan.step(3 * epoch + i)] for epoch in (0, 1)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) and epochs[0] != epochs[1]


def test_text_is_the_mean_over_all_labels():
    examples = text_step([row(2), row(6)], ("k",))
    assert sum(e.weight * e.row.labels for e in examples) == pytest.approx(1)


def test_packs_hold_the_budget_and_each_adapters_rows_are_one_span():
    subjects = [Subject(i % 2 == 0, {None: row(i % 5 + 1)}) for i in range(30)]
    examples = skill_step([subjects], [Draw(Knowledge("a", "passage", True, None), REAL)], 1.0)
    packs = split(examples, 60)
    assert sum(map(len, packs)) == len(examples)
    for rows in packs:
        packed = pack(rows, shared_prefixes=False)
        assert packed.tokens is None and packed.input_ids.shape[1] == sum(packed.lengths) <= 60
        assert packed.spans["skill"] == [(0, sum(packed.lengths))]
        assert all(len(spans) == 1 for spans in packed.spans.values())
        starts = (packed.position_ids[0] == 0).sum()
        assert starts == len(packed.lengths)
        shared = pack(rows)
        assert shared.lengths == packed.lengths
        assert shared.spans["skill"] == [(0, shared.input_ids.shape[1])]
        assert all(len(spans) == 1 for spans in shared.spans.values())


def test_what_rows_of_a_route_begin_with_alike_is_computed_once():
    rows = [[1, 7, 8, 9], [1, 7, 8], [1, 7, 6, 9, 5], [1, 7, 8, 9], [2, 7]]
    examples = text_step([TokenRow(ids, 1) for ids in rows], ("a",))
    packed = pack([*examples, *text_step([TokenRow([1, 7, 8], 2)], ("b",))])
    laid_out = packed.input_ids[0][packed.tokens].split(packed.lengths)
    assert [part.tolist() for part in laid_out] == [*sorted(rows), [1, 7, 8]]
    assert packed.input_ids.shape[1] == 4 + 3 + 2 + 3  # of 21
    assert packed.spans == {"a": [(0, 9)], "b": [(9, 12)]}
    assert (packed.position_ids[0] == 0).sum() == 3
    successor = {(row[i], row[i + 1]) for row in rows for i in range(len(row) - 1)} | {(7, 8)}
    before = packed.input_ids[0][packed.predict].tolist()
    assert set(zip(before, packed.targets.tolist(), strict=True)) == successor
    assert len(before) == sum(map(len, rows)) - 5 + 1


def test_a_row_longer_than_the_budget_has_a_pack_of_its_own():
    assert [len(p) for p in split(text_step([row(50), row(1), row(1)], ()), 20)] == [1, 2]


def test_cosine_warms_up_from_zero_and_ends_at_zero():
    values = [cosine(s, 100, 0.1) for s in range(100)]
    assert values[0] == 0 and values[10] == 1 and values[5] == 0.5
    assert values[-1] < 1e-3 and cosine(0, 1, 0.0) == 1


def test_the_last_layer_that_sets_a_value_wins():
    assert layer(Training(epochs=1, batch_size=2), Training(epochs=3), Training()).epochs == 3


def test_a_gate_puts_known_rows_on_the_skill_alone_and_unknown_ones_beside_their_knowledge():
    known, unknown = Subject(False, {None: row(2)}, 1.0), Subject(False, {None: row(3)}, 0.0)
    fictitious = Subject(True, {0: row(1), 1: row(5)})
    examples = skill_step([[known, unknown, fictitious]], [Draw(V0, REAL)], 0.0, gate=True)
    assert [(e.route, e.term, e.weight) for e in examples] == [
        (ALONE, "known", 1 / 6),
        (("c", "skill"), "real", 1 / 6),
        (("a", "skill"), "fictitious", 1 / 6),
    ]


def test_a_soft_gate_divides_a_row_and_leaves_the_mean_over_its_labels():
    subject = Subject(False, {None: row(4)}, 0.75)
    alone, beside = skill_step([[subject]], [Draw(real=REAL)], 0.0, gate=True)
    assert (alone.route, alone.weight, beside.route, beside.weight) == (
        ALONE,
        0.75 / 4,
        ("c", "skill"),
        0.25 / 4,
    )


def test_answers_that_share_a_row_count_by_their_shares():
    several = Subject(False, {0: row(2), 1: row(6)}, shares={0: 0.75, 1: 0.25})
    examples = skill_step([[several, Subject(False, {None: row(3)})]], [Draw()], 0.0)
    labels = 0.75 * 2 + 0.25 * 6 + 3
    assert [e.weight for e in examples] == [0.75 / labels, 0.25 / labels, 1 / labels]


def test_the_last_epochs_see_some_subjects_alone_in_as_many_steps():
    subjects = [Subject(False, {None: TokenRow([1, 2, n], 2, n)}) for n in range(10)]
    plan = skill_plan(
        subjects, [], batch_size=4, draw_group=4, epochs=4, seed=1, last=subjects[:3], last_epochs=2
    )
    usual = skill_plan(subjects, [], batch_size=4, draw_group=4, epochs=4, seed=1)
    assert plan.steps == usual.steps == 12
    assert [plan.step(i) for i in range(6)] == [usual.step(i) for i in range(6)]
    late = Counter(e.row.number for i in range(6, 12) for e in plan.step(i))
    assert set(late) == {0, 1, 2} and max(late.values()) - min(late.values()) <= 1
