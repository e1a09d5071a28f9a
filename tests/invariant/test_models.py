"""Models of many kinds: computed rightly by an engine, or refused by it with a way that works."""

import random
from functools import partial

import pytest
import torch
import transformers
from accelerate import Accelerator

from prereq.config import LoraSettings, ModelConfig, Training
from prereq.data.tokens import TokenRow
from prereq.errors import PrereqError
from prereq.evaluation import generate as generate_module
from prereq.evaluation import probe as generation_probe
from prereq.evaluation.generate import generate
from prereq.evaluation.plain import generate_plain
from prereq.model import adapters
from prereq.model.kv_cache import Decode, KVCache
from prereq.model.loading import load_model
from prereq.model.numerics import ROWS
from prereq.training.loop import Run, language_model
from prereq.training.plan import text_plan

SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}
SIZES |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
BLOCK = ["q_proj", "k_proj", "v_proj"]
FUSED = ["query_key_value"]
# Class, what differs from SIZES, layers to adapt, and whether the packed engine takes it.
MODELS = {
    "llama": ("Llama", {}, BLOCK, True),
    "tied": ("Llama", {"tie_word_embeddings": True}, BLOCK, True),
    "scaled head (Granite)": ("Granite", {"logits_scaling": 8.0}, BLOCK, True),
    "scaled head (Cohere)": ("Cohere", {"logit_scale": 0.0625}, BLOCK, True),
    "head of two layers (ModernBERT)": ("ModernBertDecoder", {}, BLOCK, False),
    "absolute positions (OPT)": (
        "OPT",
        {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.2},
        BLOCK,
        True,
    ),
    "ALiBi (BLOOM)": ("Bloom", {"n_layer": 2, "n_head": 4}, FUSED, False),
    "attention of its own (Falcon)": ("Falcon", {"alibi": False}, FUSED, False),
    "no linear layers (GPT-2)": (
        "GPT2",
        {"n_embd": 32, "n_layer": 2, "n_head": 4},
        ["c_attn"],
        False,
    ),
    "soft caps (Gemma 2)": ("Gemma2", {"head_dim": 8}, BLOCK, False),
    "sliding window (Mistral)": ("Mistral", {"sliding_window": 6}, BLOCK, False),
    "convolutions (LFM2)": (
        "Lfm2",
        {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
        BLOCK,
        False,
    ),
    "values of another width (DeepSeek-V3)": (
        "DeepseekV3",
        {"num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4}
        | {"qk_nope_head_dim": 8, "v_head_dim": 6, "n_routed_experts": 4, "n_shared_experts": 1}
        | {"n_group": 1, "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
        ["q_a_proj", "o_proj"],
        True,
    ),
    "experts (Mixtral)": ("Mixtral", {"num_local_experts": 4}, BLOCK, True),
}


def rows() -> list[TokenRow]:
    rng = random.Random(0)
    return [TokenRow([1, *(rng.randint(3, 63) for _ in range(8 + n))], 4) for n in range(4)]


def write(folder, name: str):
    """A random model of `MODELS` in a folder, the layers to adapt, whether the packed engine takes it."""
    kind, changes, targets, packed = MODELS[name]
    config = getattr(transformers, f"{kind}Config")(**SIZES | changes)
    head = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    torch.manual_seed(0)
    getattr(transformers, head)(config).save_pretrained(folder)
    return folder, targets, packed


@pytest.fixture(scope="module", params=MODELS)
def made(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("model"), request.param)


def language_model_of(folder, targets, engine: str, **options):
    config = ModelConfig(name="test", path=str(folder), **options)
    model = load_model(folder, config, engine)
    lora = LoraSettings(r=4, dropout=0.0, target_modules=targets)
    model = adapters.attach(model, ["skill"], lora, folder, {}, seed=1)
    run = Run("test", Training(1, 4, 1e-3, 0.0, 0.999, 0.1, 64), engine, 64, 60, 1, folder, None)
    plan = text_plan(rows(), 4, 1, 1, ("skill",))
    return language_model(model, plan, run, {}, Accelerator()), plan


def loss_and_gradient(lm, plan, names=("text",)) -> tuple[float, torch.Tensor]:
    total = 0.0
    for pack in lm.packs(plan.step(0), 10**6):
        loss, _ = lm(lm.layout(pack, torch.device("cpu"), names))
        loss.backward()
        total += float(loss.detach())
    trained = [p for p in lm.model.parameters() if p.requires_grad]
    return total, torch.cat([p.grad.flatten() for p in trained])


def expected_loss(lm, plan) -> float:
    """The model's own forward, a row at a time; the new adapter changes nothing yet."""
    total = labels = 0
    model = transformers.AutoModelForCausalLM.from_pretrained(
        lm.inner.name_or_path, attn_implementation="eager"
    ).eval()
    for row in plan.rows:
        ids = torch.tensor([row.ids])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        losses = torch.nn.functional.cross_entropy(
            logits[row.start - 1 : -1], ids[0, row.start :], reduction="sum"
        )
        total, labels = total + float(losses), labels + row.labels
    return total / labels


def test_the_packed_engine_is_right_or_refuses(made):
    folder, targets, packed = made
    if packed:
        lm, plan = language_model_of(folder, targets, "packed")
        loss, gradient = loss_and_gradient(lm, plan)
        assert loss == pytest.approx(expected_loss(lm, plan), rel=1e-5)
        padded, _ = language_model_of(folder, targets, "padded")
        torch.testing.assert_close(
            gradient, loss_and_gradient(padded, plan)[1], rtol=1e-3, atol=1e-6
        )
    else:
        with pytest.raises(PrereqError, match=r"stage\.engine=padded"):
            language_model_of(folder, targets, "packed")


def test_the_padded_engine_is_right_for_every_model(made):
    folder, targets, _ = made
    lm, plan = language_model_of(folder, targets, "padded")
    loss, gradient = loss_and_gradient(lm, plan)
    assert loss == pytest.approx(expected_loss(lm, plan), rel=1e-5)
    assert gradient.abs().max() > 0


class Words:
    eos_token_id, pad_token_id = 2, 0

    def decode(self, ids, skip_special_tokens):
        return " ".join(map(str, ids))


def test_answers_are_right_or_refused(made):
    folder, _, packed = made
    prompts = [row.ids for row in rows()]
    config = ModelConfig(name="test", path=str(folder))
    plain = load_model(folder, config, "padded").eval()
    expected = generate_plain(plain, Words(), prompts, 5, 1000)
    for prompt, generation in zip(prompts, expected, strict=True):  # every token anew, no cache
        ids = list(prompt)
        for _ in range(5):
            inputs = torch.tensor([ids])
            with torch.no_grad():
                out = plain(
                    input_ids=inputs, attention_mask=torch.ones_like(inputs), use_cache=False
                )
            ids.append(int(out.logits[0, -1].argmax()))
            if ids[-1] == 2:
                break
        new = [token for token in ids[len(prompt) :] if token != 2]
        assert generation.text == " ".join(map(str, new))
    try:
        model = load_model(folder, config, "packed").eval()
        generation_probe.check(model, prompts)
    except PrereqError as refused:
        assert not packed and "stage.engine=padded" in str(refused)
    else:
        answers = generate(model, Words(), prompts, 5, 1000)
        assert [g.text for g in answers] == [g.text for g in expected]


@pytest.mark.parametrize(
    ("name", "works"), [("soft caps (Gemma 2)", "eager"), ("sliding window (Mistral)", "sdpa")]
)
def test_the_refusal_names_another_attention_that_is_right(tmp_path, name, works):
    folder, targets, _ = write(tmp_path, name)
    with pytest.raises(PrereqError, match=f"model.attn_implementation={works}, or stage"):
        language_model_of(folder, targets, "packed")
    lm, plan = language_model_of(folder, targets, "packed", attn_implementation=works)
    assert loss_and_gradient(lm, plan)[0] == pytest.approx(expected_loss(lm, plan), rel=1e-5)


def test_lora_on_the_head_is_left_to_the_padded_engine(tiny_llama, tmp_path):
    tiny_llama().save_pretrained(tmp_path)
    with pytest.raises(PrereqError, match="LoRA on the LM head"):
        language_model_of(tmp_path, ["q_proj", "lm_head"], "packed")
    lm, plan = language_model_of(tmp_path, ["q_proj", "lm_head"], "padded")
    assert loss_and_gradient(lm, plan)[0] == pytest.approx(expected_loss(lm, plan), rel=1e-5)


@pytest.mark.parametrize(("bits", "close"), [("4bit", 0.2), ("8bit", 0.02)])
def test_a_quantized_base_trains_by_the_padded_engine(tmp_path, bits, close):
    pytest.importorskip("bitsandbytes", reason="pip install 'prereq[quantize]'")
    folder, targets, _ = write(tmp_path, "llama")
    lm, plan = language_model_of(folder, targets, "padded", quantize=bits, dtype="float32")
    loss, gradient = loss_and_gradient(lm, plan)
    assert loss == pytest.approx(expected_loss(lm, plan), rel=close) and gradient.abs().max() > 0


def test_ids_and_positions_beyond_the_tables_are_refused(tmp_path):
    config = transformers.LlamaConfig(**SIZES | {"max_position_embeddings": 10})
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(PrereqError, match=r"12 tokens, and .* has 10 positions"):
        language_model_of(tmp_path, BLOCK, "packed")
    config = transformers.LlamaConfig(**SIZES | {"vocab_size": 40})
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(PrereqError, match="has embeddings for 0 to 39 only"):
        language_model_of(tmp_path, BLOCK, "padded")


def test_recurring_shapes_change_no_answer(tiny_llama, monkeypatch):
    """What decoding does on a GPU: attention sees rows and tokens that are not in use."""
    rng = random.Random(0)
    prompts = [[1, *rng.choices(range(4, 256), k=rng.randint(3, 70))] for _ in range(23)]
    model = tiny_llama(ROWS).eval()
    shapes: dict[bool, set[tuple[int, int]]] = {}
    answers = {}
    for recurring in (False, True):
        monkeypatch.setattr(generate_module, "KVCache", partial(KVCache, recurring=recurring))
        seen = shapes[recurring] = set()
        attend = Decode.attend

        def noted(self, *args, seen=seen, attend=attend, **kwargs):
            seen.add((self.shown, self.longest))
            return attend(self, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(Decode, "attend", noted)
            found = generate_module.generate(model, Words(), prompts, 90, 1400)
        answers[recurring] = [(g.text, round(g.confidence, 5)) for g in found]
    assert answers[True] == answers[False]
    assert all(tokens % 64 == 0 and rows in (1, 2, 4, 8) for rows, tokens in shapes[True])
    assert len(shapes[True]) <= 10 < len(shapes[False])
