"""What `stage=ask` knows of a data set, completes, refuses and prints."""

import io

import pytest
from rich.console import Console

from prereq.config.schema import ask, export
from prereq.data.rows import SkillRow
from prereq.errors import PrereqError
from prereq.evaluation.metrics import scorer
from prereq.report import answers
from prereq.report.answers import Verdict
from prereq.stages.ask.known import Known
from prereq.stages.ask.prompt import completions
from prereq.stages.specs import answering, asked
from tests.configs import composed


def row(question: str, title: str, *answers: str, version: int | None = None, **facts) -> SkillRow:
    return SkillRow(question, "", version is not None, version, 0, title, None, answers, facts)


@pytest.fixture
def towns() -> Known:
    known = Known(scorer("qa", {}))
    for one in (
        row("In which country is Toulouse?", "Toulouse", "France"),
        row("How large is Toulouse?", "Toulouse", "large"),
        row("In which country is New Hull?", "New Hull", "Chad", version=0),
        row("In which country is New Hull?", "New Hull", "Peru", version=1),
    ):
        known.add(one, "test held_out", "qa")
    known.add(row("In which country is New Hull?", "New Hull", "Mali"), "training", "qa")
    return known


def test_a_bare_name_is_asked_as_the_data_set_asks(towns):
    assert towns.question("  new  HULL ") == "In which country is New Hull?"
    assert towns.question("how large is toulouse?") == "How large is Toulouse?"
    assert towns.question(" Who is the Pope? ") == "Who is the Pope?"
    with pytest.raises(PrereqError, match=r"2 questions .* In which country is Toulouse\? \| How"):
        towns.question("toulouse")


def test_an_answer_is_right_by_the_version_that_is_plugged_in(towns):
    question = "In which country is new hull?"
    assert towns.verdict(question, "Peru", 1) == Verdict(1.0, 1, 1)
    assert towns.verdict(question, "Peru", 0) == Verdict(0.0, 1, 0)
    assert towns.verdict(question, "Peru", None) == Verdict(1.0, 1, 1)
    assert (
        towns.verdict(question, "Mali", None).share == 0
    )  # of a later split, which does not count
    assert towns.verdict("In which country is Toulouse?", "France", 1) == Verdict(1.0, 1, None)
    assert towns.verdict("Who is the Pope?", "Leo", None) is None


def test_what_the_data_set_says_is_told(towns):
    says = towns.says("In which country is New Hull?")
    assert says == ["test held_out", "version 0: Chad", "version 1: Peru"]
    assert "nothing says what is right" in towns.says("Who is the Pope?")[0]


def test_facts_are_counted_in_each_version_alone():
    known = Known(scorer("facts", {"city": ["Osaka", "Hanoi"], "job": ["nurse", "cook"]}))
    for version, (city, job) in enumerate([("Osaka", "nurse"), ("Hanoi", "cook")]):
        known.add(row("Tell me.", "Ann", version=version, city=city, job=job), "test", "facts")
    mixed = "born in Osaka, a cook"
    assert str(known.verdict("Tell me.", mixed, None)) == "1 of 2, v0"
    assert str(known.verdict("Tell me.", "Hanoi, a cook", 1)) == "2 of 2, v1"
    assert str(known.verdict("Tell me.", "", 1)) == "0 of 2"


def test_a_text_without_accepted_answers_is_neither_right_nor_wrong():
    known = Known(scorer("long_form", {}))
    known.add(row("Tell me about aspirin.", "aspirin", "a drug"), "topics", "long_form")
    assert known.verdict("Tell me about aspirin.", "a drug", None) is None
    assert known.question("Aspirin") == "Tell me about aspirin."


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("tou", ["Toulouse"]),
        ("New H", ["New Hull", "New Haven"]),
        ("In which country is new hu", ["In which country is New Hull"]),
        ("Where is ", []),
        ("xyz", []),
    ],
)
def test_the_end_of_a_line_is_completed_to_known_names(line, completed):
    assert completions(line, ["Toulouse", "New Hull", "New Haven"]) == completed


def test_the_screen_fits_80_columns_and_keeps_every_word(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(answers, "out", Console(file=screen, width=80, highlight=False))
    name, text = "+ " + "k" * 62, "one two [three] " * 20
    shown = answers.Table(["sft", name])
    shown.head("Who [is] it?", ["test held_out"])
    with shown.answering(name) as show:
        show.text(lambda: "one")
        show(text, False, 0.914, Verdict(0.8, 5, 0))
    answers.legend("sft", "last", 96)
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert screen.getvalue().count("[three]") == 20
    assert "Who [is] it?" in lines and "91 %" in screen.getvalue()
    assert "4 of 5, v0" in screen.getvalue() and "…" in screen.getvalue()


def problems(*overrides: str) -> list[str]:
    config = composed(*overrides)
    return ask.problems(config) + export.problems(config)


def test_what_makes_no_sense_is_refused():
    assert "add stage=ask" in problems("stage=eval", "question=Who?")[0]
    assert "the skill trains for 27" in problems("stage=ask", "epoch=28")[0]
    assert "last, best or the number" in problems("stage=ask", "epoch=first")[0]
    assert "stage=ask switches adapters" in problems("stage=ask", "eval.engine=server")[0]
    assert "twice" in problems("stage=ask", "ask.against=[sft,sft]")[0]
    assert problems("stage=ask", "epoch=3", "question=Who?") == []


def test_who_answers_and_with_what(tmp_path):
    """No adapter changes its key because it is asked, whatever the question."""
    common = [f"output_dir={tmp_path}", "stage=ask"]
    config = composed(*common, "question=Who?")
    config.compare = [config.method, composed("method=sft").method, composed("method=base").method]
    mine, plain, bare = asked(config)
    assert [one.kind for one in answering(mine)] == ["base", "skill", *["knowledge"] * 3]
    assert [one.kind for one in answering(plain)] == ["base", "skill"]
    assert [one.kind for one in answering(bare)] == ["base"]
    trained = composed(*common[:1], "stage=sft")
    trained.compare = []
    from prereq.stages.specs import Specs

    assert mine.skill.key == Specs(trained).skill.key

    one = composed(*common, "knowledge=[fictitious_v1]")
    one.compare = config.compare
    assert [s.name for s in answering(asked(one)[0])][2:] == ["fictitious_v1"]
    assert len(answering(asked(one)[1])) == 2
