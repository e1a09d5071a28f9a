"""Knowledge LoRAs trained in one pass over the base are those trained one by one; dropout masks."""

import random

import pytest
import torch

from prereq.config import LoraSettings, Training
from prereq.data.packing import pack
from prereq.data.tokens import Example, TokenRow
from prereq.model import adapters, dropout, routed_lora
from prereq.model.dropout import add_kept, draw, drop
from prereq.model.memory import checkpoint_activations
from prereq.model.numerics import ROWS
from prereq.tracking.metrics import Tracker
from prereq.training.loop import Part, Run, train
from prereq.training.packed import PackedLM
from prereq.training.plan import joint_plan, text_plan
from tests.conftest import llama
from tests.invariant import oracle

# Sources of unlike sizes and schedules; a small learning rate, as Adam's first steps magnify rounding.
TRAININGS = {
    "long": Training(3, 8, 1e-3, 0.1, 0.95, 0.1, 64),
    "short": Training(1, 4, 2e-3, 0.0, 0.999, 0.3, 64),
}
ROWS_OF = {"long": 30, "short": 9}


def trained(folder, names: list[str]) -> dict[str, torch.Tensor]:
    rng = {name: random.Random(name) for name in TRAININGS}
    plans = {}
    for name in names:
        rows = [
            TokenRow([1] + [rng[name].randint(4, 255) for _ in range(rng[name].randint(3, 11))], 1)
            for _ in range(ROWS_OF[name])
        ]
        training = TRAININGS[name]
        plans[name] = text_plan(rows, training.batch_size, training.epochs, 1, (name,))
    lora = LoraSettings(r=4, dropout=0.0, target_modules=oracle.MODULES)
    model = adapters.attach(llama(ROWS), names, lora, "base", {}, seed=3)
    parts = [Part(name, TRAININGS[name], plans[name].steps) for name in names]
    plan = joint_plan(plans) if len(plans) > 1 else plans[names[0]]
    folder.mkdir()
    run = Run("test", TRAININGS[names[0]], "packed", 60, 600, 1, folder, Tracker(folder=folder))
    train(model, plan, run, parts=parts)
    return {k: p.detach() for k, p in model.named_parameters() if p.requires_grad}


def test_adapters_trained_together_are_those_trained_one_by_one(tmp_path):
    joint = trained(tmp_path / "joint", ["long", "short"])
    single = {
        key: value for name in TRAININGS for key, value in trained(tmp_path / name, [name]).items()
    }
    assert joint.keys() == single.keys()
    for key, value in single.items():
        assert (value - joint[key]).abs().max() < 1e-5, key
    # The log tells the sources apart.
    line = (tmp_path / "joint" / "metrics.jsonl").read_text().splitlines()[0]
    assert "loss/long" in line and "loss/short" in line


def test_dropout_drops_the_share_it_should_and_follows_the_seed():
    torch.manual_seed(0)
    x = torch.ones(1001, 331)
    dropped = draw(x, 0.05)
    kept = drop(x, dropped)
    assert set(kept.unique().tolist()) == {0.0, 1.0} and bool((x == 1).all())
    assert abs(kept.mean() - 0.95) < 0.002  # five standard deviations
    assert len(dropped) == (kept == 0).sum()
    neighbours = kept.flatten()[:-1] * kept.flatten()[1:]
    assert abs(neighbours.mean() - 0.95**2) < 0.004  # independent
    rows = kept.mean(1)
    assert abs(rows.std() - (0.95 * 0.05 / 331) ** 0.5) < 0.002
    torch.manual_seed(0)
    assert torch.equal(dropped, draw(x, 0.05))


@pytest.mark.parametrize("rate", [1e-4, 0.3, 0.9])
def test_dropout_of_any_rate_reaches_the_last_element(rate):
    torch.manual_seed(1)
    shares = [len(draw(torch.ones(7), rate)) / 7 for _ in range(3000)]
    assert sum(shares) / 3000 == pytest.approx(rate, abs=0.012)


@pytest.mark.parametrize("by_seed", [False, True])
def test_a_product_is_added_but_for_the_dropped_elements(by_seed):
    torch.manual_seed(2)
    x, left, right = torch.randn(9, 40), torch.randn(9, 3), torch.randn(3, 40)
    dropped = dropout.dropped_of(x, 0.2, 5 if by_seed else draw(x, 0.2))
    expected = x + drop(left @ right, dropped)
    assert 40 < ((expected == x).sum()) < 110
    add_kept(x, left, right, dropped)
    torch.testing.assert_close(x, expected)
    add_kept(x, left, right, None)
    torch.testing.assert_close(x, expected + left @ right)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_mask_drawn_again_from_its_seed_gives_the_gradients_of_a_stored_one(
    tiny_llama, monkeypatch, checkpointing
):
    """The way of a GPU against that of a CPU, on the same masks."""
    rows = [TokenRow([1, *random.Random(n).choices(range(4, 256), k=9)], 1) for n in range(12)]
    masks = []

    def seeds(x, rate):
        masks.append(int(torch.randint(2**62, ())))
        return masks[-1]

    def places(x, rate):
        return (dropout.dropped_of(x, rate, seeds(x, rate)) == 0).flatten().nonzero()[:, 0]

    def gradients(drawn):
        model = oracle.peft_model(tiny_llama(ROWS), {"skill": 8, "real": 4}, 0)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(".skill." in name)
        if checkpointing:
            checkpoint_activations(model.get_base_model())
        lm = PackedLM(model, {"skill": 0.2, "real": 0.1}).train()
        monkeypatch.setattr(routed_lora, "draw", drawn)
        torch.manual_seed(7)
        examples = [Example(row, ("real", "skill"), "text", 1 / 100) for row in rows]
        loss, _ = lm(pack(examples))
        loss.backward()
        return loss.detach(), [p.grad for p in model.parameters() if p.grad is not None]

    loss, by_seed = gradients(seeds)
    first, masks[:] = list(masks), []
    stored_loss, stored = gradients(places)
    assert masks == first and len(masks) == (2 if checkpointing else 1) * 2 * 2 * 4
    torch.testing.assert_close(loss, stored_loss)
    torch.testing.assert_close(by_seed, stored)
