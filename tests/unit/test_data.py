"""Rows into subjects and tokens."""

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from prereq.data.sources import read_skill
from prereq.data.tokens import prompt_ids, skill_row, text_rows
from prereq.errors import PrereqError
from prereq.model.loading import padding_token
from prereq.training.plan import subjects_of
from prereq.world import tokenizer as words
from tests.rows import GOOD, write


def test_a_subject_that_lacks_a_version_is_named(tmp_path):
    rows = [GOOD | {"fake": 1, "version": v, "subj_index": s} for s, v in ((0, 0), (0, 1), (1, 0))]
    read = read_skill(write(tmp_path, rows), "skill", "train")
    lacks = r"train.jsonl line 3: fictitious subject 1 \('Ada Moss'\) lacks version 1"
    with pytest.raises(PrereqError, match=lacks):
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
