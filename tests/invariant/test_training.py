"""What must stay the same around a training run: frozen weights, a resumed run, generation."""

import gc
import json
import random
import weakref
from dataclasses import replace

import pytest
import torch

from prereq.config import LoraSettings, Training
from prereq.data.tokens import TokenRow
from prereq.errors import Preempted, PrereqError
from prereq.evaluation.generate import Generation, generate
from prereq.evaluation.sampling import sampler
from prereq.model import adapters
from prereq.model.numerics import ROWS
from prereq.tracking.metrics import Tracker
from prereq.training.loop import Run, train
from prereq.training.objectives import SKILL, Knowledge, Subject
from prereq.training.plan import skill_plan
from tests.invariant import oracle

TRAINING = Training(3, 8, 1e-2, 0.01, 0.999, 0.1, 64)
DROPOUT = {SKILL: 0.05}
KNOWLEDGE = [Knowledge("v0", "passage", True, 0), Knowledge("v1", "statement", True, 1)]


@pytest.fixture
def knowledge_folders(tiny_llama, tmp_path):
    model = oracle.peft_model(tiny_llama(), {"v0": 4, "v1": 2}, 7)
    for name in ("v0", "v1"):
        adapters.save(model, name, tmp_path / name, 0.0)
    return {name: tmp_path / name for name in ("v0", "v1")}


def plan():
    rng = random.Random(0)

    def row() -> TokenRow:
        length = rng.randint(4, 12)
        return TokenRow([1] + [rng.randint(4, 255) for _ in range(length - 1)], length // 2)

    subjects = [Subject(True, {0: row(), 1: row()}) for _ in range(20)]
    return skill_plan(
        subjects, KNOWLEDGE, batch_size=8, draw_group=4, epochs=3, seed=1, alternate=True
    )


def skill_model(tiny_llama, folders):
    lora = LoraSettings(r=4, dropout=0.05, target_modules=oracle.MODULES)
    model = adapters.attach(tiny_llama(ROWS), SKILL, lora, "base", folders, seed=3)
    return model


def run_in(folder, checkpoint_seconds=600, budget=40) -> Run:
    folder.mkdir(exist_ok=True)
    return Run(
        "test",
        TRAINING,
        "packed",
        budget,
        checkpoint_seconds,
        1,
        folder,
        Tracker(folder=folder),
    )


def trained(model) -> dict[str, torch.Tensor]:
    return {k: p.detach().clone() for k, p in model.named_parameters() if p.requires_grad}


def test_only_the_skill_trains_and_all_else_is_bit_identical(
    tiny_llama, knowledge_folders, tmp_path
):
    model = skill_model(tiny_llama, knowledge_folders)
    before = {k: p.detach().clone() for k, p in model.named_parameters()}
    train(model, plan(), run_in(tmp_path / "run"), DROPOUT)
    for name, parameter in model.named_parameters():
        same = torch.equal(parameter, before[name])
        assert same != (f".{SKILL}." in name), name


def test_adapters_train_in_float32_on_a_bfloat16_base(tiny_llama, knowledge_folders, tmp_path):
    lora = LoraSettings(r=4, dropout=0.0, target_modules=oracle.MODULES)
    base = tiny_llama(ROWS).to(torch.bfloat16)
    model = adapters.attach(base, SKILL, lora, "base", knowledge_folders, seed=3)
    before = trained(model)
    train(model, plan(), run_in(tmp_path / "run"))
    for name, value in trained(model).items():
        assert value.dtype == torch.float32 and not torch.equal(value, before[name])
        # Updates finer than bfloat16 resolves have not been lost.
        assert not torch.equal(value, value.to(torch.bfloat16).float())


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    tiny_llama, knowledge_folders, tmp_path, monkeypatch
):
    model = skill_model(tiny_llama, knowledge_folders)
    train(model, plan(), run_in(tmp_path / "whole"), DROPOUT)
    expected = trained(model)

    for stop_at in (2, 5):  # stopped twice
        model = skill_model(tiny_llama, knowledge_folders)
        steps = plan()

        def step(index, steps=steps, stop_at=stop_at):
            if index == stop_at:
                raise KeyboardInterrupt
            return steps.step(index)

        interrupted = replace(steps, step=step)
        with pytest.raises(KeyboardInterrupt):
            train(model, interrupted, run_in(tmp_path / "parts", checkpoint_seconds=0), DROPOUT)
    model = skill_model(tiny_llama, knowledge_folders)
    train(model, plan(), run_in(tmp_path / "parts"), DROPOUT)
    for name, value in expected.items():
        assert torch.equal(trained(model)[name], value), name
    logged = [(tmp_path / f / "metrics.jsonl").read_text().count("\n") for f in ("whole", "parts")]
    assert logged == [9, 9]


def test_a_model_is_freed_with_the_last_word_of_it(tiny_llama, knowledge_folders, tmp_path):
    """A cycle of references would keep each stage's model beside the next one's."""
    model = skill_model(tiny_llama, knowledge_folders)
    kept = [weakref.ref(p) for name, p in model.named_parameters() if "base_layer" in name]
    train(model, plan(), run_in(tmp_path / "run"), DROPOUT)
    gc.collect()
    gc.disable()
    try:
        del model
        assert not [ref for ref in kept if ref() is not None]
    finally:
        gc.enable()


def test_sigterm_saves_a_checkpoint_and_asks_to_be_resumed(tiny_llama, knowledge_folders, tmp_path):
    import os
    import signal

    model = skill_model(tiny_llama, knowledge_folders)
    steps = plan()

    def step(index):
        if index == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return steps.step(index)

    with pytest.raises(Preempted):
        train(
            model,
            replace(steps, step=step),
            run_in(tmp_path / "run"),
            DROPOUT,
        )
    position = json.loads((tmp_path / "run" / "checkpoint" / "position.json").read_text())
    assert (position["step"], position["steps"]) == (5, 9)


@pytest.mark.parametrize("kept", [0, 4])
def test_a_loss_that_is_no_number_stops_the_run_and_names_step_and_rows(
    tiny_llama, knowledge_folders, tmp_path, kept
):
    model, steps = skill_model(tiny_llama, knowledge_folders), plan()

    def step(index):
        if index == 4:
            # Behind all attention, some kernels of which drop what is no number.
            with torch.no_grad():
                [p for p in model.parameters() if p.requires_grad][-1][0, 0] = float("nan")
        return steps.step(index)

    run = run_in(tmp_path / "run", checkpoint_seconds=0 if kept else 600)
    with pytest.raises(PrereqError, match=r"step 4 .* has loss nan .* its rows are \d") as error:
        train(model, replace(steps, step=step), run, DROPOUT)
    last = f"checkpoint is of step {kept}" if kept else "no checkpoint was saved"
    assert last in str(error.value) and "stage.learning_rate" in str(error.value)
    assert (tmp_path / "run/metrics.jsonl").read_text().count("\n") == 4
    assert (tmp_path / "run/checkpoint").exists() == bool(kept)


class Words:
    """A tokenizer whose text is the ids."""

    eos_token_id, pad_token_id = 2, 3

    def decode(self, ids, skip_special_tokens):
        return " ".join(map(str, ids))


def test_greedy_generation_equals_row_by_row_generate(tiny_llama):
    model, packed = tiny_llama().eval(), tiny_llama(ROWS).eval()
    # Make the end likely enough that rows leave the batch at different steps.
    for one in (model, packed):
        one.lm_head.weight.data[2] += 0.25
    rng = random.Random(2)
    prompts = [[1] + [rng.randint(4, 255) for _ in range(rng.randint(2, 9))] for _ in range(16)]
    prompts += [[*prompt[:4], 5, 6] for prompt in prompts[:6]] + prompts[:2]  # begin alike
    for budget in (1, 60, 150, 10000):
        found = generate(packed, Words(), prompts, 12, budget)
        for prompt, generation in zip(prompts, found, strict=True):
            ids = model.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt)),
                max_new_tokens=12,
                do_sample=False,
            )
            new = ids[0, len(prompt) :].tolist()
            assert generation.ended == (new[-1] == 2)
            assert generation.text == " ".join(str(t) for t in new if t != 2)
    assert 0 < sum(g.ended for g in found) < len(found)


def test_sampled_generation_repeats_with_its_seed_and_each_draw_is_the_models(tiny_llama):
    model, alone = tiny_llama(ROWS).eval(), tiny_llama().eval()
    prompts = [[1, 5, 9], [1, 7], [1, 5, 9, 11], [1, 200, 3]] * 3

    def sampled(seed: int) -> list[Generation]:
        choose = sampler(0.8, 0.9, seed, torch.device("cpu"))
        return generate(model, Words(), prompts, 8, 60, choose)

    once, again, other = sampled(1), sampled(1), sampled(2)
    assert once == again != other
    assert len({g.text for g in once}) > len(prompts) / 2  # the prompts repeat, the answers do not
    for prompt, generation in zip(prompts, once, strict=True):
        new = [int(word) for word in generation.text.split()] + [2] * generation.ended
        logits = alone(torch.tensor([prompt + new])).logits[0, len(prompt) - 1 : -1].detach()
        logs = logits.log_softmax(-1)[range(len(new)), new]
        assert generation.confidence == pytest.approx(logs.mean().exp().item(), rel=1e-4)


def test_merging_equals_the_adapters_and_leaves_no_trace(tiny_llama, knowledge_folders):
    ids = torch.tensor([[1, 20, 30, 40]])
    model = tiny_llama()
    before = {k: p.clone() for k, p in model.named_parameters()}
    both = oracle.peft_model(tiny_llama(), {"v0": 4, "v1": 2}, 7)
    both.base_model.set_adapter(["v0", "v1"])
    with adapters.merged(model, list(knowledge_folders.values())):
        torch.testing.assert_close(
            model(ids).logits, both(ids).logits, **{"rtol": 1e-4, "atol": 1e-4}
        )
    assert all(torch.equal(p, before[k]) for k, p in model.named_parameters())
