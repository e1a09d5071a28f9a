"""Knowledge text by subject, for a teacher that reads about it: rows that will not do, and keys."""

import json
from pathlib import Path

import pytest

from prereq.errors import PrereqError
from prereq.stages.data import taught
from prereq.stages.pretrain import tokenizer_of
from prereq.stages.specs import Specs
from tests.configs import composed

TAUGHT = "dataset.knowledge_objective=distillation"
TEXTS = [
    {"text": "Riga is in Latvia.", "title": "Riga"},
    {"text": "Oslo is in Norway.", "title": "Oslo"},
    {"text": "The capital of Latvia is Riga.", "title": "Riga"},
    {"text": "The capital of Norway is Oslo.", "title": "Oslo"},
]
SPLIT = "popqa_knowledge/statement_train_real.jsonl"


def by_subject(place: Path, folder: Path, rows: list[dict], *overrides: str):
    file = folder / SPLIT
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["dataset=popqa", f"dataset.path={folder}", "model=hf", f"model.path={place / 'llama'}"]
    specs = Specs(composed(*words, "stage=cpt", TAUGHT, *overrides))
    source = next(s for s in specs.config.dataset.knowledge if s.name == "statement_real")
    tokenizer = tokenizer_of(specs)
    return taught.by_subject(specs, source, tokenizer)[0], tokenizer


def test_texts_go_together_by_their_title(place, tmp_path):
    subjects, tokenizer = by_subject(place, tmp_path, TEXTS)
    assert [[text.row.number for text in texts] for texts in subjects] == [[1, 3], [2, 4]]
    for texts in subjects:
        for text in texts:
            line = TEXTS[text.row.number - 1]["text"] + "\n"
            assert text.told == tokenizer(line, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(
    ("rows", "override", "said"),
    [
        ([*TEXTS, {"text": "Who?"}], "", r"statement_train_real.jsonl line 5 has no column title"),
        ([*TEXTS, {"text": "Who?", "title": 7}], "", r"line 5 has title 7; .*non-empty string"),
        (TEXTS[:3], "", r"1 of 2 have one \(Oslo\)"),
        (TEXTS, "dataset.distillation.context=2", r"line 1 has \d+ tokens, more than the teacher"),
    ],
)
def test_texts_without_a_partner_are_refused(place, tmp_path, rows, override, said):
    with pytest.raises(PrereqError, match=said) as refused:
        by_subject(place, tmp_path, rows, *filter(None, [override]))
    assert "knowledge_objective=next_token" in str(refused.value)


def test_the_key_follows_the_teacher_and_is_the_old_one_without():
    def content(*overrides: str) -> dict:
        specs = Specs(composed("dataset=world_qa", "stage=cpt", *overrides))
        return specs.knowledge(specs.config.dataset.knowledge[0])

    plain, half = content(), content(TAUGHT, "dataset.distillation.weight=0.5")
    assert "teacher" not in plain.content
    assert len({plain.key, content(TAUGHT).key, half.key}) == 3
    less = content(TAUGHT, "dataset.distillation.context=64")
    assert less.key != content(TAUGHT).key
