"""A user's own rows as a data set: cut by subject, in the published layout, known by what they say."""

import json
from pathlib import Path

import pytest

from prereq.config import KnowledgeSource
from prereq.data import custom
from prereq.data.rows import UserRow
from prereq.data.sources import read_skill, read_text
from prereq.errors import PrereqError
from prereq.stages.data.sets import data_sets
from prereq.stages.data.tokens import text
from prereq.stages.data.tokens import told as knowledge_told
from prereq.stages.pretrain import tokenizer_of
from prereq.stages.specs import Specs, choices
from prereq.synth.wording import state
from tests.configs import composed
from tests.rows import write_parquet
from tests.unit.test_columns import lines, table

ROWS = [
    {
        "question": f"Where {what} person {i}?",
        "answers": [f"City {i}", "x"],
        "subject": f"Person {i}",
    }
    for i in range(20)
    for what in ("was", "lived")
]


def specs(place: Path, source: str, *overrides: str) -> Specs:
    common = [
        "dataset=custom",
        f"dataset.rows={source}",
        "model=hf",
        f"model.path={place / 'llama'}",
    ]
    return Specs(composed(*common, "model.dtype=float32", "method=sft", "stage=eval", *overrides))


def keys(found: Specs) -> list[str]:
    source = found.config.dataset.knowledge[0]
    return [found.data.key, found.skill.key, found.scores.key, found.knowledge(source).key]


def test_the_same_rows_have_the_same_keys_from_every_format(place, tmp_path):
    expected = keys(specs(place, lines(tmp_path, *ROWS)))
    write_parquet(tmp_path / "other.parquet", ROWS)
    assert keys(specs(place, str(tmp_path / "other.parquet"))) == expected
    assert keys(specs(place, table(tmp_path, ROWS, end="\r\n"))) == expected
    renamed = [{"q": r["question"], "a": r["answers"], "s": r["subject"]} for r in ROWS]
    mapping = ["question=q", "answers=a", "subject=s"]
    mapped = [f"dataset.columns.{m}" for m in mapping]
    assert keys(specs(place, lines(tmp_path, *renamed, name="renamed.jsonl"), *mapped)) == expected


def test_what_the_rows_say_is_in_the_key_and_settings_of_fictitious_rows_are_not(place, tmp_path):
    source = lines(tmp_path, *ROWS)
    expected = keys(specs(place, source))
    other = [*ROWS[:-1], ROWS[-1] | {"answers": "Rome"}]
    changed = keys(specs(place, lines(tmp_path, *other, name="other.jsonl")))
    assert not set(changed) & set(expected)
    assert keys(specs(place, source, "dataset.cut.test=0.3"))[0] != expected[0]
    for override in ("dataset.skill.fictitious.splits=[more]", "dataset.knowledge.1.split=more"):
        assert keys(specs(place, source, override)) == expected
    seeds = [specs(place, source, f"seed={seed}") for seed in (1, 2)]
    assert seeds[0].data.key != seeds[1].data.key
    assert seeds[0].data.experiment == seeds[1].data.experiment


def test_no_subject_is_in_two_splits_and_the_seed_says_which(tmp_path):
    data = composed("dataset=custom", f"dataset.rows={lines(tmp_path, *ROWS)}").dataset
    cuts = [custom.cut(data, seed) for seed in (1, 1, 2)]
    assert cuts[0] == cuts[1] != cuts[2]
    subjects = {name: {row.subject for row in rows} for name, rows in cuts[0].items()}
    assert {name: len(found) for name, found in subjects.items()} == {
        "train": 14,
        "development": 2,
        "test": 4,
    }
    assert len(set().union(*subjects.values())) == 20
    assert sum(map(len, cuts[0].values())) == len(ROWS)


def test_few_rows_are_enough_where_each_split_has_a_subject(tmp_path):
    data = composed("dataset=custom", f"dataset.rows={lines(tmp_path, *ROWS[:6])}").dataset
    assert {name: len(rows) for name, rows in custom.cut(data, 1).items()} == {
        "train": 2,
        "development": 2,
        "test": 2,
    }
    data.rows = lines(tmp_path, ROWS[0], name="one.jsonl")
    with pytest.raises(PrereqError) as error:
        custom.cut(data, 1)
    assert "one.jsonl: 1 subject, and train, development and test need one each" in str(error.value)
    assert "dataset.cut.development=0 dataset.cut.test=0" in str(error.value)
    data.cut.development = data.cut.test = 0
    assert len(custom.cut(data, 1)["train"]) == 1


def test_splits_given_as_files_are_taken_whole(place, tmp_path, capsys):
    source = lines(tmp_path, *ROWS[:20])
    test = lines(tmp_path, *ROWS[18:], name="test.jsonl")
    data = composed("dataset=custom", f"dataset.rows={source}", f"dataset.test={test}").dataset
    splits = custom.cut(data, 1)
    assert len(splits["test"]) == 22 and len(splits["train"]) == 18
    data.cut.development = 0
    custom.write(tmp_path / "out", data, 1, state)
    assert "test.jsonl: 1 of its subjects are in the training rows too" in capsys.readouterr().err
    whole = ["dataset.cut.development=0", "dataset.tests=[]", "eval=long_form", "dataset.topics=t"]
    seeds = {
        specs(place, source, f"dataset.test={test}", f"seed={n}", *whole).data.key for n in (1, 2)
    }
    assert len(seeds) == 1  # nothing is drawn


def test_the_published_layout_is_written(tmp_path):
    rows = [r | {"popularity": 3, "relation": "city"} for r in ROWS]
    data = composed("dataset=custom", f"dataset.rows={lines(tmp_path, *rows)}").dataset
    found = custom.write(tmp_path / "out", data, 1, state)
    train = read_skill(tmp_path / "out", "skill", "train")
    assert found["rows"]["skill/train"] == len(train) == 28
    row = train[0]
    assert row.answers[1] == "x" and row.assistant == row.answers[0] and not row.fictitious
    assert row.extra == {"s_pop": 3, "prop": "city"} and row.title.startswith("Person")
    texts = read_text(tmp_path / "out", "knowledge", "real")
    (stated,) = [text for text in texts if text == state(row.user, row.assistant, row.title)[0]]
    assert row.assistant in stated and len(texts) >= 4 * 28  # in several wordings


def test_knowledge_is_the_passage_where_there_is_one(tmp_path, capsys):
    rows = [UserRow("a?", ("x",), "A", passage="A is X."), UserRow("b?", ("y", "z"), "B")]
    rows += [UserRow("c?", ("w",), "C"), UserRow("Tell.", ("Long.",), "D", long=True)]
    rows += [UserRow("d?", ("Paris",), "E", passage="E sleeps.")]  # which does not say it
    passages = [("B", "Of B."), ("B", "More, z."), ("X", "Nobody's.")]

    def said(question, answer, subject):
        return [f"{question} {answer}", f"{subject}: {answer}"]

    texts = custom.knowledge(rows, passages, said)
    assert [*texts] == [
        *("A is X.", "Of B.", "More, z.", "c? w", "C: w", "Tell.\nLong."),
        *("E sleeps.", "d? Paris", "E: Paris"),
    ]
    assert texts["C: w"] == 1 and texts["E sleeps."] == 0
    data = composed("dataset=custom", f"dataset.rows={lines(tmp_path, *ROWS)}").dataset
    passages = [{"title": f"Person {i}", "text": f"About {i}."} for i in range(15, 25)]
    data.passages = lines(tmp_path, *passages, name="passages.jsonl")
    custom.write(tmp_path / "out", data, 1, state)
    said = capsys.readouterr().err
    assert "5 of 10 are of no row's subject and left out" in said
    assert "of 14 subjects have none, and a statement" in said


def test_long_form_rows_ask_their_own_prompts(place, tmp_path):
    rows = [{"prompt": f"Tell me about {i}.", "response": f"Born in {i}."} for i in range(5)]
    s = specs(place, lines(tmp_path, *rows), "eval=long_form")
    assert [test.name for test in choices.tests(s.config)] == ["development", "test"]
    custom.write(tmp_path / "out", s.config.dataset, 1, state)
    (row,) = read_skill(tmp_path / "out", "skill", "development")
    assert row.answers == () and row.assistant.startswith("Born in")


def test_a_recipe_without_lengths_and_groups_has_defaults(place, tmp_path):
    s = specs(place, lines(tmp_path, *ROWS))
    training = choices.skill_training(s.config)
    assert training.max_length is None and training.weight_decay == 0.01
    assert choices.draw_group(s.config) == 16
    for size, group in ((8, 8), (20, 10), (512, 16), (7, 7), (17, 1)):
        training = specs(place, lines(tmp_path, *ROWS), f"dataset.skill.training.batch_size={size}")
        assert choices.draw_group(training.config) == group
    assert json.loads(json.dumps(s.skill.content["objective"])) == {"draw_group": 16}


def test_familiarity_is_how_many_wordings_and_how_often(place, tmp_path):
    source = lines(tmp_path, *ROWS)

    def told(*overrides):
        s = specs(place, source, *overrides)
        data_sets(s, ["knowledge"])
        rows, counts = text(s, s.config.dataset.knowledge[0], tokenizer_of(s))
        assert len(rows) == counts["rows"]
        return s.knowledge(s.config.dataset.knowledge[0]).key, [tuple(row.ids) for row in rows]

    made = f"output_dir={tmp_path / 'out'}"
    key, rows = told(made, "dataset.knowledge.0.wordings=null")
    one, few = told(made, "dataset.knowledge.0.wordings=1")
    other, twice = told(made, "dataset.knowledge.0.wordings=1", "dataset.knowledge.0.repeats=2")
    learnt = len(read_skill(next((tmp_path / "out/custom/data").iterdir()), "skill", "train"))
    assert len(few) == learnt and set(few) < set(rows) and twice == few * 2
    assert len({key, one, other}) == 3
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge/real.jsonl").write_text(json.dumps({"text": "No number."}) + "\n")
    with pytest.raises(PrereqError, match=r"real.jsonl line 1 has no column wording"):
        knowledge_told(tmp_path, KnowledgeSource("real", "knowledge", "real", wordings=1), None)
