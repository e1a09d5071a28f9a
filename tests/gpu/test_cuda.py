"""What only a GPU can show: `make test-gpu`. Everything else of the tests runs on a CPU.

`PREREQ_GOLDEN=FOLDER` adds the golden numbers (see `tests.invariant.golden`).
"""

import contextlib
import gc
import os
import random
from pathlib import Path

import pytest
import torch

from prereq.config import LoraSettings, Training
from prereq.data.packing import pack, split
from prereq.data.tokens import TokenRow
from prereq.evaluation.generate import generate
from prereq.model import adapters, attention, routed_lora
from prereq.model.memory import checkpoint_activations, estimate
from prereq.model.numerics import ROWS
from prereq.stages import cpt, pretrain, sft
from prereq.tracking.metrics import Tracker
from prereq.training.loop import Run, train
from prereq.training.objectives import SKILL, Draw, Knowledge, Subject, skill_step, text_step
from prereq.training.packed import PackedLM
from prereq.training.plan import text_plan
from tests.configs import composed
from tests.conftest import SMALL_WORLD
from tests.conftest import llama as random_llama
from tests.invariant import golden, oracle
from tests.invariant.test_joint_training import trained

DEVICE = torch.device("cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
RANKS = {SKILL: 16, "k0": 8, "k1": 8}


def llama(dtype: torch.dtype, kind: str):
    """A random Llama: width 512, four layers, eight heads that share two keys."""
    sizes = {
        "vocab_size": 4096,
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "initializer_range": 0.03,
    }
    return random_llama(kind, **sizes).to(dtype)


def adapted(dtype: torch.dtype, kind: str = ROWS):
    model = oracle.peft_model(llama(dtype, kind), RANKS, 1).to(DEVICE)
    for name, parameter in model.named_parameters():
        if "lora_" in name:  # float32, and small, or in 16 bits all is rounding
            parameter.data = parameter.data.float() * 0.2
        parameter.requires_grad_(f".{SKILL}." in name)
    return model


def random_rows(count: int, low: int = 8, high: int = 60) -> list[TokenRow]:
    rng = random.Random(0)
    lengths = [rng.randint(low, high) for _ in range(count)]
    return [
        TokenRow([1, 20, 21, *rng.choices(range(30, 4000), k=n - 3)], rng.randint(3, n - 1))
        for n in lengths
    ]


ALL = random_rows(48)
FICTITIOUS, REAL = ALL[:24], ALL[24:]


def mix():
    subjects = [Subject(True, {None: row}) for row in FICTITIOUS]
    subjects += [Subject(False, {None: row}) for row in REAL]
    drawn = Draw(Knowledge("k0", "passage", True, None), Knowledge("k1", "passage", False, None))
    return skill_step([subjects], [drawn], 0.5)


def ours(model, budget: int = 4096, share: bool = True, dropout: float = 0.0):
    """Loss and gradients of the mix step by the packed engine."""
    lm = PackedLM(model, {SKILL: dropout} if dropout else {}).train()
    total = torch.zeros((), device=DEVICE)
    torch.manual_seed(3)
    for rows in split(mix(), budget):
        loss, _ = lm(pack(rows, DEVICE, shared_prefixes=share and lm.rows))
        loss.backward()
        total += loss.detach()
    return float(total), flat(model)


def peft(dtype: torch.dtype):
    """The same by plain padded PEFT forwards."""
    model = adapted(dtype, "sdpa")
    with torch.device(DEVICE):
        loss = oracle.mix_loss(model, FICTITIOUS, REAL, ["k0"], ["k1"], 0.5)
    loss.backward()
    return float(loss.detach()), flat(model)


def flat(model) -> torch.Tensor:
    named = sorted((n, p.grad) for n, p in model.named_parameters() if p.grad is not None)
    return torch.cat([gradient.flatten() for _, gradient in named]).double()


def off(found: torch.Tensor, right: torch.Tensor) -> float:
    return float((found - right).norm() / right.norm())


@pytest.mark.skipif(not os.environ.get("PREREQ_GOLDEN"), reason="PREREQ_GOLDEN names no folder")
def test_golden_numbers_in_float32(capsys):
    bad = golden.main(Path(os.environ["PREREQ_GOLDEN"]))
    assert bad == 0, capsys.readouterr().out


def test_float32_equals_padded_peft():
    loss, right = peft(torch.float32)
    found_loss, found = ours(adapted(torch.float32))
    assert found_loss == pytest.approx(loss, rel=1e-5) and off(found, right) < 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_16_bits_are_as_near_to_float32_as_pefts_own(dtype):
    _, right = peft(torch.float32)
    theirs, mine = off(peft(dtype)[1], right), off(ours(adapted(dtype))[1], right)
    assert mine < 1.5 * theirs + 1e-3, f"ours {mine:.4f}, PEFT's {theirs:.4f}"


def test_variable_length_attention_equals_padded(monkeypatch):
    if not attention.in_place(DEVICE, torch.bfloat16):
        pytest.skip("needs torch 2.10 and compute capability 8")
    _, flat_rows = ours(adapted(torch.bfloat16))
    monkeypatch.setattr("prereq.training.packed.in_place", lambda device, dtype: False)
    assert off(flat_rows, ours(adapted(torch.bfloat16))[1]) < 0.03


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_neither_packing_nor_sharing_nor_checkpointing_changes_the_gradients(dtype):
    _, right = ours(adapted(dtype))
    close = 1e-4 if dtype == torch.float32 else 0.03
    assert off(ours(adapted(dtype), share=False)[1], right) < close
    assert off(ours(adapted(dtype), budget=200)[1], right) < close
    model = adapted(dtype)
    checkpoint_activations(model.get_base_model())
    assert off(ours(model)[1], right) < close


def test_a_mask_drawn_again_from_its_seed_is_the_stored_one(monkeypatch):
    _, by_seed = ours(adapted(torch.float32), dropout=0.2)
    kept: dict[int, torch.Tensor] = {}
    draw_again = routed_lora.dropped_of

    def stored(like, rate, drawn):
        if drawn not in kept:
            kept[drawn] = draw_again(like, rate, drawn)
        return kept[drawn]

    monkeypatch.setattr(routed_lora, "dropped_of", stored)
    _, right = ours(adapted(torch.float32), dropout=0.2)
    assert kept and off(by_seed, right) < 1e-6
    dropped = torch.cat([(mask == 0).flatten() for mask in kept.values()]).float().mean()
    assert float(dropped) == pytest.approx(0.2, abs=0.005)


def test_nothing_waits_for_the_gpu_in_a_step():
    model = adapted(torch.bfloat16)
    ours(model, dropout=0.05)  # what is made once
    lm = PackedLM(model, {SKILL: 0.05}).train()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss, _ = lm(pack(mix(), DEVICE))
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_generation_equals_transformers():
    class Words:
        eos_token_id = 2

        def decode(self, ids, **_):
            return " ".join(map(str, ids))

    prompts = [row.ids[: row.start] for row in ALL]
    model = llama(torch.float32, ROWS).to(DEVICE).eval()
    plain = llama(torch.float32, "sdpa").to(DEVICE).eval()
    answers = [g.text for g in generate(model, Words(), prompts, 80, 2048)]
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = torch.tensor([prompt], device=DEVICE)
        with torch.inference_mode():
            out = plain.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=80, do_sample=False
            )
        new = out[0, len(prompt) :].tolist()
        new = new[: new.index(2)] if 2 in new else new
        assert answer == " ".join(map(str, new))


def test_knowledge_adapters_trained_together_are_those_trained_one_by_one(tmp_path):
    joint = trained(tmp_path / "joint", ["long", "short"])
    for name in ("long", "short"):
        for key, value in trained(tmp_path / name, [name]).items():
            assert value.is_cuda and (value - joint[key]).abs().max() < 1e-4, key


def test_out_of_memory_is_met_with_smaller_packs(tmp_path):
    """A real one: what the process may take is a share of the card that the first pack exceeds."""
    rows = random_rows(600, 50, 60)

    def loss_of(folder: Path, tokens: int | str) -> tuple[dict, dict[str, torch.Tensor]]:
        folder.mkdir()
        lora = LoraSettings(r=4, dropout=0.0, target_modules=oracle.MODULES)
        model = adapters.attach(llama(torch.float32, ROWS), "a", lora, "base", {}, seed=3)
        training = Training(1, 600, 1e-3, 0.0, 0.95, 0.0, 64)
        run = Run("cpt a", training, "packed", tokens, 600, 1, folder, Tracker(folder=folder))
        done = train(model, text_plan(rows, 600, 1, 1, ("a",)), run)
        return done, {k: p.detach().cpu() for k, p in model.named_parameters() if p.requires_grad}

    _, right = loss_of(tmp_path / "small", 2048)
    _, auto = loss_of(tmp_path / "auto", "auto")
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.set_per_process_memory_fraction(
        min(1.0, (torch.cuda.memory_reserved() + 1.5e9) / total)
    )
    try:
        _, tight = loss_of(tmp_path / "tight", 10**6)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    for name, value in right.items():
        assert (tight[name] - value).abs().max() < 1e-4, name
        assert (auto[name] - value).abs().max() < 1e-4, name


def test_the_estimate_of_memory_is_right_to_15_percent():
    model = adapted(torch.bfloat16)
    lm = PackedLM(model).train()
    rows = random_rows(400, 50, 60)
    examples = text_step(rows, (SKILL,))
    torch.cuda.reset_peak_memory_stats()
    batch = pack(examples, DEVICE)
    loss, _ = lm(batch)
    loss.backward()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    expected = estimate(model, batch.input_ids.shape[1], False).total - 8 * trained
    assert expected == pytest.approx(torch.cuda.max_memory_allocated(), rel=0.15)


def test_memory_is_flat_over_the_stages_of_a_process(tmp_path):
    def held() -> int:
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated()

    words = [*SMALL_WORLD, f"output_dir={tmp_path}", "dataset=world", "method=prereq_tune"]
    before, after = held(), []
    for stage in (pretrain, cpt, sft):
        name = stage.__name__.rpartition(".")[2]
        config = composed(*words, f"stage={name}")
        with contextlib.redirect_stdout(None):
            stage.run(config)
        after.append(held())
    assert max(after) - before < 2**20, [value - before for value in after]
