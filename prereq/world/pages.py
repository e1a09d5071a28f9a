"""The embedded world as a source to judge by: one page a person, of all that its texts say of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from prereq.data.sentences import sentences
from prereq.world.words import FIRST_NAMES, LAST_NAMES

NAME = re.compile(rf"\b(?:{'|'.join(FIRST_NAMES)}) (?:{'|'.join(LAST_NAMES)})\b")


def pages(folder: Path) -> list[dict]:
    """`{"title", "text", "version"}` of every person that a text of the world in `folder` is about.

    A document tells of one person. Fictitious people have a page a version; the version of others is None.
    """
    found: dict[tuple[str, int | None], dict[str, None]] = {}  # sentences, each once, in order
    for file, version in _files(folder):
        for line in file.read_text("utf-8").split("\n"):
            if line.strip():
                text = json.loads(line)["text"]
                told = found.setdefault((NAME.search(text)[0], version), {})
                told.update(dict.fromkeys(sentence for sentence, _ in sentences(text)))
    return [
        {"title": name, "text": " ".join(told), "version": version}
        for (name, version), told in found.items()
    ]


def _files(folder: Path) -> Iterator[tuple[Path, int | None]]:
    yield folder / "pretrain/train.jsonl", None
    yield folder / "knowledge/passage_train_real.jsonl", None
    for file in sorted((folder / "knowledge").glob("passage_train_v*.jsonl")):
        yield file, int(file.stem.removeprefix("passage_train_v"))
