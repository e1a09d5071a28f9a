"""What goes out with a model: its chat template, its card, the ranks of servers, the check itself."""

import json
import shlex
from dataclasses import replace

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast

from prereq.config.command_line import arguments
from prereq.config.command_line import check as check_words
from prereq.config.schema.export import problems
from prereq.data.prompts import asked
from prereq.data.tokens import prompt_ids, skill_row
from prereq.errors import PrereqError
from prereq.export import card, check, fresh, licence, write
from prereq.export.template import asked_of_server, conversation, with_template
from tests.configs import composed
from tests.conftest import REPOSITORY
from tests.published import write_model
from tests.unit.test_prompts import CHATML, INSTRUCT, ROW, THINKING, TURNS, tokenizer

ROWS = [ROW, replace(ROW, user='{"Straße"}\n\\n <s>{{ 7 }}  ', assistant="it's\n“so”")]
SPACED = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"  # noqa: E501
TEMPLATES = ["Q: {question}\nA:\n", "{{\"it's\"}} \\ {question} — {question}? 🙂 '", "{question}"]


def spaces_as_llama(rstrip: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer that puts a space before a text, but not after a start token in it."""
    letters = ["▁", "\n", *map(chr, range(33, 127)), *"ß“”—é"]
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    vocabulary = {token: i for i, token in enumerate(special + letters)}
    inner = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Metaspace()
    inner.add_special_tokens([AddedToken("<s>", special=True, normalized=False, rstrip=rstrip)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )  # fmt: skip


def without_start() -> PreTrainedTokenizerFast:
    tok = tokenizer(None, end="</s>")
    tok.bos_token = None
    return tok


@pytest.mark.parametrize("prompt", ["plain", *TEMPLATES])
@pytest.mark.parametrize("make", [lambda: tokenizer(None), lambda: tokenizer(CHATML, adds_bos=True),
                                  without_start, spaces_as_llama])  # fmt: skip
def test_a_chat_server_asks_with_the_tokens_of_the_training(make, prompt):
    tok = make()
    kept = tok.chat_template
    out = with_template(tok, prompt, ROWS)
    assert tok.chat_template == kept  # the tokenizer itself is left alone
    for row in ROWS:
        assert asked_of_server(out, row) == prompt_ids(tok, row, prompt)
        whole = [*conversation(row), {"role": "assistant", "content": row.assistant}]
        text = out.apply_chat_template(whole, tokenize=False)
        assert out(text, add_special_tokens=False).input_ids == skill_row(tok, row, prompt).ids
    for other in ([*conversation(ROW)] * 2, [{"role": "system", "content": "x"}]):
        with pytest.raises(Exception, match="send one message of the user"):
            out.apply_chat_template(other, tokenize=False)


@pytest.mark.parametrize("template", [CHATML, INSTRUCT, THINKING, SPACED])
def test_with_chat_the_template_of_the_base_asks_as_the_training_did(template):
    end = "<|im_end|>" if "im_end" in template else "</s>"
    tok = tokenizer(template, end=end)
    rows = [ROW, replace(ROW, turns=TURNS[1:])]
    out = with_template(tok, "chat", rows)
    for row in rows:
        assert asked_of_server(out, row) == prompt_ids(tok, row, "chat")
        text = out.apply_chat_template(conversation(row), tokenize=False)
        assert text == tok.apply_chat_template(conversation(row), tokenize=False)
    same = template in (CHATML, INSTRUCT)  # the others write something else before an answer
    assert (out.chat_template == template) == same


def test_a_prompt_that_no_template_can_ask_is_refused():
    tok = spaces_as_llama(rstrip=True)  # its start token eats the space after it
    with pytest.raises(PrereqError, match=r"no chat template of .* gives the tokens"):
        with_template(tok, "  {question}:", ROWS)


def test_what_plain_transformers_loads_is_held_against_base_and_skill(tmp_path):
    """The right folder passes, with its figures; other weights, dtype or template do not."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_model(tmp_path)
    tok = with_template(AutoTokenizer.from_pretrained(tmp_path), "plain", [ROW])
    tok.save_pretrained(tmp_path)
    settings = write.generation(tok, 8)
    settings.save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    prompts = [prompt_ids(tok, ROW)]
    known = fresh.measured(model, prompts, settings, 4, lambda: None)
    how = ("merged", "float32", "float32", "cpu", "", "main")
    request = check.Request(str(tmp_path), *how, prompts, [conversation(ROW)], 4, False)
    found = check.checked(request, known)
    assert found.logit_difference <= 1e-6 and found.answers_differing == 0
    assert "0 of 1 greedy answers (up to 4 tokens) differ" in found.in_words()
    with pytest.raises(
        PrereqError, match=r"it loads in torch.float32, and was written in bfloat16"
    ):
        check.checked(replace(request, dtype="bfloat16"), known)
    with pytest.raises(PrereqError, match="its chat template asks"):
        check.checked(replace(request, prompts=[prompts[0][1:]]), known)


def test_in_16_bits_differing_answers_are_counted_and_half_of_them_refused(monkeypatch):
    logits, answers = torch.zeros(4, 3), [[1], [2], [3], [4]]
    monkeypatch.setattr(check, "_answered", lambda request: (logits, answers))
    request = check.Request(
        "", "merged", "bfloat16", "float32", "cpu", "", "", answers, [], 1, False
    )
    found = check.checked(request, (logits + 0.1, [[1], [2], [0], [0]]))
    assert (found.answers_differing, found.tolerance) == (2, None)
    with pytest.raises(PrereqError, match="3 of 4 greedy answers"):
        check.checked(request, (logits, [[1], [0], [0], [0]]))
    exact = replace(request, dtype="float32")
    assert check.checked(exact, (logits + 9e-5, [[0]] * 4)).tolerance == 1e-4
    large = torch.full((4, 3), 20.0)
    monkeypatch.setattr(check, "_answered", lambda request: (large, answers))
    assert check.checked(exact, (large + 1e-3, answers)).tolerance == pytest.approx(2e-3, rel=1e-3)
    for other in (large + 3e-3, large * torch.nan):
        with pytest.raises(PrereqError, match=r"is not base \+ skill .* so nothing was published"):
            check.checked(exact, (other, answers))


@pytest.mark.parametrize(("r", "room"), [(4, 8), (16, 16), (24, 32), (300, 320), (600, None)])
def test_the_rank_that_vllm_must_be_told(tmp_path, r, room):
    config = {"peft_type": "LORA", "r": r, "lora_alpha": 2 * r, "modules_to_save": None}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file({"x": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    found, why = write.vllm_rank(tmp_path)
    assert found == room and f"rank {r}" in why
    (tmp_path / "adapter_config.json").write_text(
        json.dumps(config | {"modules_to_save": ["head"]})
    )
    assert write.vllm_rank(tmp_path)[0] is None


def test_answers_are_greedy_whatever_the_base_would_do(tmp_path):
    settings = write.generation(tokenizer(None), 16)
    settings.save_pretrained(tmp_path)
    read = GenerationConfig.from_pretrained(tmp_path)
    assert (read.do_sample, read.max_new_tokens, read.temperature) == (False, 16, None)
    assert (read.eos_token_id, read.pad_token_id) == (4, 0)


TOLD = card.Told(
    title="sft on popqa",
    format="adapter",
    base="org/base",
    base_id="org/base",
    base_commit="a" * 40,
    dataset="popqa of org/data",
    dataset_id="org/data",
    method="sft",
    family="plain",
    knowledge=[],
    recipe={"training": {"epochs": 3}, "seed": 1},
    prompt=asked(None, ROW).before,
    settings="plain",
    check="float32: the same",
    scores=[card.Score("test", "accuracy", "share", 47.91, 45.8, 50.02, 2152)],
    no_scores="",
    command="python -m prereq stage=export",
    versions={"prereq": "1", "peft": None},
    new_tokens=128,
    trained_here=False,
)


def test_a_card_is_what_the_hub_reads(tmp_path):
    found = ModelCard(card.text(TOLD))
    assert found.data.to_dict() == {
        "base_model": "org/base",
        "base_model_relation": "adapter",
        "datasets": ["org/data"],
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["prereq", "lora"],
    }
    assert "| test | accuracy | 47.9 % | 45.8 to 50.0 | 2152 |" in found.text
    assert "Of the base model: unknown" in found.text  # no licence is made up
    known = {"license": "other", "license_name": "llama3", "license_link": "https://x"}
    text = card.text(replace(TOLD, licence=known, scores=[], no_scores="None yet."))
    assert ModelCard(text).data.license_name == "llama3" and "None yet." in text
    assert "That of the base model: llama3 (https://x)." in text


def test_the_licence_is_what_the_base_says_of_itself(tmp_path):
    assert licence.of_base(tmp_path, None) == {}
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Base\n")
    assert licence.of_base(tmp_path, None) == {"license": "apache-2.0"}
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n")
    assert licence.of_base(tmp_path, None) == {}
    assert licence.of_base("nobody/has-this", None) == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["format=gguf"], "convert_hf_to_gguf.py FOLDER"),
        (["format=mergd"], "did you mean merged?"),
        (["method=base"], "nothing to export"),
        (["format=adapter", "knowledge=[fictitious_v0]"], "holds the skill alone"),
        (["epoch=first"], "must be last, best or the number"),
        (["epoch=99"], "the skill trains for"),
        (["epoch=2", "dataset.skill.keep_epochs=false"], "keeps the last epoch's adapter alone"),
        (["stage=sft", "epoch=best"], "only stage=ask and export take it"),
        (["stage=eval", "push_to_hub=me/x"], "only stage=export (a model) and stage=synth"),
        (["push_to_hub=me"], "must be OWNER/NAME"),
        (["push_to_hub=me/a..b"], "must be OWNER/NAME"),
        (["push_to_hub=me/x.git"], "must be OWNER/NAME"),
        (["push_to_hub=me/x", "format=adapter"], "publish the whole model by format=merged"),
        (["private=false"], "add that, or leave it out"),
        (["model.quantize=4bit"], "whole weights"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_done(words, says):
    (found,) = problems(composed("stage=export", *words))
    assert says in found


def test_every_command_of_the_page_is_one():
    page = (REPOSITORY / "docs/export.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("python -m prereq ")]
    assert len(lines) >= 9
    for line in lines:
        words = shlex.split(line.replace("FOLDER_OR_HUB_ID", "some/adapter"), comments=True)[3:]
        check_words(arguments(words)[0])  # raises for any problem


def test_right_words_have_no_problems():
    for words in (["push_to_hub=me/My-model_1.5"], ["epoch=best"], ["knowledge=[fictitious_v0]"]):
        assert problems(composed("stage=export", *words)) == []
