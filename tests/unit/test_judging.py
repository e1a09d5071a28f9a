"""Prompts and replies of a model that judges, and a judge held against people."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from prereq.config.build import build
from prereq.config.schema.judge import splitter_server
from prereq.data.problems import BadRows
from prereq.errors import ConfigError, PrereqError
from prereq.evaluation.factscore import facts, prompts, scores, validation
from prereq.evaluation.factscore.prompts import FACTS, VERDICT
from prereq.evaluation.factscore.rows import Claim, Passage, Sentence
from tests.configs import composed, raw
from tests.conftest import REPOSITORY

PEOPLE = Path(os.environ.get("PREREQ_JUDGE_DATA", REPOSITORY.parent / "shared/data/judge"))
CLAIM = Claim("Ada Moss", "Ada Moss was born in {Lyon}.", (Passage("Ada", "Born in Lyon.\n\n- x"),))


def test_a_prompt_holds_what_is_judged_as_it_is():
    (message,) = prompts.of_claim(CLAIM, "json")
    assert (
        "born in {Lyon}." in message["content"] and "Ada: Born in Lyon. - x" in message["content"]
    )
    sentence = Sentence("Ada Moss", "", "She sings - {often}.")
    assert "She sings - {often}." in prompts.of_sentence(sentence, "json")[0]["content"]
    shown = prompts.of_claim(CLAIM, "lines")
    assert [m["role"] for m in shown] == ["user", "assistant"] * 2 + ["user"]
    assert "no passage" in prompts.of_claim(Claim("A", "B", ()), "json")[0]["content"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("supported", "supported"),
        ("Not supported.\nThe passages say otherwise.", "not supported"),
        ("**not_supported**", "not supported"),
        ('```json\n{"verdict": "irrelevant"}\n```', "irrelevant"),
        ("<think>Is it supported?</think> Not-supported", "not supported"),
    ],
)
def test_a_verdict_is_read_where_it_is_clear(text, verdict):
    assert VERDICT.from_text(text) == verdict


@pytest.mark.parametrize(
    "text", ["", "Yes.", "It is supported.", "supported or not supported", '{"verdict": "true"}']
)
def test_nothing_else_is_taken_for_a_verdict(text):
    with pytest.raises(ValueError):
        VERDICT.from_text(text)


def test_facts_are_read_from_lines_and_from_json():
    text = "Here they are:\n1. Ada is 5 - 6 years old.\n\n- She has 3 - new - hats.\n"
    assert FACTS.from_text(text) == ["Ada is 5 - 6 years old.", "She has 3 - new - hats."]
    assert FACTS.from_text("None.") == [] == FACTS.from_json({"facts": []})
    assert FACTS.from_text('{"facts": ["a  b", ""]}') == ["a b"]
    for wrong in ({"facts": "a"}, {"facts": [1]}, ["a"], {}):
        with pytest.raises(ValueError):
            FACTS.from_json(wrong)
    with pytest.raises(ValueError):
        FACTS.from_text("  \n")


def test_own_prompts_are_checked_and_change_the_digest(tmp_path):
    file = tmp_path / "prompts.yaml"
    file.write_text("verdict: '{topic}: is {fact} true by {passages}'\n", "utf-8")
    assert prompts.digest(str(file)) != prompts.digest()
    assert prompts.of_claim(CLAIM, "json", str(file))[0]["content"].startswith("Ada Moss: is Ada")
    for name, text, why in (
        ("slots", "verdict: '{topic} {fact}'", "passages"),
        ("keys", "verdicts: x", "its keys are facts, verdict"),
        ("built", "json: {facts: x}", "json must be built"),
        ("yaml", "a: [", "not YAML"),
    ):
        wrong = tmp_path / f"{name}.yaml"
        wrong.write_text(text, "utf-8")
        with pytest.raises(PrereqError, match=why):
            prompts.check(str(wrong))
    with pytest.raises(PrereqError, match="cannot be read"):
        prompts.digest(str(tmp_path / "none.yaml"))


def test_agreement_is_accuracy_and_kappa_without_what_cannot_be_read():
    stances = ["completely-support"] * 4 + ["refute"] * 3 + ["partially-support", "irrelevant"]
    rows = [validation.Judged(Claim("t", str(i), ()), s) for i, s in enumerate(stances)]
    replies = ["supported"] * 3 + ["not supported"] * 4 + ["irrelevant", None]
    told, pairs = validation.of_claims(rows, lambda claims: replies, "gpt", 200)
    assert told["accuracy"] == pytest.approx(100 * 7 / 8) and told["unreadable"] == 1
    chance = 0.5 * 3 / 8 + 0.5 * 5 / 8
    assert told["kappa"] == pytest.approx((7 / 8 - chance) / (1 - chance))
    assert told["kappa_low"] < told["kappa"] <= told["kappa_high"]
    assert told["verdicts"]["completely-support"] == {"supported": 3, "not supported": 1}
    assert pairs[-1]["verdict"] == "unreadable" and "87.5 % of 8 claims" in told["said"][0]
    told, _ = validation.of_claims(rows, lambda claims: [None] * 9, "gpt", 200)
    assert told["unreadable"] == 9 and "accuracy" not in told


TEXTS = [
    {
        "topic": "Ada Moss",
        "output": "Ada Moss sings. She is 30.",
        "sentences": [
            {
                "text": "Ada Moss sings.",
                "model_facts": ["Ada sings."],
                "facts": [["Ada sings.", "S"]],
            },
            {
                "text": "She is 30.",
                "model_facts": [],
                "facts": [["Ada is 30.", "NS"], ["30.", "IR"]],
            },
        ],
    },
    {"topic": "Igor Bloom", "output": "", "sentences": []},
]


def test_texts_that_people_judged_give_scores_and_compare_the_splitter(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in TEXTS), "utf-8")
    rows = validation.read(str(file))
    told, lines = validation.of_texts(rows, lambda s: [["a"], None], "gpt", 10, 50)
    values = {row["metric"]: row["value"] for row in told["scores"]}
    assert values["supported"] == pytest.approx(100 / 3) and values["answered"] == 50
    assert (told["sentences"], told["found"], told["same"]) == (2, 2, 2)
    assert (told["people_facts"], told["model_facts"], told["facts"]) == (3, 1, 1)
    assert told["unread_sentences"] == 1 and not lines[1]["answered"]


def test_rows_to_validate_by_that_are_wrong_are_named(tmp_path):
    file = tmp_path / "claims.jsonl"
    rows = [{"claim": "a", "evidence": "b", "stance": "refute"}, {"claim": "a", "evidence": 3}]
    rows.append({"claim": "a", "evidence": "b", "stance": "maybe"})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(BadRows, match=r"line 2: evidence: 3(?s:.)*line 3: stance: 'maybe'"):
        validation.read(str(file))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["dataset=bio", "judge=openai"], "judge.knowledge: missing"),
        (["dataset=bio", "judge.knowledge=x"], "judge.splitter=exact: reads nothing but"),
        (["judge=openai"], "judge.server.url: empty; judge=openai needs"),
        (["judge=local"], "judge.model.path: empty"),
        (["judge.splits=[]"], "names no split"),
        (["dataset=popqa", "judge=openai", "judge.knowledge=x"], "these are short answers"),
        (["judge.verdicts=gpt"], "must be one of exact, openai, local"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(words, why):
    with pytest.raises(ConfigError, match=why):
        build(raw("stage=judge", *words))


def test_the_splitter_may_be_another_model_of_the_same_server():
    mine = ["judge.server.url=http://x", "judge.server.model=a", "judge.server.requests=3"]
    judge = composed("judge=openai", *mine, "judge.splitter_server.model=b").judge
    server = splitter_server(judge)
    assert (server.url, server.model, server.requests) == ("http://x", "b", 3)
    assert splitter_server(composed("judge=openai", *mine).judge) == judge.server


@pytest.mark.parametrize(
    ("name", "supported", "answered", "each", "same"),
    [("instructgpt", 42.6, 99.5, 26.0, 0.99), ("chatgpt", 58.3, 85.8, 34.6, 0.99)],
)
def test_the_scorer_gives_the_papers_figures_on_peoples_labels(
    name, supported, answered, each, same
):
    file = PEOPLE / f"factscore_{name}.jsonl"
    if not file.is_file():
        pytest.skip(f"no {file}: set PREREQ_JUDGE_DATA to the folder with the annotations")
    rows = validation.read(str(file))
    table = scores.table([validation.by_people(row) for row in rows], 10, 50, "people")
    values = {row["metric"]: round(row["value"], 1) for row in table}
    assert (values["supported"], values["answered"], values["facts"]) == (
        supported,
        answered,
        each,
    )
    found = sum((mine(row) & theirs(row)).total() for row in rows)
    assert found >= same * sum(theirs(row).total() for row in rows)


def mine(row: dict) -> Counter:
    return Counter(facts.cut(row["output"], ()))


def theirs(row: dict) -> Counter:
    return Counter(" ".join(one["text"].split()) for one in row["sentences"])
