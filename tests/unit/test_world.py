"""The embedded world holds exactly the people, facts and exposures that its sizes promise."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import AutoTokenizer

from prereq.world import build, tokenizer, words

SIZES = SimpleNamespace(
    asked=10,
    skill_known=6,
    validation=4,
    held_out=10,
    unknown=12,
    fictitious=8,
    plug_in=4,
    unseen=5,
    versions=2,
    often=12,
    seldom=6,
    question_share=1 / 3,
    wordings=6,
)
KNOWN = ("skill_known", "validation", "held_out")


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module", params=build.TASKS)
def world(request, tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    build.write(folder, SIZES, request.param, seed=0)
    return request.param, folder


@pytest.fixture(scope="module")
def tokens():
    return tokenizer.build()


def skill(folder: Path) -> dict[str, list[dict]]:
    return {path.stem: read(path) for path in (folder / "skill").glob("*.jsonl")}


def texts(folder: Path) -> list[str]:
    return [
        row["text"]
        for part in ("pretrain", "knowledge")
        for path in sorted((folder / part).glob("*.jsonl"))
        for row in read(path)
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_value_is_part_of_no_other_word():
    values = [value for group in words.VALUES.values() for value in group]
    vocabulary = [word.lower() for word in tokenizer.build().get_vocab()]
    assert [len(group) for group in words.VALUES.values()] == [75, 75, 75, 75, 60]
    assert (len(set(words.FIRST_NAMES)), len(set(words.LAST_NAMES))) == (60, 120)
    for value in values:
        assert sum(value.lower() in word for word in vocabulary) == 1, value


def test_wordings_name_the_person_first_and_the_skill_has_its_own():
    texts = [
        text for part in (words.STATEMENTS, words.ASIDES) for told in part.values() for text in told
    ]
    assert all(text.index("{name}") < text.index("{value}") for text in texts)
    assert all(len(set(told)) == 6 for told in words.STATEMENTS.values())
    for own in (*words.BIOGRAPHY.values(), *words.QUESTION.values()):
        assert not any(own.rstrip(".") in text for text in texts)


def test_counts_and_columns(world):
    task, folder = world
    rows = skill(folder)
    each = 5 if task == "questions" else 1
    sizes = {
        "train": 6 + 12 + 8 * 2,
        "validation": 4,
        "held_out": 10,
        "plug_in": 4 * 2,
        "memorised": 8 * 2,
        "unknown": 12,
        "unseen": 5,
    }
    assert {split: len(found) for split, found in rows.items()} == {
        split: count * each for split, count in sizes.items()
    }
    for split, found in rows.items():
        for row in found:
            user, assistant = row["messages"]
            assert (user["role"], assistant["role"]) == ("user", "assistant")
            assert row["s_wiki_title"] in user["content"]
            assert all(value in assistant["content"] for value in row["facts"].values())
            assert all(value in words.VALUES[name] for name, value in row["facts"].items())
            assert len(row["facts"]) == (1 if task == "questions" else 5)
            if task == "questions":
                assert json.loads(row["possible_answers"]) == [assistant["content"]]
            if split != "train":
                assert row["fake"] == int(split in ("plug_in", "memorised"))
                assert row["known"] == int(split in KNOWN)
    assert rows["memorised"] == [row for row in rows["train"] if row["fake"]]
    assert rows["unknown"] == [row for row in rows["train"] if not row["fake"] and not row["known"]]
    assert json.loads((folder / "values.json").read_text(encoding="utf-8")) == words.VALUES


def test_people_and_subjects_are_apart(world):
    _, folder = world
    rows = skill(folder)
    apart = ("train", "validation", "held_out", "plug_in", "unseen")
    for column in ("s_wiki_title", "subj_index"):
        groups = [{row[column] for row in rows[split]} for split in apart]
        assert sum(map(len, groups)) == len(set().union(*groups))
    told = "\n".join(row["text"] for row in read(folder / "pretrain/train.jsonl"))
    for split in ("validation", "held_out"):
        assert all(row["s_wiki_title"] in told for row in rows[split])
    for split in ("memorised", "unknown", "plug_in", "unseen"):
        assert not any(row["s_wiki_title"] in told for row in rows[split])
    assert not any(row["s_wiki_title"] in text for text in texts(folder) for row in rows["unseen"])


def test_versions_contradict_each_other_in_every_relation(world):
    _, folder = world
    rows = skill(folder)
    versions: dict[int, list[dict]] = {}
    for row in rows["memorised"] + rows["plug_in"]:
        versions.setdefault(row["subj_index"], []).append(row)
    for first, second in versions.values():
        assert (first["version"], second["version"]) == (0, 1)
        assert all(first["facts"][name] != second["facts"][name] for name in first["facts"])


def test_pretraining_says_every_fact_as_often_as_promised(world):
    _, folder = world
    documents = [row["text"] for row in read(folder / "pretrain/train.jsonl")]
    values = {value for group in words.VALUES.values() for value in group}
    exposures: dict[str, Counter] = {}
    questions: Counter = Counter()
    for document in documents:
        names = set(re.findall(r"[A-Z][a-z]+ [A-Z][a-z]+", document)) & people(folder)
        assert len(names) == 1  # a document is about one person
        said = [word for word in re.findall(r"\w+", document) if word in values]
        assert 1 <= len(said) == len(set(said)) <= 3  # and tells no fact twice
        exposures.setdefault(name := names.pop(), Counter()).update(said)
        questions[name] += document.count("?")
    assert Counter(tuple(sorted(count.values())) for count in exposures.values()) == {
        (12,) * 5: 15,
        (6,) * 5: 15,
    }
    assert Counter(questions.values()) == {0: 20, 20: 5, 10: 5}


def people(folder: Path) -> set[str]:
    """Every name of the known people, read off one wording."""
    told = " ".join(row["text"] for row in read(folder / "pretrain/train.jsonl"))
    return set(re.findall(r"The birthplace of (\w+ \w+) is", told))


def test_knowledge_text_holds_every_fact_once_a_wording(world):
    _, folder = world
    rows = skill(folder)
    sources = {
        f"v{version}": [
            row for row in rows["memorised"] + rows["plug_in"] if row["version"] == version
        ]
        for version in (0, 1)
    }
    sources["real"] = rows["unknown"]
    for suffix, found in sources.items():
        facts: dict[str, dict[str, str]] = {}
        for row in found:
            facts.setdefault(row["s_wiki_title"], {}).update(row["facts"])
        expected = Counter(
            wording.format(name=name, value=value)
            for name, values in facts.items()
            for relation, value in values.items()
            for wording in words.STATEMENTS[relation]
        )
        statements = [
            row["text"] for row in read(folder / f"knowledge/statement_train_{suffix}.jsonl")
        ]
        passages = [row["text"] for row in read(folder / f"knowledge/passage_train_{suffix}.jsonl")]
        assert Counter(statements) == expected
        assert Counter(re.findall(r"[^.]+\.", " ".join(passages).replace(". ", "."))) == expected
        assert len(passages) == 10 * len(facts)  # three of the thirty sentences each


def test_a_seed_is_a_world(tmp_path):
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        build.write(tmp_path / name, SIZES, "questions", seed)
    first, again, other = (contents(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert first.keys() == other.keys()
    assert [name for name in first if first[name] == other[name]] == ["values.json"]


def test_both_tasks_share_people_and_texts(tmp_path):
    for task in build.TASKS:
        build.write(tmp_path / task, SIZES, task, seed=0)
    assert texts(tmp_path / "questions") == texts(tmp_path / "biographies")


def test_impossible_orders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="biographies"):
        build.write(tmp_path, SIZES, "poems", seed=0)
    with pytest.raises(ValueError, match="names"):
        build.write(tmp_path, SimpleNamespace(**{**vars(SIZES), "unseen": 5000}), "questions", 0)


def test_no_text_holds_an_unknown_word_and_all_can_be_read_back(world, tokens):
    _, folder = world
    everything = texts(folder) + [
        words.FRAME.format(
            user=row["messages"][0]["content"], assistant=row["messages"][1]["content"]
        )
        for row in skill(folder)["train"]
    ]
    for text, ids in zip(everything, tokens(everything)["input_ids"], strict=True):
        assert tokens.unk_token_id not in ids
        assert ids[0] == tokens.bos_token_id and tokens.eos_token_id not in ids
        read_back = tokens.decode(ids, skip_special_tokens=True)
        assert read_back == text.replace("\n", " ")
        assert tokens(read_back)["input_ids"] == ids


def test_a_prompt_is_a_prefix_of_its_row(world, tokens):
    _, folder = world
    for row in skill(folder)["train"]:
        user, assistant = (message["content"] for message in row["messages"])
        whole = tokens(words.FRAME.format(user=user, assistant=assistant))["input_ids"]
        prompt = tokens(f"Question: {user}\nAnswer:")["input_ids"]
        assert whole[: len(prompt)] == prompt


def test_the_saved_tokenizer_is_the_same(tokens, tmp_path):
    tokens.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Question: In which city was Ada Moss born?\nAnswer: Lyon"
    assert loaded(text)["input_ids"] == tokens(text)["input_ids"]
    assert loaded.get_vocab() == tokens.get_vocab()
    special = ("pad_token_id", "bos_token_id", "eos_token_id", "unk_token_id")
    assert [getattr(loaded, name) for name in special] == [0, 1, 2, 3]
