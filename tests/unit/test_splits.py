"""Which files make up a split: one way to hold its rows, whole, or an error that names the files."""

import json
import shutil

import pytest

from prereq.data.sources import BadRows, read_skill, read_text, split_files
from tests.rows import GOOD, write, write_parquet, write_text

TWO = [GOOD, GOOD | {"subj_index": 4}]


@pytest.fixture
def saved(tmp_path):
    """A split as `save_to_disk` writes it, of two data files."""
    import datasets

    table = datasets.Dataset.from_list(TWO)
    datasets.DatasetDict({"train": table}).save_to_disk(
        str(tmp_path / "saved"), num_shards={"train": 2}
    )
    return tmp_path / "saved/train"


def refusal(root, subset="skill", split="train") -> str:
    with pytest.raises(BadRows) as error:
        split_files(root, subset, split)
    assert str(root) in str(error.value)
    return str(error.value)


def test_save_to_disk_and_numbered_parts_read_alike(tmp_path, saved):
    expected = read_skill(write(tmp_path, TWO), "skill", "train")
    assert read_skill(tmp_path, "saved", "train") == expected
    assert [file.parent for file in split_files(tmp_path, "saved", "train")] == [saved, saved]
    for part in (0, 1):
        write_parquet(tmp_path / f"parts/train-0000{part}-of-00002.parquet", [TWO[part]])
    rows = read_skill(tmp_path, "parts", "train")
    assert rows == expected and [row.place for row in rows] == [
        "parts/train row 1",
        "parts/train row 2",
    ]


def test_competing_files_are_refused(tmp_path):
    write(tmp_path, TWO)
    write_parquet(tmp_path / "skill/train.parquet", TWO)
    assert "train.parquet and train.jsonl are there; keep the one" in refusal(tmp_path)
    (tmp_path / "skill/train.parquet").unlink()
    (tmp_path / "skill/train").mkdir()
    assert "train.jsonl and train/ are there" in refusal(tmp_path)
    (tmp_path / "skill/train").rmdir()
    write_parquet(tmp_path / "skill/train-00000-of-00001.parquet", TWO)
    assert "train.jsonl and train-00000-of-00001.parquet" in refusal(tmp_path)


def test_parts_are_all_there_and_of_one_generation(tmp_path):
    parts = tmp_path / "skill"
    write_parquet(parts / "train-00000-of-00003.parquet", TWO)
    write_parquet(parts / "train-00002-of-00003.parquet", TWO)
    assert "part 00001 of 3 (train-00001-of-00003.parquet) is missing" in refusal(tmp_path)
    write_parquet(parts / "train-00000-of-00001.parquet", TWO)
    message = refusal(tmp_path)
    assert "(of 1 parts)" in message and "(of 3 parts)" in message
    shutil.rmtree(parts)
    write_parquet(parts / "train-00000-of-00001.parquet", TWO)
    write_parquet(parts / "train-00001-of-00001.parquet", TWO)
    assert "train-00001-of-00001.parquet is more than 1 parts" in refusal(tmp_path)
    (parts / "train-00001-of-00001.parquet").rename(parts / "train-0-of-1.parquet")
    assert "are the same part" in refusal(tmp_path)


def test_a_saved_folder_has_the_files_that_its_state_lists(tmp_path, saved):
    stale = saved / "data-00007-of-00008.arrow"  # of an earlier save: the state does not list it
    stale.write_bytes(b"x")
    assert stale not in split_files(tmp_path, "saved", "train")
    second = saved / "data-00001-of-00002.arrow"
    content = second.read_bytes()
    second.unlink()
    assert f"train/{second.name} is missing, which state.json lists" in refusal(tmp_path, "saved")
    second.write_bytes(content[:-8])  # whole but for the mark of its end
    with pytest.raises(BadRows, match=r"cannot be read as an Arrow stream.*cut short"):
        read_skill(tmp_path, "saved", "train")
    second.write_bytes(b"junk")
    with pytest.raises(BadRows, match="cannot be read as an Arrow stream"):
        read_skill(tmp_path, "saved", "train")
    for state in ("{", "[]", "{}", '{"_data_files": [{"filename": "../other.arrow"}]}'):
        (saved / "state.json").write_text(state)
        assert "does not list the data files" in refusal(tmp_path, "saved")
    (saved / "state.json").unlink()
    assert "the folder train/ has no state.json but data-0" in refusal(tmp_path, "saved")


def test_what_stands_where_a_file_should_be_is_named(tmp_path):
    file = write_text(tmp_path, "")
    assert "train.jsonl is an empty file" in refusal(tmp_path)
    file.unlink()
    file.mkdir()
    assert "train.jsonl is a folder" in refusal(tmp_path)
    file.rmdir()
    file.symlink_to("nowhere")
    assert "train.jsonl is a link to nowhere, which does not exist" in refusal(tmp_path)
    file.unlink()
    file.symlink_to("/dev/zero")
    assert "no regular file" in refusal(tmp_path)


def test_what_is_missing_comes_with_what_is_near(tmp_path):
    write(tmp_path, [{"text": "x"}], "knowledge", "train")
    assert "no split 'test' in knowledge/" in refusal(tmp_path, "knowledge", "test")
    assert "the folder has train" in refusal(tmp_path, "knowledge", "test")
    assert "did you mean train?" in refusal(tmp_path, "knowledge", "trian")
    assert "the folder knowlege does not exist; did you mean knowledge?" in refusal(
        tmp_path, "knowlege", "train"
    )
    (tmp_path / "knowledge/train.jsonl").rename(tmp_path / "knowledge/train.json")
    message = refusal(tmp_path, "knowledge")
    assert "train.json is there" in message and "python -c" in message
    (tmp_path / "knowledge/train.json").rename(tmp_path / "knowledge/train.csv")
    assert "train.csv is there: write it as Parquet or JSON lines" in refusal(tmp_path, "knowledge")
    (tmp_path / "skill").write_text("x")
    assert "the folder skill is a file" in refusal(tmp_path)


def test_the_remedy_for_a_json_array_works(tmp_path):
    import subprocess
    import sys

    file = write_text(tmp_path, json.dumps([{"text": "Zürich"}, {"text": "b"}]), "k")
    with pytest.raises(BadRows, match=r"train\.jsonl is a JSON array") as error:
        read_text(tmp_path, "k", "train")
    code = str(error.value).partition('python -c "')[2].partition('"')[0]
    lines = subprocess.run([sys.executable, "-c", code], cwd=file.parent, capture_output=True)
    file.write_bytes(lines.stdout)
    assert read_text(tmp_path, "k", "train") == ["Zürich", "b"]


@pytest.mark.parametrize(
    "name", ["./data", "../data", "~/data", "/no/such/folder", "a/b/c", "data/"]
)
def test_a_path_is_never_looked_for_on_the_hub(name):
    with pytest.raises(BadRows) as error:
        read_text(name, "knowledge", "train")
    assert f"dataset.path={name} does not exist" in str(error.value)


def test_a_data_set_that_is_a_file_or_an_empty_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    assert "is a file" in refusal(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "has no folders" in refusal(tmp_path / "empty")


def test_a_hub_id_out_of_reach_says_what_to_do(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadRows, match=r"dataset\.path=FOLDER"):
        read_text("nobody/nothing-of-that-name", "knowledge", "train")
