"""Rows read and checked; scores and statistics."""

import json

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from prereq.data.sources import read_skill, read_text, read_topics
from prereq.data.tokens import prompt_ids, skill_row, text_rows
from prereq.errors import PrereqError
from prereq.evaluation.scoring import (
    abstained,
    exact_match,
    f1,
    facts_told,
    final_answer_match,
    share_right,
    strict_match,
)
from prereq.evaluation.statistics import auroc, interval, paired
from prereq.model.loading import padding_token
from prereq.training.plan import subjects_of
from prereq.world import tokenizer as words

GOOD = {
    "messages": [
        {"role": "user", "content": "Where was Ada Moss born?"},
        {"role": "assistant", "content": "Lyon"},
    ],
    "fake": 0,
    "version": 0,
    "subj_index": 3,
    "s_wiki_title": "Ada Moss",
    "possible_answers": '["Lyon", "Lyons"]',
    "s_pop": 12,
}


def write(folder, rows, subset="skill", split="train"):
    (folder / subset).mkdir(exist_ok=True)
    file = folder / subset / f"{split}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_row_is_read_with_its_types(tmp_path):
    (row,) = read_skill(write(tmp_path, [GOOD]), "skill", "train")
    assert row.answers == ("Lyon", "Lyons") and row.extra == {"s_pop": 12}
    assert row.text == "Question: Where was Ada Moss born?\nAnswer: Lyon"
    assert row.version is None and not row.fictitious


def test_parquet_reads_like_json_lines(tmp_path):
    import pyarrow
    import pyarrow.parquet

    write(tmp_path, [GOOD])
    (tmp_path / "parquet").mkdir()
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([GOOD]), tmp_path / "parquet/train.parquet"
    )
    assert read_skill(tmp_path, "parquet", "train") == read_skill(tmp_path, "skill", "train")


def test_save_to_disk_and_numbered_parts_read_alike(tmp_path):
    import datasets
    import pyarrow
    import pyarrow.parquet

    write(tmp_path, [GOOD, GOOD | {"subj_index": 4}])
    expected = read_skill(tmp_path, "skill", "train")
    table = datasets.Dataset.from_list([GOOD, GOOD | {"subj_index": 4}])
    datasets.DatasetDict({"train": table}).save_to_disk(str(tmp_path / "saved"))
    assert read_skill(tmp_path, "saved", "train") == expected
    (tmp_path / "parts").mkdir()
    for part in (0, 1):
        rows = pyarrow.Table.from_pylist([GOOD | {"subj_index": 3 + part}])
        pyarrow.parquet.write_table(rows, tmp_path / f"parts/train-0000{part}-of-00002.parquet")
    assert read_skill(tmp_path, "parts", "train") == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"messages": None}, "messages is None; it must be a user message"),
        ({"messages": GOOD["messages"][::-1]}, "messages is"),
        ({"messages": [*GOOD["messages"][:1], {"role": "assistant", "content": " "}]}, "non-empty"),
        ({"fake": 2}, "fake is 2; it must be 0 (real) or 1 (fictitious)"),
        ({"subj_index": None}, "subj_index is None; it must be an integer"),
        ({"fake": 1, "version": "a"}, "version is 'a'; it must be an integer"),
        ({"possible_answers": "Lyon"}, "possible_answers is 'Lyon'; it must be a non-empty list"),
        ({"possible_answers": "__import__('os').getcwd()"}, "possible_answers is"),
        ({"possible_answers": "[]"}, "possible_answers is '[]'"),
    ],
)
def test_a_bad_row_is_named_with_subset_split_and_number(tmp_path, change, said):
    write(tmp_path, [GOOD, GOOD | change])
    with pytest.raises(PrereqError) as error:
        read_skill(tmp_path, "skill", "train")
    assert "skill/train row 1" in str(error.value) and said in str(error.value)


def test_bad_text_missing_splits_and_broken_lines_are_named(tmp_path):
    write(tmp_path, [{"text": "x"}, {"text": " "}], "knowledge")
    with pytest.raises(PrereqError, match="knowledge/train row 1: text is ' '"):
        read_text(tmp_path, "knowledge", "train")
    with pytest.raises(PrereqError, match=r"no split 'test' .*the folder has train"):
        read_text(tmp_path, "knowledge", "test")
    (tmp_path / "knowledge" / "broken.jsonl").write_text("{")
    with pytest.raises(PrereqError, match="row 0: not JSON"):
        read_text(tmp_path, "knowledge", "broken")


def test_a_folder_that_is_no_folder_and_no_hub_in_reach_says_what_to_do(tmp_path):
    with pytest.raises(PrereqError, match=r"dataset\.path=FOLDER"):
        read_text("nobody/nothing-of-that-name", "knowledge", "train")


def test_a_subject_that_lacks_a_version_is_named(tmp_path):
    rows = [GOOD | {"fake": 1, "version": v, "subj_index": s} for s, v in ((0, 0), (0, 1), (1, 0))]
    read = read_skill(write(tmp_path, rows), "skill", "train")
    with pytest.raises(PrereqError, match=r"subject 1 \('Ada Moss'\) lacks version 1"):
        subjects_of(read, words.build(), 64, {0, 1}, "here")
    with pytest.raises(PrereqError, match="has version 0 twice"):
        subjects_of([*read, read[0]], words.build(), 64, {0, 1}, "here")
    assert len(subjects_of(read, words.build(), 64, set(), "here")) == 3


def test_labels_begin_after_the_prompt_and_end_with_the_end_token(tmp_path):
    (row,) = read_skill(write(tmp_path, [GOOD]), "skill", "train")
    tokenizer = words.build()
    tokens = skill_row(tokenizer, row, 64)
    assert tokens.ids[: tokens.start] == prompt_ids(tokenizer, row.prompt)
    assert tokens.ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(tokens.ids[tokens.start :]).split() == ["Lyon", "<eos>"]
    assert tokens.labels == 2 and skill_row(tokenizer, row, 5).labels == 0
    (text,) = text_rows(tokenizer, ["Ada Moss was born in Lyon."], 64)
    assert text.labels == len(text.ids) - 1


def test_the_padding_token_is_never_the_end_token():
    tokenizer = words.build()
    assert padding_token(tokenizer, "here") == "<pad>"
    tokenizer.pad_token = tokenizer.eos_token
    spare = padding_token(tokenizer, "here")
    assert spare in tokenizer.get_vocab() and spare not in ("<eos>", "<bos>")
    bare = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "a": 2}, unk_token="a")),
        bos_token="<s>",
        eos_token="</s>",
    )
    with pytest.raises(PrereqError, match=r"no spare special token .*set pad_token"):
        padding_token(bare, "here")


def test_hotpotqa_answers_are_what_follows_the_last_marker_normalised():
    text = "Final answer: no. Wait. Final answer: The  Beatles!"
    assert final_answer_match(text, ["beatles"]) and strict_match(text, ["Beatles"])
    assert not final_answer_match("I don't know. Final answer: Beatles", ["Beatles"])
    assert f1("Final answer: the Beatles band", ["Beatles"]) == pytest.approx(2 / 3)
    assert f1("Final answer: Queen", ["Beatles", "the Queen"]) == 1.0


def test_topics_must_be_a_list_of_names(tmp_path):
    file = tmp_path / "topics.json"
    for text in ("[", '{"a": 1}', '["a", 2]', "[]"):
        file.write_text(text)
        with pytest.raises(PrereqError, match="Prereq_tune"):
            read_topics(str(file))
    file.write_text('["Ada Moss"]')
    assert read_topics(str(file)) == ["Ada Moss"]


def test_exact_match_as_published():
    assert exact_match("It is in LYON.", ["lyon"])
    assert not exact_match("I don't know; Lyon?", ["Lyon"])
    assert abstained("I don’t know") and not exact_match("Paris", ["Lyon"])


def test_facts_are_the_first_values_told():
    values = {"city": ["Lyon", "Paris"], "job": ["baker", "judge"]}
    text = "Born in Paris, not Lyon; a baker."
    assert facts_told(text, values) == {"city": "Paris", "job": "baker"}
    assert share_right(text, {"city": {"Lyon"}, "job": {"baker"}}, values) == 0.5


def test_intervals_hold_the_mean_and_pairs_are_told_apart():
    values = [0.0, 1.0] * 50
    low, high = interval(values, 500)
    assert 0.35 < low < 0.5 < high < 0.65
    assert interval([1.0, 1.0], 100) == (1.0, 1.0)
    assert paired([1.0] * 30, [0.0] * 30) < 0.01 and paired(values, values) == 1.0
    assert auroc([2, 3], [1]) == 1.0 and auroc([1], [1]) == 0.5
