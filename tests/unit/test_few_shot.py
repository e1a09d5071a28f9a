"""What the base model is asked, what it is shown before, and what its answers say."""

import random

import pytest
from transformers import AutoTokenizer

from prereq.data.rows import SkillRow
from prereq.errors import PrereqError
from prereq.evaluation import few_shot
from prereq.evaluation.metrics import scorer
from prereq.world import recall
from tests import published


def row(n: int, place: str, question: str | None = None, **more) -> SkillRow:
    more = {"title": f"Name {n}", "answers": (place,)} | more
    title = more.pop("title")
    question = question or f"Where was {title} born?"
    return SkillRow(question, place, False, None, n, title, **more)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = published.write_model(tmp_path_factory.mktemp("llama"), chat=True)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("greedy", "sampled", "expected"),
    [
        (1.0, 0.2, "highly known"),
        (0.9, 1.0, "maybe known"),
        (0.1, 0.0, "maybe known"),
        (0.0, 0.01, "weakly known"),
        (0.0, 0.0, "unknown"),
    ],
)
def test_categories_are_those_of_gekhman_and_others(greedy, sampled, expected):
    assert few_shot.category(greedy, sampled) == expected


def test_exemplars_are_of_other_subjects_and_never_tell_the_answer():
    mine = row(0, "Lyon")
    pool = [
        mine,
        row(0, "Oslo", "What is the home of Name 0?"),  # the same subject
        row(1, "Oslo", title="Name 0"),  # the same by its title
        row(2, "Lyon"),  # the same answer
        row(3, "Graz", "Who was born in lyon?"),  # the answer in the question
        row(4, "the Lyonnais"),  # the answer in a longer word
        *(row(n, "Oslo") for n in range(5, 9)),
    ]
    for seed in range(20):
        chosen = few_shot.exemplars(mine, pool, 4, random.Random(seed))
        assert sorted(one.subject for one in chosen) == [5, 6, 7, 8]
    drawn = [few_shot.exemplars(mine, pool, 2, random.Random(seed)) for seed in range(20)]
    orders = {tuple(one.subject for one in chosen) for chosen in drawn}
    assert len(orders) > 4


def test_a_short_answer_is_told_by_a_word_of_its_own_alone():
    assert few_shot.tells(row(1, "Oslo", "Is it no?"), row(0, "no"))
    assert not few_shot.tells(row(1, "Oslo", "Is it north?"), row(0, "no"))


def test_too_few_exemplars_are_an_error_that_says_how_many_there_are():
    pool = [row(n, "Lyon" if n < 3 else "Oslo") for n in range(5)]
    with pytest.raises(PrereqError, match=r"of 5 training rows 2 .* probe.exemplars=3"):
        few_shot.exemplars(row(0, "Lyon"), pool, 3, random.Random(0))


def test_a_few_shot_prompt_is_the_text_of_the_examples_and_the_question(tokenizer):
    examples = [row(1, "Oslo"), row(2, "Graz")]
    ids = few_shot.few_shot_ids(tokenizer, row(0, "Lyon"), examples, "plain")
    assert tokenizer.decode(ids) == (
        "<s>Question: Where was Name 1 born?\nAnswer: Oslo\n\n"
        "Question: Where was Name 2 born?\nAnswer: Graz\n\n"
        "Question: Where was Name 0 born?\nAnswer:"
    )
    ids = few_shot.few_shot_ids(tokenizer, row(0, "Lyon"), examples[:1], "Q {question} A")
    assert (
        tokenizer.decode(ids) == "<s>Q Where was Name 1 born? A Oslo\n\nQ Where was Name 0 born? A"
    )


def test_in_a_chat_the_examples_are_turns(tokenizer):
    ids = few_shot.few_shot_ids(tokenizer, row(0, "Lyon"), [row(1, "Oslo")], "chat")
    assert tokenizer.decode(ids) == (
        "user: Where was Name 1 born?<pad>\nassistant: Oslo<pad>\n"
        "user: Where was Name 0 born?<pad>\nassistant:"
    )


def test_an_answer_of_several_lines_is_refused_as_an_example(tokenizer):
    with pytest.raises(PrereqError, match=r"several lines.*dataset.prompt=chat"):
        few_shot.few_shot_ids(tokenizer, row(0, "Lyon"), [row(1, "Oslo\nNorway")], "plain")


def test_an_answer_ends_with_the_tokens_that_hold_the_mark_first(tokenizer):
    ends = few_shot.ends(tokenizer, "\n")
    assert [tokenizer.decode([i]) for i in ends] == ["\n"]


def test_shares_are_means_over_facts_and_answers_are_kept_of_a_row_asked_whole():
    right = scorer("qa", {})
    said = {"greedy": ["Lyon", "Oslo"], "sampled": ["Lyon", "Lyon", "in Lyon", ""]}
    line = few_shot.told(row(0, "Lyon", known=True), 7, [(row(0, "Lyon"), said)], right)
    assert (line["row"], line["greedy"], line["sampled"]) == (7, 0.5, 0.75)
    assert line["category"] == "maybe known" and line["known"] is True
    assert line["answers"]["sampled"] == {"Lyon": 2, "in Lyon": 1, "": 1}
    other = (row(0, "Oslo"), {"greedy": ["Graz"], "sampled": ["Graz"]})
    line = few_shot.told(row(0, "Lyon"), 0, [(row(0, "Lyon"), said), other], right)
    assert (line["greedy"], line["sampled"]) == (0.25, 0.375)
    assert "answers" not in line and "known" not in line


def test_the_summary_has_an_auroc_where_the_data_tells_known_from_unknown():
    def line(known: bool | None, sampled: float) -> dict:
        found = {"greedy": 0.0, "sampled": sampled, "category": "unknown"}
        return found if known is None else found | {"known": known}

    lines = [line(True, 0.9), line(True, 0.3), line(False, 0.5), line(False, 0.1)]
    summary = few_shot.summed(lines)
    assert summary["auroc"] == 0.75 and summary["rows"] == summary["unknown"] == 4
    assert "AUROC" in few_shot.in_words(summary)
    assert few_shot.summed([line(None, 0.5)])["auroc"] is None
    assert few_shot.in_words(few_shot.summed([])) == "no real rows"


def test_the_world_asks_by_sentences_that_end_before_the_value():
    assert recall.begun("Ada Moss", "instrument", 2) == [
        "Ada Moss plays the",
        "The instrument of Ada Moss is the",
    ]
