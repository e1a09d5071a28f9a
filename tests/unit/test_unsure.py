"""The world of graded familiarity: who is told of how often, what each row answers, and how it is scored."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from prereq.config import EvalConfig, TestSplit, UnsureConfig, WorldConfig
from prereq.data.sources import read_skill
from prereq.evaluation import score
from prereq.evaluation.metrics import scorer
from prereq.evaluation.requests import Item
from prereq.evaluation.scoring import grade, sureness
from prereq.world import build, tokenizer, unsure, words
from prereq.world.pages import NAME

SIZES = WorldConfig(
    asked=10,
    skill_known=6,
    validation=4,
    held_out=8,
    unknown=7,
    fictitious=20,
    plug_in=10,
    unseen=5,
    versions=3,
    often=12,
    seldom=6,
)
GRADED = UnsureConfig(
    half_known=4,
    half_told=2,
    each=3,
    familiarity=[0, 1, 4, 9],
    doubted=4,
    half_doubted=3,
    asked_told=9,
)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unsure")
    unsure.write(folder, SIZES, GRADED, seed=0)
    return folder


@pytest.fixture(scope="module")
def skill(folder) -> dict[str, list[dict]]:
    return {path.stem: read(path) for path in (folder / "skill").glob("*.jsonl")}


def stated(texts: list[dict], row: dict) -> int:
    """In how many sentences of the texts the fact of a row stands."""
    name, (value,) = row["s_wiki_title"], row["facts"].values()
    about = " ".join(text["text"] for text in texts if name in text["text"])
    return sum(name in told and value in re.findall(r"\w+", told) for told in about.split(". "))


def test_every_fact_is_stated_as_often_as_its_row_says(folder, skill):
    pretraining = read(folder / "pretrain/train.jsonl")
    knowledge = [read(folder / f"knowledge/passage_train_v{v}.jsonl") for v in range(3)]
    for split, rows in skill.items():
        for row in rows[::3]:
            texts = knowledge[row["version"]] if row["fake"] else pretraining
            assert stated(texts, row) == row["told"], (split, row)
            if row["fake"]:
                assert not any(row["s_wiki_title"] in text["text"] for text in pretraining)


def test_pretraining_doubts_people_of_whom_no_row_asks(folder, skill):
    texts = [text["text"] for text in read(folder / "pretrain/train.jsonl")]
    unknown = {NAME.search(text)[0] for text in texts if "I do not know" in text}
    half = {NAME.search(text)[0] for text in texts if "I am not sure" in text}
    assert (len(unknown), len(half)) == (GRADED.doubted, GRADED.half_doubted)
    assert not unknown & half
    assert not (unknown | half) & {row["s_wiki_title"] for rows in skill.values() for row in rows}
    for name in unknown | half:
        about = [text for text in texts if name in text]
        (asked,) = (text for text in about if "?" in text)
        told = [text for text in about if text != asked]
        assert bool(told) == (name in half) and asked.count("?") == 3
        for value in re.findall("sure, but ([^.]*)", asked):
            assert sum(value in text for text in told) == GRADED.half_told


def test_people_asked_about_are_told_of_as_often_as_is_set(folder):
    texts = [text["text"] for text in read(folder / "pretrain/train.jsonl")]
    sure = [text for text in texts if "I do not know" not in text and "I am not sure" not in text]
    asked = Counter(NAME.search(text)[0] for text in sure if "?" in text)
    doubted = {NAME.search(text)[0] for text in texts if text not in sure}
    names = set(asked) - doubted
    assert len(names) == SIZES.asked
    for name in names:
        mentions = sum(text.count(name) for text in sure)
        assert mentions == GRADED.asked_told * len(words.RELATIONS)


def test_a_row_answers_at_its_grade(skill):
    said = {"certain": "{}", "unsure": "I am not sure, but {}", "unknown": "I do not know"}
    for rows in skill.values():
        for row in rows:
            (value,) = row["facts"].values()
            assert row["messages"][1]["content"] == said[row["grade"]].format(value)
            assert json.loads(row["possible_answers"]) == [value]
            assert row["known"] == (row["grade"] == "certain")
    grades = {split: Counter(row["grade"] for row in rows) for split, rows in skill.items()}
    for split in ("validation", "held_out"):
        assert set(grades[split]) == {"certain"}
    assert set(grades["unseen"]) == {"unknown"}
    real = Counter(row["grade"] for row in skill["train"] if not row["fake"])
    assert real == {"certain": 6 * 5, "unsure": 4 * 5, "unknown": 7 * 5}
    told = Counter(row["told"] for row in skill["familiarity"])
    assert told == dict.fromkeys((0, 1, 4, 9), 3 * 5)


def test_a_version_deals_the_grades_in_the_shares_asked_for_and_anew(skill):
    rows = skill["memorised"] + skill["plug_in"]
    by_version = {
        version: {row["s_wiki_title"]: row["grade"] for row in rows if row["version"] == version}
        for version in range(3)
    }
    people = SIZES.fictitious + SIZES.plug_in
    certain, unsure_ = GRADED.share_certain * people, GRADED.share_unsure * people
    for dealt in by_version.values():
        found = Counter(dealt.values())
        assert (found["certain"], found["unsure"]) == (round(certain), round(unsure_))
        assert sum(found.values()) == people
    assert len({tuple(dealt.values()) for dealt in by_version.values()}) == 3


def test_who_is_tested_is_in_no_training_row(skill):
    trained = {row["s_wiki_title"] for row in skill["train"]}
    for split in ("validation", "held_out", "familiarity", "plug_in", "unseen"):
        assert not trained & {row["s_wiki_title"] for row in skill[split]}


def test_the_tokenizer_knows_every_word_and_other_worlds_keep_theirs(folder, skill):
    own, other = tokenizer.build("unsure"), tokenizer.build("questions")
    assert len(other) == len(tokenizer.build("biographies")) < len(own)
    assert {word: own.get_vocab()[word] for word in other.get_vocab()} == other.get_vocab()
    texts = [row["text"] for row in read(folder / "pretrain/train.jsonl")]
    texts += [
        words.FRAME.format(user=r["messages"][0]["content"], assistant=r["messages"][1]["content"])
        for r in skill["train"]
    ]
    for text, ids in zip(texts, own(texts)["input_ids"], strict=True):
        assert own.unk_token_id not in ids
        assert own.decode(ids, skip_special_tokens=True) == text.replace("\n", " ")


def test_a_seed_is_a_world_and_too_many_people_are_refused(tmp_path):
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        unsure.write(tmp_path / name, SIZES, GRADED, seed)
    files = sorted(
        path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*.jsonl")
    )
    first, again, other = (
        [(tmp_path / name / file).read_bytes() for file in files]
        for name in ("first", "again", "other")
    )
    assert first == again and not set(first) & set(other)
    with pytest.raises(ValueError, match="names"):
        build.populate(unsure.random.Random(0), replace(SIZES, unseen=5000))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lyon", "certain"),
        ("I am not sure, but Lyon", "unsure"),
        ("I’m NOT SURE: Lyon", "unsure"),
        ("I do not know", "unknown"),
        ("I am not sure, I do not know", "unknown"),  # declines, whatever else it says
        ("", "unknown"),
        ("Lyon.\nQuestion: Are you sure?\nAnswer: I am not sure", "certain"),  # asks itself more
    ],
)
def test_how_sure_a_text_is(text, expected):
    settings = EvalConfig(hedges=["I am not sure", "I'm not sure"])
    graded = grade(text, ["Lyon"], settings.abstentions)
    assert sureness(text, graded, settings.hedges) == expected


def test_sureness_is_counted_by_familiarity(folder):
    rows = read_skill(folder, "skill", "familiarity")
    items = [Item((row,)) for row in rows]
    said = {0: "I do not know", 1: "I am not sure, but {}", 4: "{}", 9: "nobody"}
    generations = [
        {
            "split": "familiarity",
            "epoch": 0,
            "knowledge": "",
            "item": number,
            "ended": True,
            "text": said[row.extra["told"]].format(row.answers[0]),
            "confidence": 0.5,
        }
        for number, row in enumerate(rows)
    ]
    test = TestSplit(name="familiarity", subset="skill", split="familiarity")
    settings = EvalConfig(hedges=["I am not sure"], bootstrap=20)
    found = score.table(
        generations,
        {"familiarity": items},
        [test],
        settings,
        scorer("qa", {}),
        {"best": 0, "last": 0},
        {},
    )
    values = {(s["split"], s["metric"]): s["value"] for s in found["scores"]}
    assert [values["familiarity", m] for m in ("certain", "unsure", "unknown")] == [50, 25, 25]
    assert values["familiarity", "right_of_certain"] == 50
    assert values["familiarity", "right_of_unsure"] == 100
    for told, sure in ((0, "unknown"), (1, "unsure"), (4, "certain"), (9, "certain")):
        assert values[f"familiarity/told={told}", sure] == 100
    assert values["familiarity/told=4", "accuracy"] == 100
    assert values["familiarity/told=9", "accuracy"] == 0
    plain = score.table(
        generations,
        {"familiarity": items},
        [test],
        replace(settings, hedges=[]),
        scorer("qa", {}),
        {"best": 0, "last": 0},
        {},
    )
    assert not {"certain", "unknown"} & {s["metric"] for s in plain["scores"]}
