"""The card of a data set that was made here, as README.md in the Hub's format."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from huggingface_hub import DatasetCardData

COPIED = (
    "Beside the fictitious rows stand real rows, texts and tests, copied from the data set that they are "
    "modelled on: its licence holds for them."
)


def text(card: str, files: Sequence[str], copied: bool) -> str:
    """`card` (Markdown) under a head that names each folder of rows as a configuration of the data set.

    `files` are paths `SUBSET/SPLIT.jsonl`, as `load_dataset(ID, SUBSET, split=SPLIT)` finds them.
    `copied`: real rows stand among them.
    """
    splits: dict[str, list[dict[str, str]]] = {}
    for file in map(PurePosixPath, files):
        if file.suffix == ".jsonl" and len(file.parts) == 2:
            split = {"split": file.stem, "path": str(file)}
            splits.setdefault(file.parts[0], []).append(split)
    configs = [{"config_name": name, "data_files": found} for name, found in splits.items()]
    head = DatasetCardData(tags=["prereq", "synthetic"], configs=configs).to_yaml()
    title, _, rest = card.partition("\n\n")
    parts = [f"---\n{head}\n---", title, *([COPIED] if copied else []), rest.rstrip("\n")]
    return "\n\n".join(parts) + "\n"
