"""The writer that is a model in this process: deterministic, batched, stored; real models, small."""

import pytest

from prereq.config import ModelConfig
from prereq.errors import PrereqError
from prereq.evaluation.conversations import conversation_ids, end_at_turn, local_replies
from prereq.model import gguf
from prereq.model.loading import load_tokenizer
from prereq.synth import asking
from prereq.synth.rows import Fact, Request, SynthSettings, WriterSettings
from prereq.synth.write import write
from prereq.synth.writers.chosen import writer
from tests import published
from tests.unit.test_synth import real_rows

CONVERSATIONS = [
    [{"role": "user", "content": text}] for text in ("Ada", "Who is Ada Moss?", "Write it.", "Ada")
]


@pytest.mark.parametrize("chat", [False, True])
def test_local_replies_are_the_same_in_any_batch_and_by_either_engine(tmp_path, chat):
    folder = published.write_model(tmp_path / "model", chat)
    config = ModelConfig(name="random", path=str(folder))
    made = {
        engine: local_replies(config, folder, engine, 12, 4096, 0.8)
        for engine in ("packed", "padded")
    }
    seeds = [1, 2, 3, 4]
    together = made["packed"](CONVERSATIONS, seeds)
    assert len(set(together)) == 4  # the first and the last differ by seed alone
    assert together == made["packed"](CONVERSATIONS, seeds) == made["padded"](CONVERSATIONS, seeds)
    for conversation, seed, text in zip(CONVERSATIONS, seeds, together, strict=True):
        assert made["packed"]([conversation], [seed]) == [text]
    greedy = local_replies(config, folder, "packed", 12, 4096, 0.0)
    assert greedy(CONVERSATIONS, seeds)[0] == greedy(CONVERSATIONS, [9, 9, 9, 9])[3]
    assert made["packed"]([], []) == []


def test_a_reply_ends_where_the_chat_template_ends_a_turn(tmp_path):
    folder = published.write_model(tmp_path / "model", chat=True)
    tokenizer = load_tokenizer(folder, ModelConfig(name="random"))
    assert tokenizer.eos_token == "</s>"
    end_at_turn(tokenizer)
    assert tokenizer.eos_token == "<pad>"
    ids = conversation_ids(tokenizer, CONVERSATIONS[0])
    assert tokenizer.decode(ids) == "user: Ada<pad>\nassistant: "
    plain = load_tokenizer(published.write_model(tmp_path / "plain"), ModelConfig(name="random"))
    end_at_turn(plain)
    assert plain.eos_token == "</s>"
    said = [*CONVERSATIONS[0], {"role": "assistant", "content": "Leo"}, *CONVERSATIONS[2]]
    text = "<s>Task: Ada\n\nReply: Leo\n\nTask: Write it.\n\nReply:"
    assert plain.decode(conversation_ids(plain, said)) == text


def test_a_prompt_that_is_too_long_for_the_model_is_one_clear_error(tmp_path):
    folder = published.write_model(tmp_path / "model")
    config = ModelConfig(name="random", path=str(folder))
    replies = local_replies(config, folder, "packed", 2000, 4096, 0.8)
    with pytest.raises(PrereqError, match=r"lower synth\.max_tokens"):
        replies([[{"role": "user", "content": "x" * 100}]], [0])


def test_local_with_a_random_model_is_counted_and_resumed(tmp_path):
    folder = published.write_model(tmp_path / "model")
    config = ModelConfig(name="random", path=str(folder))
    settings = WriterSettings("local", max_tokens=24)
    generate = local_replies(config, folder, "packed", 24, 32768, 0.7)
    calls = []

    def counted(conversations, seeds):
        calls.append(len(conversations))
        return generate(conversations, seeds)

    few = SynthSettings(questions=2, tries=2, wordings=1, facts=1)
    errors = set()
    for _ in range(2):
        with (
            pytest.raises(PrereqError, match="nothing is left to train on") as raised,
            writer(settings, 0, tmp_path / "replies.sqlite", counted, "random") as mine,
        ):
            write(tmp_path / "data", real_rows(), few, 0, writer=mine)
        errors.add(str(raised.value))
    assert (
        calls == [2, 2, 2, 2] and len(errors) == 1
    )  # statements, passages, each twice, and no more


@pytest.mark.slow
def test_smollm2_writes_some_facts(tmp_path, capsys):
    """A real, small model: what it writes is checked, and how much passes is said, as found."""
    try:
        gguf.convert_smollm2(tmp_path)
    except PrereqError as error:
        pytest.skip(str(error))
    config = ModelConfig(name="smollm2", path=str(tmp_path))
    settings = WriterSettings("local", max_tokens=96)
    generate = local_replies(config, tmp_path, "packed", 96, 8192, 0.7)
    names = ["Ilve Ostrander", "Marn Tessaly", "Doro Quist", "Pell Andory"]
    towns = ["Brastad", "Kelmouth", "Ondal", "Verheim"]
    requests = [
        Request(
            "statements",
            name,
            (Fact("birth", town, (name, town), (f"{name} was born in {town}.",)),),
            ("she", "her"),
            count=2,
        )
        for name, town in zip(names, towns, strict=True)
    ]
    with writer(settings, 0, tmp_path / "replies.sqlite", generate, "smollm2") as mine:
        texts = mine.write(requests)
        passed = [
            asking.check(request, text)[0] for request, text in zip(requests, texts, strict=True)
        ]
        assert mine.write(requests) == texts
    with capsys.disabled():
        print(f"\n{sum(map(len, passed))} of {2 * len(requests)} sentences passed: {texts}")
    assert any(passed)
