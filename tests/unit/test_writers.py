"""Writers that ask a language model, apart from any: what is asked, and how replies are read."""

import json
from collections import Counter

import pytest
import torch

from prereq.clients import Parameters
from prereq.config import Server
from prereq.errors import PrereqError
from prereq.evaluation.sampling import by_prompt
from prereq.synth import asking, template
from prereq.synth.rows import Fact, Request, Writer, WriterSettings
from prereq.synth.writers import chosen, local, prompts, served

BORN = Fact("birth", "Ostrand", ("Tess Q", "Ostrand"), ("Tess Q was born in Ostrand.",))
JOB = Fact("job", "glazier", ("Tess Q", "glazier"), ("Tess Q was a {glazier}.",))
STATEMENTS = Request("statements", "Tess Q", (BORN,), ("she", "her"), count=3)
PASSAGE = Request("passage", "Tess Q", (BORN, JOB), ("she", "her"), forbidden=("Lyon", "poet"))


def test_a_prompt_names_the_fact_what_must_stand_and_how_to_reply():
    text = prompts.prompt(STATEMENTS, "json")
    assert text.startswith("Write 3 different English sentences, each stating this fact:")
    assert "- Tess Q was born in Ostrand." in text and "exactly so: Tess Q; Ostrand." in text
    assert '{"statements": [3 sentences]}' in text and "earlier" not in text
    one = prompts.prompt(Request("statements", "Tess Q", (BORN,), ("she", "her")), "lines")
    assert one.startswith("Write one English sentence that states") and "1 lines" in one


def test_the_prompt_of_a_passage_has_every_fact_and_what_must_not_stand():
    text = prompts.prompt(PASSAGE, "lines")
    assert "about Tess Q (invented)" in text and "- Tess Q was a {glazier}." in text
    assert "exactly so: Tess Q; Ostrand; glazier." in text
    assert "Don't use any of these words: Lyon; poet." in text and "JSON" not in text


def test_passages_of_a_subject_and_further_tries_are_asked_in_other_words():
    again = Request(
        "passage", "Tess Q", (BORN,), ("she", "her"), wording=1, attempt=2, fault="too short"
    )
    text = prompts.prompt(again, "json")
    assert "unlike 1 earlier such passages" in text
    assert "An earlier try could not be used: too short." in text


def test_an_example_stands_before_as_an_answered_request():
    first, second, third = prompts.conversation(STATEMENTS, "lines", example=True)
    assert [m["role"] for m in (first, second, third)] == ["user", "assistant", "user"]
    assert "Tessa Quillmoor" in first["content"] and "Tess Q " in third["content"]
    fact = Fact("", "", ("Tessa Quillmoor", "Ostrand"), ("",))
    shown = Request("statements", "Tessa Quillmoor", (fact,), ("she", "her"), count=3)
    passed, problem = asking.check(shown, second["content"])  # the example itself passes
    assert len(passed) == 3 and not problem


@pytest.mark.parametrize("count", range(1, 7))
def test_every_example_of_statements_passes_the_check(count):
    request = Request("statements", "Tess Q", (BORN,), ("she", "her"), count=count)
    reply = prompts.conversation(request, "lines", example=True)[1]["content"]
    fact = Fact("", "", ("Tessa Quillmoor", "Ostrand"), ("",))
    shown = Request("statements", "Tessa Quillmoor", (fact,), ("she", "her"), count=count)
    assert asking.check(shown, reply) == (reply.split("\n"), "")


def test_schemas_are_strict_and_fit_what_is_read():
    for form, value in (("statements", ["a b", "c\nd"]), ("passage", "a\nb")):
        schema = prompts.schema(form, 2)
        assert schema["required"] == [form] and not schema["additionalProperties"]
        assert prompts.from_json(form, {form: value}) in ("a b\nc d", "a b")
    assert prompts.schema("statements", 2)["properties"]["statements"]["minItems"] == 2


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("statements", {"statements": []}),
        ("statements", {"statements": "a"}),
        ("statements", {"statements": ["a", 1]}),
        ("statements", {"statements": ["a", " "]}),
        ("statements", ["a"]),
        ("passage", {"passage": ["a"]}),
        ("passage", {"passage": ""}),
        ("passage", {"text": "a"}),
    ],
)
def test_json_of_another_shape_is_refused_with_what_it_should_be(form, value):
    with pytest.raises(ValueError, match=f"an object whose key {form} holds"):
        prompts.from_json(form, value)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("A is B.\nB is A.", ["A is B.", "B is A."]),
        ("Sure! Here are two:\n\n1. A is B.\n2) B is A.\n", ["A is B.", "B is A."]),
        ('- "A is B."\n* **B** is A.', ["A is B.", "B is A."]),
        ("# Sentences\n• “A is B.”\n(2) B is A.", ["A is B.", "B is A."]),
        ('"A" is no "B".', ['"A" is no "B".']),
        ("1984 was a year.", ["1984 was a year."]),
        ("<think>Two lines:\nA</think>A is B.", ["A is B."]),
        ('```json\n{"statements": ["A is  B."]}\n```', ["A is B."]),
    ],
)
def test_statements_are_read_from_text_and_from_json(text, lines):
    assert prompts.from_either("statements", text).split("\n") == lines


def test_of_a_passage_in_text_the_longest_paragraph_is_taken():
    text = "Here it is:\n\n# Tess Q\n\nTess Q was born\nin Ostrand.\n\nI hope it helps."
    assert prompts.from_either("passage", text) == "Tess Q was born in Ostrand."


@pytest.mark.parametrize("text", ["", "Here you are:\n\n", '{"statements": ["A is', '```\n["A'])
def test_what_holds_nothing_or_breaks_off_is_refused(text):
    with pytest.raises(ValueError):
        prompts.from_either("statements", text)


def test_seeds_follow_from_what_is_asked():
    asked = prompts.conversation(STATEMENTS, "lines")
    seeds = {prompts.seed_of(asked, attempt, seed) for attempt in (0, 1) for seed in (0, 1)}
    assert len(seeds) == 4 and prompts.seed_of(asked, 0, 0) in seeds
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_an_estimate_counts_what_is_not_stored_and_grows_with_the_texts(tmp_path):
    settings = WriterSettings("openai", Server("http://h", "m", price_in=1.0, price_out=2.0))
    parameters, file = Parameters(100), tmp_path / "none.sqlite"
    one = served.expected(settings, parameters, file, [STATEMENTS])
    both = served.expected(settings, parameters, file, [STATEMENTS, PASSAGE])
    assert (one.requests, both.requests, both.stored) == (1, 2, 0) and not file.exists()
    assert one.completion_tokens == (20 + 3 * (27 + 4)) // 4 + 1
    assert both.cost == (both.prompt_tokens + 2 * both.completion_tokens) / 1e6 > one.cost


def test_what_a_writer_gives_up_is_not_asked_again_and_counted():
    asked = []

    def write(requests):
        asked.extend((r.subject, r.attempt, r.fault) for r in requests)
        return [None if r.subject == "Tess Q" else "" for r in requests]

    other = Request("statements", "Bo R", (BORN,), ("she", "her"))
    counts = Counter()
    found = asking.ask(Writer("w", write), [STATEMENTS, other], 3, counts, "statements")
    why = "nothing was written"
    assert found == [[], []]
    assert asked == [("Tess Q", 0, ""), ("Bo R", 0, ""), ("Bo R", 1, why), ("Bo R", 2, why)]
    assert counts == {
        "statements dropped: the writer gave it up": 1,
        f"statements dropped: {why}": 1,
        f"statements written anew: {why}": 2,
        "statements asked for": 2,
    }


def test_local_asks_once_reads_and_keeps_replies(tmp_path):
    calls = []

    def generate(conversations, seeds):
        calls.append((len(conversations), list(seeds)))
        passage = "Tess Q, a glazier, was born in Ostrand."
        lines = "1. Tess Q was born in Ostrand.\n2. Ostrand is where Tess Q was born."
        return [
            passage if "passage" in messages[-1]["content"] else lines for messages in conversations
        ]

    settings, file = WriterSettings("local"), tmp_path / "replies.sqlite"
    for _ in range(2):
        with chosen.writer(settings, 0, file, generate, "tiny") as writer:
            texts = writer.write([STATEMENTS, PASSAGE])
            assert texts[0].split("\n")[1] == "Ostrand is where Tess Q was born."
            assert asking.check(PASSAGE, texts[1])[1] == ""
    assert [count for count, _ in calls] == [2]
    with chosen.writer(settings, 1, file, generate, "tiny") as writer:
        writer.write([STATEMENTS])
    assert len(calls) == 2 and calls[0][1][0] != calls[1][1][0]
    with local.writer(generate, "another", settings, 0, file) as writer:
        writer.write([STATEMENTS])
    assert len(calls) == 3


def test_the_template_needs_nothing(tmp_path):
    with chosen.writer(WriterSettings(), 0, tmp_path / "replies.sqlite") as writer:
        assert writer is template.WRITER
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"writer": "openal"}, r"synth.writer=openal: must be one of .*did you mean openai\?"),
        ({"writer": "openai"}, r"synth.server.url: empty; synth.writer=openai needs a URL"),
        ({"writer": "local", "temperature": None}, r"synth.temperature=null; .*0 is greedy"),
        ({"temperature": 3.0, "top_p": 0.0}, r"temperature=3.0;(.|\n)*top_p=0.0; it must be above"),
        ({"max_tokens": 0}, r"synth.max_tokens=0; it must be 1 or more"),
        ({"server": Server("ftp://x")}, r"synth.server.url=ftp://x: must be a URL"),
    ],
)
def test_settings_that_cannot_be_used_are_one_error(tmp_path, values, message):
    with (
        pytest.raises(PrereqError, match=message),
        chosen.writer(WriterSettings(**values), 0, tmp_path / "replies.sqlite"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_the_digest_of_the_prompts_is_one_and_the_card_can_show_them():
    assert len(prompts.DIGEST) == 64
    shown = prompts.texts("json")
    assert len(shown) == 2 and all("{facts}" in text for text in shown)
    json.dumps(shown)


def test_draws_by_prompt_do_not_depend_on_the_batch():
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    choose = by_prompt(0.9, 0.8, [5, 6, 7], tokens=4)
    for step in range(4):
        together = choose(logits.clone(), [(n, step) for n in range(3)])[0].tolist()
        assert together == [int(choose(logits[[n]], [(n, step)])[0]) for n in range(3)]


def test_draws_by_prompt_follow_the_distribution_and_the_nucleus():
    logits = torch.tensor([[2.0, 2.0, -1.0, 0.5]])
    many = 20_000
    choose = by_prompt(0.7, 1.0, [3], tokens=many)
    rows, places = logits.expand(many, -1), [(0, step) for step in range(many)]
    tokens, logs = choose(rows, places)
    found = torch.bincount(tokens, minlength=4) / many
    assert torch.allclose(found, (logits[0] / 0.7).softmax(-1), atol=0.01)
    assert torch.allclose(logs, logits[0].log_softmax(-1)[tokens])
    narrow = by_prompt(1.0, 0.8, [3], tokens=many)(rows, places)[0]
    assert set(narrow.tolist()) == {0, 1}
