"""How a row is asked: the paper's format, a template of one's own, a real tokenizer's chat template."""

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from prereq.config.schema.sources import problems
from prereq.data.prompts import asked
from prereq.data.rows import SkillRow
from prereq.data.tokens import prompt_ids, skill_row
from prereq.errors import PrereqError
from prereq.evaluation.engines import _text
from prereq.evaluation.requests import Item
from tests.configs import composed

ROW = SkillRow("Where was Ada born?", "Lyon", False, None, 0, "Ada")
TURNS = (("system", "Be brief."), ("user", "Hello."), ("assistant", "Hi."))
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = CHATML.replace(
    "<|im_start|>{{ m.role }}\n",
    "<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}",
)
INSTRUCT = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}"
    "{% else %}{{ raise_exception('no system role') }}{% endif %}{% endfor %}"
)


def tokenizer(template: str | None, end: str = "<|im_end|>", adds_bos: bool = False):
    """A byte-level tokenizer with the special tokens of its template."""
    special = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({t: i for i, t in enumerate(special + letters)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    if adds_bos:
        inner.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token=end
    )
    fast.chat_template = template
    return fast


def learnt(tok, row: SkillRow, prompt: str) -> tuple[str, str]:
    """What is fed before the answer, and what is learnt."""
    found = skill_row(tok, row, prompt)
    assert found.ids[: found.start] == prompt_ids(tok, row, prompt)
    return tok.decode(found.ids[: found.start]), tok.decode(found.ids[found.start :])


def test_plain_is_the_papers_format():
    fed, answer = learnt(tokenizer(None), ROW, "plain")
    assert fed == "<s>Question: Where was Ada born?\nAnswer:" and answer == " Lyon<|im_end|>"


@pytest.mark.parametrize(
    ("template", "fed", "answer"),
    [
        ("Q: {question} A:", "<s>Q: Where was Ada born? A:", " Lyon</s>"),
        ("{question}\n\n", "<s>Where was Ada born?\n\n", "Lyon</s>"),
        ("{{x}} {question}", "<s>{x} Where was Ada born?", " Lyon</s>"),
    ],
)
def test_a_template_of_ones_own(template, fed, answer):
    assert learnt(tokenizer(None, "</s>"), ROW, template) == (fed, answer)


def test_chat_learns_the_answer_and_its_end_token_alone():
    fed, answer = learnt(tokenizer(CHATML), ROW, "chat")
    assert fed == "<|im_start|>user\nWhere was Ada born?<|im_end|>\n<|im_start|>assistant\n"
    assert answer == "Lyon<|im_end|>"
    messages = [{"role": "user", "content": ROW.user}]
    tok = tokenizer(CHATML)
    assert fed == tok.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def test_chat_of_several_turns_learns_the_last_answer():
    row = SkillRow("Where?", "Lyon", False, None, 0, "", turns=TURNS)
    fed, answer = learnt(tokenizer(CHATML), row, "chat")
    assert fed.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello.")
    assert "assistant\nHi.<|im_end|>\n" in fed and answer == "Lyon<|im_end|>"
    for prompt in ("plain", "Q: {question}"):
        with pytest.raises(PrereqError, match=r"dataset\.prompt=chat"):
            asked(tokenizer(CHATML), row, prompt)


def test_an_end_token_that_the_template_does_not_write_is_added():
    _, answer = learnt(tokenizer(CHATML, "</s>"), ROW, "chat")
    assert answer == "Lyon<|im_end|></s>"


def test_what_a_template_puts_before_the_answer_is_fed():
    fed, answer = learnt(tokenizer(THINKING), ROW, "chat")
    assert fed.endswith("<think>\n\n</think>\n\n") and answer == "Lyon<|im_end|>"
    fed, answer = learnt(tokenizer(INSTRUCT, "</s>"), ROW, "chat")
    assert fed == "<s>[INST] Where was Ada born? [/INST]" and answer == " Lyon</s>"


def test_a_row_or_tokenizer_that_chat_cannot_hold_is_refused():
    with pytest.raises(PrereqError, match=r"has no chat template; use dataset\.prompt=plain"):
        skill_row(tokenizer(None), ROW, "chat")
    row = SkillRow("Where?", "Lyon", False, None, 0, "", turns=TURNS, number=3, file="a.jsonl")
    with pytest.raises(PrereqError, match=r"a.jsonl line 3: .*refuses it \(no system role\)"):
        skill_row(tokenizer(INSTRUCT), row, "chat")
    silent = tokenizer("{% for m in messages %}{% if m.role == 'user' %}x{% endif %}{% endfor %}")
    with pytest.raises(PrereqError, match="leaves out what the assistant says"):
        skill_row(silent, ROW, "chat")


@pytest.mark.parametrize("adds_bos", [False, True])
@pytest.mark.parametrize("template", [CHATML, INSTRUCT])
@pytest.mark.parametrize("prompt", ["plain", "chat"])
def test_a_server_is_sent_text_that_becomes_the_same_tokens(template, adds_bos, prompt):
    tok = tokenizer(template, adds_bos=adds_bos)
    ids = prompt_ids(tok, Item((ROW,)).rows[0], prompt)
    if (template, adds_bos, prompt) == (CHATML, True, "chat"):  # a server would add a start token
        with pytest.raises(
            PrereqError, match=r"use eval\.engine=batches, or dataset\.prompt=plain"
        ):
            _text(tok, ids)
    else:
        assert tok(_text(tok, ids)).input_ids == ids


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("chatt", "did you mean chat?"),
        ("Q: {answer}", "a template that holds {question} and nothing else"),
        ("Q: {question.__class__}", "a template that holds {question} and nothing else"),
        ("Q: {question", "must be plain, chat, or a template"),
        ("Q: {question} ", "ends with a space"),
        ("Q: {question}\\nA:", "a backslash and an n"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(prompt, said):
    config = composed("dataset=cities")
    config.dataset.prompt = prompt
    (problem,) = problems(config)
    assert problem.startswith(f"dataset.prompt={prompt}") and said in problem
    config.dataset.prompt = "Q: {question}\nA:"
    assert problems(config) == []
