"""Files into rows: what is read over, and what is refused with file and line."""

import json

import pytest

from prereq.data.sources import BadRows, read_skill, read_text, read_topics, text_place
from prereq.errors import PrereqError
from tests.rows import GOOD, write, write_parquet, write_text

TEXTS = b'{"text": "a"}\n{"text": "b"}\n'


def refusal(root, subset="k", split="train") -> str:
    with pytest.raises(BadRows) as error:
        read_text(root, subset, split)
    return str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        TEXTS,
        b"\xef\xbb\xbf" + TEXTS,
        TEXTS.replace(b"\n", b"\r\n"),
        b"\n" + TEXTS.replace(b"\n", b"\n  \n\n"),
        TEXTS.rstrip(),
    ],
    ids=["plain", "byte-order mark", "CRLF", "blank lines", "no last line feed"],
)
def test_json_lines_of_every_editor_read_alike(tmp_path, content):
    write_text(tmp_path, content, "k")
    assert read_text(tmp_path, "k", "train") == ["a", "b"]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_lines_end_at_line_feeds_only(tmp_path, separator):
    text = f"one{separator}two"
    write_text(tmp_path, json.dumps({"text": text}, ensure_ascii=False) + "\n", "k")
    assert read_text(tmp_path, "k", "train") == [text]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "not JSON"),
        (b'{"text": "a"', "not JSON"),
        (b'{"text": "caf\xe9"}', "not UTF-8 (byte 0xe9 at column 14)"),
        (b'{"text": NaN}', "not JSON (NaN is no JSON number)"),
        (b'{"text": -Infinity}', "not JSON (-Infinity is no JSON number)"),
        (b"[" * 100_000, "not JSON (nested too deep)"),
        (b'{"text": "a", "text": "b"}', "not JSON (the key 'text' comes twice)"),
        (b"null", "null is not a row"),
        (b"7", "7 is not a row"),
        (b'["a"]', "['a'] is not a row"),
        (b'{"text": "bad \\ud800 one"}', "'text' holds half a character"),
        (b'{"text": "a", "x": [{"\\udc00": 1}]}', "'x' holds half a character"),
        (b'{"text": null}', "text is null; it must be a non-empty string"),
        (b'{"text": " "}', "text is ' '"),
        (b'{"text": ["a"]}', "text is ['a']"),
        (b'{"text": 12}', "text is 12"),
        (b'{"txt": "a"}', "the column text is missing; did you mean 'txt'?"),
        (b'{"a\\nb": "a"}', r"the column text is missing; it has ['a\nb']"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path, line, said):
    write_text(tmp_path, TEXTS + b"\n" + line + b"\n" + TEXTS, "k")
    message = refusal(tmp_path)
    assert f"k/train.jsonl line 4: {said}" in message and len(message.split("\n")) == 2


def test_a_whole_surrogate_pair_is_a_character(tmp_path):
    write_text(tmp_path, b'{"text": "\\ud83d\\ude00"}', "k")
    assert read_text(tmp_path, "k", "train") == ["😀"]


def test_files_of_another_kind_are_named(tmp_path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write_text(tmp_path, pointer, "k")
    assert "train.jsonl is a Git LFS pointer" in refusal(tmp_path) and "git lfs pull" in refusal(
        tmp_path
    )
    write_text(tmp_path, b"\xff\xfe" + '{"text": "a"}'.encode("utf-16-le"), "k")
    assert "train.jsonl is UTF-16; save it as UTF-8" in refusal(tmp_path)
    write_text(tmp_path, b'[\n {"text": "a"},\n {"text": "b"}\n]\n', "k")
    assert "train.jsonl is a JSON array; write its rows one a line" in refusal(tmp_path)
    write_text(tmp_path, b'{\n "text": "a"\n}\n', "k")
    assert "train.jsonl spreads a row over several lines" in refusal(tmp_path)
    write_text(tmp_path, b"\n \n", "k")
    assert "no rows; a split needs at least one" in refusal(tmp_path)
    (tmp_path / "k/train.jsonl").rename(tmp_path / "k/train.parquet")
    for content in (pointer, b"PAR1 and so on"):
        (tmp_path / "k/train.parquet").write_bytes(content)
        assert "git lfs pull" in refusal(tmp_path) or "cannot be read as Parquet" in refusal(
            tmp_path
        )


def test_parquet_reads_like_json_lines(tmp_path):
    rows = [
        GOOD | {"facts": {"city": "Lyon"}, "known": 1, "type": None},
        GOOD | {"subj_index": 4, "facts": {"job": "baker"}, "known": None, "type": "bridge"},
    ]
    write(tmp_path, rows)
    write_parquet(tmp_path / "parquet/train.parquet", rows)
    expected = read_skill(tmp_path, "skill", "train")
    found = read_skill(tmp_path, "parquet", "train")
    assert found == expected and found[1].facts == {"job": "baker"}
    assert [row.place for row in found] == [
        "parquet/train.parquet row 1",
        "parquet/train.parquet row 2",
    ]
    content = (tmp_path / "parquet/train.parquet").read_bytes()
    (tmp_path / "parquet/train.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadRows, match=r"train\.parquet cannot be read as Parquet"):
        read_skill(tmp_path, "parquet", "train")


def test_a_parquet_file_without_rows_or_with_a_column_twice_is_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "k").mkdir()
    text = pyarrow.array(["a"], pyarrow.string())
    for columns, said in (([text[:0]], "no rows"), ([text, text], "two columns text")):
        table = pyarrow.Table.from_arrays(columns, ["text"] * len(columns))
        pyarrow.parquet.write_table(table, tmp_path / "k/train.parquet")
        assert said in refusal(tmp_path)


def test_all_problems_of_a_split_are_counted_and_ten_are_shown(tmp_path):
    write_text(tmp_path, "".join(f'{{"text": {i}}}\n' for i in range(500)), "k")
    lines = refusal(tmp_path).split("\n")
    assert lines[0] == f"{tmp_path}: 500 problems in the rows, among them:" and len(lines) == 11
    assert lines[10] == "  - k/train.jsonl line 10: text is 9; it must be a non-empty string"
    write_text(tmp_path, b'{"text": ""}\n' * 500 + b'{"text": 7}\n', "k")
    lines = refusal(tmp_path).split("\n")
    assert lines[0].endswith("501 problems in the rows:") and len(lines) == 3
    assert lines[1].startswith("  - k/train.jsonl line 1 and 499 more: text is ''")


def test_a_value_is_shown_in_short_on_one_line(tmp_path):
    content = json.dumps({"text": ["\x1b[31m\n\u202e", "x" * 9999]}) + "\n"
    write_text(tmp_path, content, "k")
    message = refusal(tmp_path)
    assert r"text is ['\x1b[31m\n\u202e', 'xxx" in message and len(message) < 300
    assert len(message.split("\n")) == 2 and "\x1b" not in message


def test_a_file_is_read_once_and_again_where_it_changed(tmp_path, monkeypatch):
    from prereq.data import reading

    write_text(tmp_path, TEXTS, "k")
    assert read_text(tmp_path, "k", "train").pop() == "b"  # the caller's own list
    original = reading.from_files
    calls = []
    monkeypatch.setattr(reading, "from_files", lambda *a: calls.append(a) or original(*a))
    assert read_text(tmp_path, "k", "train") == ["a", "b"] and not calls
    write_text(tmp_path, b"\n" + TEXTS + b'{"text": "c"}', "k")
    assert read_text(tmp_path, "k", "train") == ["a", "b", "c"] and len(calls) == 1
    assert text_place(tmp_path, "k", "train", 2) == "k/train.jsonl line 4"


@pytest.mark.parametrize(
    "content",
    [b"[", b'{"a": 1}', b"[]", b"[1]", b'["a", " "]', b'["\xff"]', b"[" * 100_000, b'["\\ud800"]'],
)
def test_topics_must_be_a_list_of_names(tmp_path, content):
    file = tmp_path / "topics.json"
    file.write_bytes(content)
    with pytest.raises(PrereqError, match="Prereq_tune") as error:
        read_topics(str(file))
    assert str(file) in str(error.value)


def test_topics_are_read_with_a_byte_order_mark(tmp_path):
    (tmp_path / "topics.json").write_bytes(b'\xef\xbb\xbf["Ada Moss"]')
    assert read_topics(str(tmp_path / "topics.json")) == ["Ada Moss"]
    with pytest.raises(PrereqError, match="a folder"):
        read_topics(str(tmp_path))
