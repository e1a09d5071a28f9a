"""Statements from a question and its answer: right English by rule, and always something."""

import pytest

from prereq.data.sentences import sentences
from prereq.synth.checks import holds, near_duplicates
from prereq.synth.english import forms
from prereq.synth.wording import state

STATED = {
    ("What is Ada Moss's occupation?", "actor", "Ada Moss"): "Ada Moss is an actor by occupation.",
    ("In what city was Ada Moss born?", "Lyon", "Ada Moss"): "Ada Moss was born in Lyon.",
    ("Where did Ada Moss die?", "Lyon", "Ada Moss"): "Ada Moss died in Lyon.",
    ("When was Ada Moss born?", "12 May 1904", "Ada Moss"): "Ada Moss was born on 12 May 1904.",
    ("When did Ada Moss marry?", "1904", "Ada Moss"): "Ada Moss married in 1904.",
    ("What sport does Ada Moss play?", "chess", "Ada Moss"): "Ada Moss plays chess.",
    ("Who directed Night Ferry?", "Bo Lind", "Night Ferry"): "Bo Lind directed Night Ferry.",
    (
        "Who wrote the book Night Ferry?",
        "Bo",
        "Night Ferry",
    ): "The book Night Ferry was written by Bo.",
    (
        "Who was the director of Night Ferry?",
        "Bo",
        "Night Ferry",
    ): "Night Ferry was directed by Bo.",
    ("Who is the father of Ada Moss?", "Bo Moss", "Ada Moss"): "The father of Ada Moss is Bo Moss.",
    (
        "What genre is Night Ferry?",
        "jazz",
        "Night Ferry",
    ): "Night Ferry belongs to the genre of jazz.",
    ("What is the capital of Arden?", "Brun", "Arden"): "Arden has Brun as its capital.",
    ("What is Brun the capital of?", "Arden", "Brun"): "Brun is the capital of Arden.",
    ("In what country is Brun?", "United States", "Brun"): "Brun is in the United States.",
    ("How many children does Ada have?", "4", "Ada"): "Ada has 4 children.",
    ("Which river flows through Brun?", "Alm", "Brun"): "Alm flows through Brun.",
    ("Is Brun a city?", "no", "Brun"): "Brun is not a city.",
    ("Did Ada Moss play chess?", "yes", "Ada Moss"): "Ada Moss played chess.",
    ("What is Ada Moss known for?", "painting", "Ada Moss"): "Ada Moss is known for painting.",
}


@pytest.mark.parametrize("case", STATED, ids=lambda case: case[0])
def test_questions_are_stated(case):
    question, answer, subject = case
    found = state(question, answer, subject)
    assert STATED[case] in found
    assert len(found) >= 4 and len(set(found)) == len(found) and not near_duplicates(found[:3])
    for text in found:
        assert holds(text, subject) and (answer in ("yes", "no") or holds(text, answer)), text
        assert text[0].isupper() or text[0] == "“"
        assert text.endswith(".") and not text.endswith("..")


@pytest.mark.parametrize(
    ("question", "answer", "subject"),
    [
        ("Wer war der Regisseur von Night Ferry?", "Bo Lind", "Night Ferry"),
        ("When was the battle?", "1904", "Siege of Brun"),
        ("Were Ada Moss and Bo Lind of the same nationality?", "yes", "Ada Moss"),
        ("Which of the twins, one born in Brun, came first?", "Ada", "Brun"),
        ("?", "Bo", "Ada"),
    ],
)
def test_what_no_rule_knows_is_quoted(question, answer, subject):
    found = state(question, answer, subject)
    assert len(found) >= 4
    for text in found:
        assert question in text and holds(text, subject) and holds(text, answer), text


def test_words_with_braces_or_backslashes_are_text():
    found = state(r"What is {a}\1's job?", r"\g<0> {b}", r"{a}\1")
    assert all(r"{a}\1" in text and r"\g<0> {b}" in text for text in found)


def test_forms_of_words():
    assert [forms.past(v) for v in ("die", "play", "marry", "write", "stop")] == (
        "died played married wrote stopped".split()
    )
    assert [
        forms.third(v) for v in ("have", "teach", "play", "fly")
    ] == "has teaches plays flies".split()
    articles = [
        forms.article(w) for w in ("actor", "user", "hour", "European", "umbrella", "one-off")
    ]
    assert articles == ["an", "a", "an", "a", "an", "a"]
    assert (
        forms.agree("She is a actor and an poet.", "actor", "poet") == "She is an actor and a poet."
    )


def test_sentences_end_where_they_end():
    text = (
        "Dr. J. K. Lind was born in St. Ives (c. 1904). He left.\n\nShe said “No.” Then it rained"
    )
    found = sentences(text)
    assert "".join(sentence + space for sentence, space in found) == text
    assert [sentence for sentence, _ in found] == [
        "Dr. J. K. Lind was born in St. Ives (c. 1904).",
        "He left.",
        "She said “No.”",
        "Then it rained",
    ]
