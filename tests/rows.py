"""A good skill row, and files of rows in the published layout."""

import json
from collections.abc import Sequence
from pathlib import Path

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


def asked(question: str, answer: str = "Lyon", **more) -> dict:
    """The good row with another question."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return GOOD | {"messages": messages} | more


def write(folder: Path, rows: Sequence, subset: str = "skill", split: str = "train") -> Path:
    """Rows as `subset/split.jsonl` under the folder, which is returned."""
    write_text(folder, "".join(json.dumps(row) + "\n" for row in rows), subset, split)
    return folder


def write_text(
    folder: Path, text: str | bytes, subset: str = "skill", split: str = "train"
) -> Path:
    """Any content as `subset/split.jsonl` under the folder; the file."""
    file = folder / subset / f"{split}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def write_parquet(file: Path, rows: Sequence[dict]) -> None:
    import pyarrow
    import pyarrow.parquet

    file.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file)
