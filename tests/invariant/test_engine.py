"""The packed, routed forward against the oracle, on random cases."""

import random
from importlib.util import find_spec

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prereq.data.packing import pack, padding, split
from prereq.data.tokens import TokenRow
from prereq.model.attention import RowLayout
from prereq.model.numerics import ROWS
from prereq.model.self_check import Unfit
from prereq.training.objectives import Draw, Knowledge, Subject, skill_step, text_step
from prereq.training.packed import PackedLM
from tests.invariant import oracle

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def random_rows(rng: random.Random, count: int) -> list[TokenRow]:
    """Rows of 2 to 20 tokens; some with one label, some with none left after truncation.

    All begin with the same token, some with several of another row's, some are the same as another.
    """
    rows = []
    for _ in range(count):
        length = rng.randint(2, 20)
        start = rng.choice([rng.randint(1, length), length - 1, length])
        alike = rng.choice(rows).ids[: rng.choice([1, 6, length])] if rows else [1]
        ids = alike[:length] + [rng.randint(4, 255) for _ in range(length - len(alike))]
        rows.append(TokenRow(ids, max(1, start)))
    return rows


def engine(model, examples, budget: int) -> tuple[float, dict[str, torch.Tensor]]:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".skill." in name)
        parameter.grad = None
    packed = PackedLM(model).train()
    total = 0.0
    for rows in split(examples, budget):
        loss, _ = packed(pack(rows, shared_prefixes=packed.rows))
        loss.backward()
        total += float(loss.detach())
    grads = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
    return total, grads


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    fictitious=st.integers(0, 4),
    real=st.integers(0, 4),
    loras=st.integers(1, 8),
    budget=st.sampled_from([1, 30, 4096]),
    real_weight=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_mix_equals_three_padded_forwards(
    tiny_llama, seed, fictitious, real, loras, budget, real_weight
):
    rng = random.Random(seed)
    rows_f, rows_r = random_rows(rng, fictitious), random_rows(rng, real)
    ranks = {"skill": 8} | {f"k{i}": rng.choice([2, 4, 8]) for i in range(loras)}
    names = sorted(set(ranks) - {"skill"})
    k_f, k_r = rng.choice(names), rng.choice(names)
    subjects = [Subject(True, {None: row}) for row in rows_f]
    subjects += [Subject(False, {None: row}) for row in rows_r]
    rng.shuffle(subjects)
    draw = Draw(Knowledge(k_f, "passage", True, None), Knowledge(k_r, "passage", False, None))
    examples = skill_step([subjects], [draw], real_weight)
    if not examples:  # no label at all: nothing to learn from, and no NaN either
        return

    expected_model = oracle.peft_model(tiny_llama(), ranks, seed)
    expected = oracle.mix_loss(expected_model, rows_f, rows_r, [k_f], [k_r], real_weight)
    expected.backward()
    wanted = {k: p.grad for k, p in expected_model.named_parameters() if p.grad is not None}

    loss, grads = engine(oracle.peft_model(tiny_llama(ROWS), ranks, seed), examples, budget)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5, abs=1e-5)
    assert set(grads) == set(wanted)
    for name, gradient in wanted.items():
        torch.testing.assert_close(grads[name], gradient, **CLOSE)


def test_multi_version_uses_the_rows_of_the_drawn_version(tiny_llama):
    rng = random.Random(5)
    rows = [random_rows(rng, 4) for _ in range(2)]
    subjects = [Subject(True, {0: a, 1: b}) for a, b in zip(*rows, strict=True)]
    ranks = {"skill": 8, "k0": 4, "k1": 4}
    draw = Draw(Knowledge("k1", "statement", True, 1))
    model = oracle.peft_model(tiny_llama(), ranks, 1)
    expected = oracle.label_losses(model, rows[1], ["k1", "skill"]).mean()
    examples = skill_step([subjects], [draw], 0.0)
    loss, _ = engine(oracle.peft_model(tiny_llama(ROWS), ranks, 1), examples, 4096)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)


def test_a_step_is_the_mean_of_its_groups_whatever_the_packing(tiny_llama):
    rng = random.Random(3)
    ranks = {"skill": 8, "k0": 4, "k1": 4}
    draws = [Draw(Knowledge(f"k{i % 2}", "passage", True, None)) for i in range(3)]
    groups = [[Subject(True, {None: r}) for r in random_rows(rng, 5)] for _ in range(3)]
    alone = []
    for group, draw in zip(groups, draws, strict=True):
        model = oracle.peft_model(tiny_llama(), ranks, 1)
        rows = [row for subject in group for row in subject.rows.values()]
        alone.append(
            float(oracle.label_losses(model, rows, [draw.fictitious.name, "skill"]).mean().detach())
        )
    examples = skill_step(groups, draws, 0.0)
    results = [
        engine(oracle.peft_model(tiny_llama(ROWS), ranks, 1), examples, budget)
        for budget in (1, 40, 100000)
    ]
    for loss, grads in results:
        assert loss == pytest.approx(sum(alone) / 3, rel=1e-5)
        for name, gradient in results[0][1].items():
            torch.testing.assert_close(grads[name], gradient, **CLOSE)


FLASH = pytest.mark.skipif(
    not (torch.cuda.is_available() and find_spec("flash_attn")), reason="needs flash-attn"
)


@pytest.mark.parametrize(
    "attention",
    [
        "sdpa",
        "eager",
        pytest.param("flex_attention", marks=pytest.mark.slow),
        pytest.param("flash_attention_2", marks=[FLASH]),
    ],
)
def test_rows_attention_equals_the_packed_masks_of_transformers(tiny_llama, attention):
    rows = random_rows(random.Random(11), 7)
    examples = text_step(rows, ("skill",))
    models = [oracle.peft_model(tiny_llama(kind), {"skill": 8}, 2) for kind in (ROWS, attention)]
    if attention == "flex_attention" and not torch.cuda.is_available():  # no backward on a CPU
        with torch.no_grad():
            losses = [PackedLM(model)(pack(examples, shared_prefixes=False))[0] for model in models]
        torch.testing.assert_close(*losses, **CLOSE)
        return
    results = [engine(model, examples, 4096) for model in models]
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    for name, gradient in results[0][1].items():
        torch.testing.assert_close(results[1][1][name], gradient, **CLOSE)


def test_rows_without_padding_share_tokens_like_padded_ones(tiny_llama, monkeypatch):
    """As on CUDA, but for the kernel, which runs there only: here each row is attended to by itself."""

    def row_by_row(layout, query, key, value, scaling, dropout):
        parts = (x.transpose(0, 1).split(layout.lengths, 1) for x in (query, key, value))
        rows = zip(*parts, strict=True)
        settings = {"is_causal": True, "scale": scaling, "enable_gqa": True}
        out = [F.scaled_dot_product_attention(*(x[None] for x in row), **settings) for row in rows]
        return torch.cat(out, 2)[0].transpose(0, 1)

    examples = text_step(random_rows(random.Random(12), 9), ("skill",))
    assert pack(examples).tokens is not None
    padded = engine(oracle.peft_model(tiny_llama(ROWS), {"skill": 8}, 2), examples, 4096)
    monkeypatch.setattr(RowLayout, "_in_place", row_by_row)
    monkeypatch.setattr("prereq.training.packed.in_place", lambda device, dtype: True)
    flat = engine(oracle.peft_model(tiny_llama(ROWS), {"skill": 8}, 2), examples, 4096)
    assert flat[0] == pytest.approx(padded[0], rel=1e-5)
    for name, gradient in padded[1].items():
        torch.testing.assert_close(flat[1][name], gradient, **CLOSE)


def test_gradients_with_activation_checkpointing_are_equal(tiny_llama):
    rng = random.Random(4)
    ranks = {"skill": 8, "k0": 4}
    subjects = [Subject(True, {None: r}) for r in random_rows(rng, 6)]
    examples = skill_step([subjects], [Draw(Knowledge("k0", "passage", True, None))], 0.0)
    plain = engine(oracle.peft_model(tiny_llama(ROWS), ranks, 1), examples, 40)
    model = oracle.peft_model(tiny_llama(ROWS), ranks, 1)
    model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    checkpointed = engine(model, examples, 40)
    assert checkpointed[0] == pytest.approx(plain[0], rel=1e-6)
    for name, gradient in plain[1].items():
        torch.testing.assert_close(checkpointed[1][name], gradient, **CLOSE)


def test_the_share_of_padding_is_that_of_the_blocks_that_attention_sees():
    examples = text_step([TokenRow([1] * length, 1) for length in (7, 3, 5, 2, 2)], ())
    packs = split(examples, 10)
    layouts = [RowLayout(pack(rows).lengths) for rows in packs]
    cells = sum(layout.rows * layout.longest for layout in layouts)
    assert padding(packs) == pytest.approx(1 - 19 / cells) and cells > 19
    assert padding(split(examples, 1)) == 0


def test_attention_that_a_model_wants_and_rows_has_not_is_refused():
    from transformers import MistralConfig, MistralForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "vocab_size": 256}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = MistralConfig(**sizes, **heads, sliding_window=6, attn_implementation=ROWS)
    packed = PackedLM(MistralForCausalLM(config))
    short = [TokenRow([1] * length, 1) for length in (6, 4)]
    assert torch.isfinite(packed(pack(text_step(short, ())))[0])
    with pytest.raises(Unfit, match=r"a sliding window of 6 tokens \(longest row 7\)"):
        packed(pack(text_step([*short, TokenRow([1] * 7, 1)], ())))
