"""One optimizer step: its gradients where memory runs out, and in float16."""

import random
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from prereq.data.tokens import TokenRow
from prereq.errors import PrereqError
from prereq.model.memory import checkpoints_activations
from prereq.training.objectives import text_step
from prereq.training.packed import PackedLM
from prereq.training.padded import PaddedLM
from prereq.training.step import MOST, Gradients, loss_scale, tokens_that_fit
from tests.invariant import oracle
from tests.invariant.test_engine import CLOSE, random_rows

ENGINES = {"packed": PackedLM, "padded": PaddedLM}


class Scarce(torch.nn.Module):
    """A model on a device that has room for `tokens` in a forward, for twice that checkpointed."""

    def __init__(self, lm, tokens: int):
        super().__init__()
        self.lm, self.tokens, self.seen = lm, tokens, []

    def forward(self, batch):
        count = batch.input_ids.numel()
        self.seen.append(count)
        if count > self.tokens * (1 + checkpoints_activations(self.lm.inner)):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.lm(batch)


def gradients_of(lm, rows, room: int, tokens: int, fixed: bool = False):
    """Loss, sums and gradients of the step, by name, and what computed them."""
    examples = text_step(rows, ("skill",))
    wrapped = Scarce(lm, room).train()
    label = f"cpt {type(lm).__name__} {fixed}"  # a line is said once
    made = Gradients(Accelerator(), wrapped, lm, label, 1, tokens, fixed, ("text",))
    loss, sums, _ = made.step(examples, 0)
    named = lm.named_parameters()
    return float(loss), sums, {n: p.grad for n, p in named if p.grad is not None}, made


def same(one, two) -> None:
    assert one[0] == pytest.approx(two[0], rel=1e-5)
    assert torch.allclose(one[1], two[1], **CLOSE)
    assert one[2].keys() == two[2].keys() and one[2]
    for name, gradient in one[2].items():
        assert torch.allclose(gradient, two[2][name], **CLOSE), name


def model(tiny_llama, attention="sdpa"):
    made = oracle.peft_model(tiny_llama(attention), {"skill": 8}, 0)
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(".skill." in name)
    return made


@pytest.mark.parametrize("engine", ENGINES)
def test_out_of_memory_halves_the_packs_and_gives_the_same_gradients(tiny_llama, engine, capsys):
    rows = random_rows(random.Random(3), 40)
    whole = gradients_of(ENGINES[engine](model(tiny_llama)), rows, 10**6, 4096)
    tight = gradients_of(ENGINES[engine](model(tiny_llama)), rows, 100, 4096)
    same(whole, tight)
    seen, made = tight[3].wrapped.seen, tight[3]
    assert seen[0] > 100 and len(seen) > 4 and made.tokens <= 100
    assert "out of memory; going on with stage.tokens_per_forward=" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ENGINES)
def test_where_dropout_fixes_the_packs_activations_are_computed_twice(tiny_llama, engine, capsys):
    rows = random_rows(random.Random(4), 30)
    whole = gradients_of(ENGINES[engine](model(tiny_llama)), rows, 10**6, 4096, fixed=True)
    size = whole[3].wrapped.seen[0]
    tight = gradients_of(ENGINES[engine](model(tiny_llama)), rows, size // 2 + 1, 4096, fixed=True)
    same(whole, tight)
    assert tight[3].tokens == 4096, tight[3].wrapped.seen
    assert "going on with model.gradient_checkpointing=true" in capsys.readouterr().err


def test_a_row_that_does_not_fit_ends_with_what_to_do(tiny_llama):
    lm = PackedLM(model(tiny_llama))
    with pytest.raises(PrereqError, match=r"CUDA out of memory\. Lower stage\.tokens_per"):
        gradients_of(lm, [TokenRow(list(range(4, 44)), 1)], 10, 4096)
    assert all(parameter.grad is None for parameter in lm.parameters())


@pytest.mark.parametrize("engine", ENGINES)
def test_float16_gradients_of_many_labels_do_not_underflow(tiny_llama, engine):
    """A mean over 60,000 labels: without a scale what a label sends back is below float16's least."""
    rows = random_rows(random.Random(5), 40)
    examples = text_step(rows, ("skill",))
    assert 0.5 < loss_scale(examples) / sum(row.labels for row in rows) < 2

    def found(dtype, weight: float):
        base = model(tiny_llama).to(dtype)
        for name, parameter in base.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()
        lm = ENGINES[engine](base)
        made = Gradients(Accelerator(), lm.train(), lm, "cpt", 1, 4096, False, ("text",))
        loss, _, _ = made.step([replace(e, weight=e.weight * weight) for e in examples], 0)
        flat = [p.grad.flatten() for p in lm.parameters() if p.grad is not None]
        return float(loss), torch.cat(flat)

    for weight in (1.0, 1e-6):
        loss, right = found(torch.float32, weight)
        half_loss, half = found(torch.float16, weight)
        assert half_loss == pytest.approx(loss, rel=0.01)
        assert half.dtype == torch.float32 and (half - right).norm() < 0.02 * right.norm()


def test_tokens_that_fit_fill_nine_tenths_of_what_is_free():
    used, tokens = 400 * 10**6, 2000  # 200 kB a token
    assert tokens_that_fit(used, tokens, 8 * 10**9) == 36_000 // 256 * 256
    assert tokens_that_fit(used, tokens, 10**12) == MOST
    assert tokens_that_fit(used, tokens, -5) == 256


def test_auto_tokens_on_a_cpu_are_the_default(tiny_llama):
    lm = PackedLM(model(tiny_llama))
    made = Gradients(Accelerator(), lm, lm, "cpt", 1, 1, False, ("text",))
    made.fit(text_step([TokenRow([1, 5, 6], 1)], ("skill",)))
    assert made.tokens == 4096
