"""Rows into subjects and tokens."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from prereq.config import ModelConfig
from prereq.data.sources import read_skill
from prereq.data.tokens import Cut, TokenRow, fitted, prompt_ids, skill_row, text_rows
from prereq.errors import PrereqError
from prereq.model.loading import load_tokenizer, padding_token
from prereq.training.objectives import Subject
from prereq.training.plan import fitted_subjects, subjects_of
from prereq.world import tokenizer as words
from tests.rows import GOOD, write


def test_a_subject_that_lacks_a_version_is_named(tmp_path):
    rows = [GOOD | {"fake": 1, "version": v, "subj_index": s} for s, v in ((0, 0), (0, 1), (1, 0))]
    read = read_skill(write(tmp_path, rows), "skill", "train")
    lacks = r"train.jsonl line 3: fictitious subject 1 \('Ada Moss'\) lacks version 1"
    with pytest.raises(PrereqError, match=lacks):
        subjects_of(read, words.build(), {0, 1}, "here")
    with pytest.raises(PrereqError, match="has version 0 twice"):
        subjects_of([*read, read[0]], words.build(), {0, 1}, "here")
    assert len(subjects_of(read, words.build(), set(), "here")) == 3


def test_labels_begin_after_the_prompt_and_end_with_the_end_token(tmp_path):
    (row,) = read_skill(write(tmp_path, [GOOD]), "skill", "train")
    tokenizer = words.build()
    tokens = skill_row(tokenizer, row)
    assert tokens.ids[: tokens.start] == prompt_ids(tokenizer, row)
    assert tokens.ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(tokens.ids[tokens.start :]).split() == ["Lyon", "<eos>"]
    assert tokens.labels == 2
    (text,) = text_rows(tokenizer, ["Ada Moss was born in Lyon."])
    assert text.labels == len(text.ids) - 1


LONG = [TokenRow([1, 2, 3, 4, 5, 6], 5, 1), TokenRow([1, 2, 3], 2, 2), TokenRow([1] * 9, 3, 3)]


def test_rows_that_would_lose_labels_stop_the_run_and_are_counted():
    with pytest.raises(PrereqError) as error:
        fitted([[row] for row in LONG], 5, "error", "skill/train")
    text = str(error.value)
    assert "2 of 3 rows are longer than max_length=5 tokens (row 1 has 6, row 3 has 9)" in text
    assert "1 of them would have no label left" in text
    assert "max_length=9" in text and "dataset.overlong=truncate" in text
    same = [[row] for row in LONG]
    assert fitted(same, 9, "error", "here") == (same, Cut())


def test_overlong_rows_are_cut_or_dropped_as_asked():
    kept, cut = fitted([[row] for row in LONG], 5, "truncate", "here")
    assert [[len(row.ids) for row in group] for group in kept] == [[], [3], [5]]
    assert cut == Cut(cut=1, dropped=1)
    kept, cut = fitted([[row] for row in LONG], 5, "drop", "here")
    assert [len(group) for group in kept] == [0, 1, 0] and cut == Cut(cut=0, dropped=2)
    with pytest.raises(PrereqError, match=r"overlong=truncate leaves no row. Set max_length=9"):
        fitted([[row] for row in LONG], 2, "truncate", "here")


def test_a_subject_is_dropped_with_all_of_its_versions():
    subjects = [Subject(True, {0: LONG[1], 1: LONG[2]}), Subject(False, {None: LONG[1]})]
    kept, cut = fitted_subjects(subjects, 5, "drop", "here")
    assert kept == subjects[1:] and cut == Cut(cut=0, dropped=2)
    kept, cut = fitted_subjects(subjects, 5, "truncate", "here")
    assert [list(s.rows) for s in kept] == [[0, 1], [None]] and cut == Cut(cut=1, dropped=0)


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


def test_a_tokenizer_is_read_once_and_again_when_its_files_change(tmp_path):
    tokenizer, config = words.build(), ModelConfig()
    tokenizer.save_pretrained(tmp_path)
    first = load_tokenizer(tmp_path, config)
    assert load_tokenizer(str(tmp_path), config) is first
    file = tmp_path / "tokenizer_config.json"
    file.write_text(file.read_text().replace('"<bos>"', '"<unk>"'))
    assert load_tokenizer(tmp_path, config).bos_token == "<unk>" and first.bos_token == "<bos>"
