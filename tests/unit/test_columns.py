"""A user's own file as rows: the same ones from every format, every fault with file and line."""

import csv
import json
from pathlib import Path

import pytest

from prereq.config import Columns
from prereq.config.schema.sources import problems
from prereq.data.columns import read_passages, read_rows
from prereq.errors import PrereqError
from tests.configs import composed
from tests.rows import write_parquet

ROWS = [
    {
        "question": "Where was Ada Moss born?",
        "answers": ["Lyon", "Lyons"],
        "subject": "Ada Moss",
        "popularity": 12,
    },
    {
        "question": 'Who wrote "Sand,\nsea"?',
        "answers": ["1912"],
        "subject": "Otto Finch",
        "popularity": None,
    },
]


def lines(folder: Path, *rows: dict | bytes, name: str = "mine.jsonl") -> str:
    texts = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows]
    (folder / name).write_bytes(b"\n".join(texts) + b"\n")
    return str(folder / name)


def table(folder: Path, rows: list[dict], name: str = "mine.csv", end: str = "\n") -> str:
    with open(folder / name, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator=end)
        writer.writeheader()
        for row in rows:
            cells = {k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()}
            writer.writerow(cells)
    return str(folder / name)


def refusal(source: str, **columns: str) -> str:
    with pytest.raises(PrereqError) as error:
        read_rows(source, Columns(**columns))
    return str(error.value)


def test_every_format_gives_the_same_rows(tmp_path):
    expected = read_rows(lines(tmp_path, *ROWS), Columns())
    assert expected[0].answers == ("Lyon", "Lyons") and expected[1].popularity is None
    assert expected[1].question == 'Who wrote "Sand,\nsea"?'
    write_parquet(tmp_path / "mine.parquet", ROWS)
    assert read_rows(str(tmp_path / "mine.parquet"), Columns()) == expected
    assert read_rows(table(tmp_path, ROWS), Columns()) == expected
    assert read_rows(table(tmp_path, ROWS, end="\r\n"), Columns()) == expected
    (tmp_path / "mine.csv").write_bytes(
        b"\xef\xbb\xbf" + (tmp_path / "mine.csv").read_bytes().replace(b"Sand,\n", b"Sand,\r\n")
    )
    assert read_rows(str(tmp_path / "mine.csv"), Columns()) == expected
    marked = b"\xef\xbb\xbf" + json.dumps(ROWS[0]).encode() + b"\r"
    assert read_rows(lines(tmp_path, marked, b"", ROWS[1]), Columns()) == expected


def test_columns_by_mapping_and_rows_of_one_line(tmp_path, capsys):
    rows = {"q": " Where? ", "a": "Lyon", "Subject": "x"}
    source = lines(tmp_path, rows, name="mapped.jsonl")
    (row,) = read_rows(source, Columns(question="q", answers="a"))
    assert (row.question, row.answers, row.subject) == ("Where?", ("Lyon",), "Where?")
    assert row.place == "mapped.jsonl line 1"
    said = capsys.readouterr().err
    assert "mapped.jsonl: not used: Subject (is Subject the subject?)" in said
    assert "of every row the subject is the question itself" in said


def test_long_form_and_conversations(tmp_path):
    (row,) = read_rows(
        lines(tmp_path, {"prompt": "Tell me.", "response": "Born in Lyon."}), Columns()
    )
    assert row.long and row.answers == ("Born in Lyon.",)
    turns = [
        {"role": r, "content": c} for r, c in zip(["user", "assistant"] * 2, "abcd", strict=True)
    ]
    (row,) = read_rows(lines(tmp_path, {"messages": turns}), Columns())
    assert row.turns == (("user", "a"), ("assistant", "b")) and row.question == "c"
    assert "messages is" in refusal(lines(tmp_path, {"messages": turns[:3]}))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"qestion": "x", "answers": "y"},
            "the column question is missing; did you mean 'qestion'?",
        ),
        ({"question": "x"}, "the column answers is missing; it has ['question']"),
        ({"question": None, "answers": "y"}, "question is null; it must be a non-empty string"),
        ({"question": " ", "answers": "y"}, "question is ' '"),
        ({"question": "x", "answers": 1912}, "answers is 1912; it must be a non-empty string or a"),
        ({"question": "x", "answers": []}, "answers is []"),
        ({"question": "x", "answers": ["a", None]}, "answers is ['a', None]"),
        ({"question": "x", "answers": "[a"}, "answers is '[a'"),
        (
            {"question": "x", "answers": "y", "subject": 7},
            "subject is 7; it must be a non-empty string",
        ),
        ({"question": "x", "answers": "y", "popularity": "12"}, "popularity is '12'; it must be a"),
        ({"question": "x", "answers": "y", "passage": ""}, "passage is ''"),
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_fault_names_file_and_line(tmp_path, row, said):
    message = refusal(lines(tmp_path, ROWS[0], row))
    assert message.startswith(f"dataset.rows={tmp_path}/mine.jsonl: one problem")
    assert f"mine.jsonl line 2: {said}" in message, message


def test_all_faults_at_once_up_to_ten(tmp_path):
    bad = [{"question": i, "answers": "y"} for i in range(30)]
    message = refusal(lines(tmp_path, *bad))
    assert "30 problems in the rows, among them:" in message and len(message.split("\n")) == 11


def test_a_name_of_the_other_form_may_be_mapped(tmp_path):
    source = lines(tmp_path, {"prompt": "Where?", "answers": "x"}, name="form.jsonl")
    (row,) = read_rows(source, Columns(question="prompt"))
    assert row.question == "Where?" and not row.long
    config = composed("dataset=custom", "dataset.rows=x", "dataset.columns.question=prompt")
    config.stage.name = "data"
    assert problems(config) == []
    config.dataset.columns.subject = "prompt"
    (problem,) = problems(config)
    assert problem.startswith(
        "dataset.columns.question and dataset.columns.subject: both are prompt"
    )


def test_a_column_that_is_named_and_not_there_is_one_problem(tmp_path):
    source = lines(tmp_path, *[ROWS[0]] * 5)
    message = refusal(source, subject="subjekt")
    assert "mine.jsonl: the column subjekt is missing; did you mean 'subject'?" in message
    assert "(dataset.columns.subject names it)" in message
    message = refusal(source, question="q")
    assert "one problem" in message and "the column q is missing" in message
    message = refusal(lines(tmp_path, {"qestion": "x", "answers": "y"}, {"qestion": "z"}))
    assert "mine.jsonl: the column question is missing; did you mean 'qestion'?" in message
    assert "another name is given by dataset.columns.question=NAME" in message


def test_csv_faults(tmp_path):
    source = table(tmp_path, [ROWS[1], ROWS[0] | {"popularity": "many"}])
    assert "mine.csv line 4: popularity is 'many'; it must be a finite number" in refusal(source)
    for text, said in {
        'question,answers\n"x,y\n': "in the row that begins in line 2: not CSV",
        "question,answers\nx,y,z\n": "mine.csv line 2: 3 cells, and the header has 2",
        "question,answers\nx\n,y\n": "mine.csv line 3: question is null",
        "question;answers\nx;y\n": "';' between its columns; write commas",
        "question,question\nx,y\n": "two columns question",
        "question,answers\n": "no rows; it needs at least one",
        "question,answers\nx,\n": "answers is null",
        "": "mine.csv is an empty file",
    }.items():
        Path(source).write_text(text)
        assert said in refusal(source), text
    Path(source).write_bytes("question,answers\nx,é\n".encode("latin-1"))
    assert "mine.csv is not UTF-8 (byte 0xe9 in line 2)" in refusal(source)
    Path(source).write_bytes("question,answers\nx,y\n".encode("utf-16"))
    assert "is UTF-16" in refusal(source)


def test_files_that_are_not_there_or_of_another_kind(tmp_path):
    lines(tmp_path, ROWS[0])
    message = refusal(str(tmp_path / "mein.jsonl"))
    assert "mein.jsonl: no such file; did you mean mine.jsonl?" in message
    (tmp_path / "mine.json").write_text("[]")
    assert "must end in .jsonl, .csv, .parquet" in refusal(str(tmp_path / "mine.json"))
    (tmp_path / "mine.jsonl").write_text("[\n{}\n]")
    assert "mine.jsonl is a JSON array" in refusal(str(tmp_path / "mine.jsonl"))
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    assert "cannot be read as Parquet" in refusal(str(tmp_path / "mine.parquet"))


def test_a_hub_data_set_out_of_reach_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("nobody/nothing-of-that-name", "nobody/nothing-of-that-name:sub/train"):
        assert "dataset.rows=FILE" in refusal(name)


def test_repeated_and_contradicting_rows_are_named(tmp_path, capsys):
    one = {"question": "a?", "answers": "x", "subject": "s"}
    read_rows(lines(tmp_path, one, one, one | {"answers": "y"}, name="twice.jsonl"), Columns())
    said = capsys.readouterr().err
    assert "twice.jsonl: 1 of 3 rows repeat an earlier one (line 2)" in said
    assert "1 of 3 rows ask what an earlier one asks and answer otherwise (line 3)" in said


def test_passages_have_a_subject_or_title_and_text(tmp_path):
    passages = [{"title": "Ada Moss", "text": " Born. "}, {"title": "Ada Moss", "text": "Lived."}]
    found = read_passages(lines(tmp_path, *passages), Columns())
    assert found == [("Ada Moss", "Born."), ("Ada Moss", "Lived.")]
    with pytest.raises(PrereqError, match="line 1: text is null"):
        read_passages(lines(tmp_path, {"subject": "x", "text": None}), Columns())
