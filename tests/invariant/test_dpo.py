"""DPO by TRL: it sees our tokens, starts as its reference, changes the adapter alone, and resumes exactly."""

import json
import math
import os
import random
import signal

import pytest
import torch

pytest.importorskip("trl")

from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from prereq.config import Training
from prereq.errors import Preempted, PrereqError
from prereq.model import adapters
from prereq.tracking.metrics import Tracker
from prereq.training import dpo
from prereq.training.loop import Run
from prereq.training.preferences import PairTokens
from prereq.world import tokenizer

MODULES = ["q_proj", "v_proj", "up_proj"]
BATCH, EPOCHS, COUNT = 4, 3, 11  # so that an epoch ends with a batch of three
STEPS = EPOCHS * math.ceil(COUNT / BATCH)


def pairs() -> list[PairTokens]:
    rng = random.Random(0)

    def some(least: int, most: int) -> list[int]:
        return [rng.randrange(10, 250) for _ in range(rng.randint(least, most))]

    return [PairTokens([1, *some(3, 6)], [*some(1, 4), 2], [*some(1, 4), 2]) for _ in range(COUNT)]


def adapted(llama):
    """A tiny Llama whose adapter `default` has learnt something already."""
    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules=MODULES, task_type="CAUSAL_LM", lora_dropout=0.1)
    model = get_peft_model(llama(), settings, adapter_name=dpo.ADAPTER)
    for _, layer in adapters.lora_layers(model):
        torch.nn.init.normal_(layer.lora_B[dpo.ADAPTER].weight, std=0.05)
    return model


def trained(llama, folder, tokens=10**6, on_epoch=lambda epoch: None, prepare=lambda model: None):
    model = adapted(llama)
    prepare(model)
    training = Training(
        EPOCHS, BATCH, learning_rate=1e-2, weight_decay=0.01, beta2=0.999, warmup=0.1
    )
    run = Run("dpo", training, "packed", tokens, 10**6, 1, folder, Tracker(folder=folder))
    summary = dpo.train(model, tokenizer.build(), pairs(), run, beta=0.5, on_epoch=on_epoch)
    adapters.save(model, dpo.ADAPTER, folder / "adapter", 0.0)
    return model, summary, load_file(folder / "adapter" / "adapter_model.safetensors")


def logged(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dpo")


@pytest.fixture(scope="module")
def whole(folder):
    """An uninterrupted run: its model, summary, final adapter, and every sequence that it was fed."""
    from tests.conftest import llama

    seen, before, epochs = set(), {}, []

    def watch(model):
        before.update({n: p.clone() for n, p in model.named_parameters()})

        def look(_, args):
            seen.update(tuple(row) for row in args[0].tolist())

        model.get_input_embeddings().register_forward_pre_hook(look)

    model, summary, adapter = trained(llama, folder, on_epoch=epochs.append, prepare=watch)
    return model, summary, adapter, seen, before, epochs


def test_the_model_is_fed_the_very_tokens_of_the_pairs(whole):
    pad = tokenizer.build().pad_token_id
    assert pad not in range(10, 250)
    fed = {tuple(token for token in row if token != pad) for row in whole[3]}
    rows = {tuple(p.prompt + answer) for p in pairs() for answer in (p.chosen, p.rejected)}
    assert fed == rows


def test_it_starts_as_its_reference_and_comes_to_prefer_what_is_chosen(whole, folder):
    lines = logged(folder)
    assert [line["step"] for line in lines] == list(range(STEPS)) and whole[1]["steps"] == STEPS
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert lines[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert lines[-1]["loss"] < 0.5 and lines[-1]["rewards/margins"] > 0.5
    assert whole[5] == [1, 2, 3]


def test_only_the_adapter_has_changed(whole):
    model, _, adapter, _, before, _ = whole
    after = dict(model.named_parameters())
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == {name for name in before if f".{dpo.ADAPTER}." in name}
    for name in changed:
        reference = after[name.replace(f".{dpo.ADAPTER}.", ".ref.")]
        assert torch.equal(reference, before[name]) and not reference.requires_grad
    assert len(adapter) == len(changed) and not any("ref" in name for name in adapter)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(whole, tiny_llama, tmp_path, folder):
    def stop(epoch):
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Preempted, match=f"stopped at step {STEPS // EPOCHS} of {STEPS}"):
        trained(tiny_llama, tmp_path, on_epoch=stop)
    torn = tmp_path / dpo.CHECKPOINTS / "checkpoint-8"  # as of a machine that lost its power
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{")
    _, _, adapter = trained(tiny_llama, tmp_path)
    assert adapter.keys() == whole[2].keys()
    assert all(torch.equal(adapter[name], whole[2][name]) for name in adapter)
    assert logged(tmp_path) == logged(folder)


def test_accumulation_changes_nothing(whole, tiny_llama, tmp_path, folder):
    """Up to rounding, for the last step of an epoch too, whose forwards are of two pairs and of one."""
    trained(tiny_llama, tmp_path, tokens=2 * 2 * 12)
    for mine, other in zip(logged(tmp_path), logged(folder), strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], abs=1e-4)
        assert mine["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


def test_a_model_that_trl_computes_otherwise_is_refused(tiny_llama, tmp_path):
    def scaled(model):  # TRL multiplies by the head's weight itself, so that it misses this
        head = model.get_output_embeddings()
        head.register_forward_hook(lambda _, __, logits: logits * 2)

    with pytest.raises(PrereqError, match=r"log-probabilities of answers differ .* another method"):
        trained(tiny_llama, tmp_path, prepare=scaled)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_loss_that_is_not_finite_is_said_at_once(tiny_llama, tmp_path, monkeypatch):
    monkeypatch.setattr(dpo._Trainer, "training_step", lambda self, *_: torch.tensor(torch.nan))
    with pytest.raises(PrereqError, match=r"step 0 \(from 0\) has loss nan .*learning_rate_factor"):
        trained(tiny_llama, tmp_path)
    assert not list(tmp_path.glob("checkpoint*"))
