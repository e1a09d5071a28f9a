"""Every score under an output folder as one long table, and as a CSV file."""

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from prereq import store
from prereq.store import Artifact

CURVE_SPLIT = "held_out"


@dataclass(frozen=True)
class Score:
    """A row of `scores.csv`. Shares are in percent; `low` and `high` bound a 95 % interval."""

    dataset: str
    model: str
    method: str
    knowledge: str  # the plugged-in adapter; empty for the skill alone
    seed: int
    split: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    artifact: str


@dataclass(frozen=True)
class Scored:
    """One scores artifact: its rows of the long table, its curve, each test row's own score."""

    method: str
    seed: int
    dataset: str
    model: str
    epochs: dict[str, int]
    scores: list[Score]
    curve: list[dict]
    rows: dict[str, list[float]]


def collect(root: Path) -> list[Scored]:
    """All scores artifacts under `root`; where one was made anew, the newest of its place counts."""
    newest: dict[str, Artifact] = {}
    for artifact in store.every(root, "scores"):
        newest[artifact.manifest["labels"]["skill"]] = artifact
    return [scored(artifact) for artifact in newest.values()]


def scored(artifact: Artifact) -> Scored:
    manifest = artifact.manifest
    payload = json.loads((Path(artifact.path) / "scores.json").read_text("utf-8"))
    labels = manifest["labels"]
    method = method_label(labels.get("method", manifest["name"]), labels.get("changes", {}))
    place = {
        "dataset": manifest["dataset"],
        "model": manifest["model"],
        "seed": labels.get("seed", -1),
    }
    rows = [
        Score(method=method, artifact=f"{manifest['name']}-{manifest['key']}", **place, **row)
        for row in payload["scores"]
    ]
    return Scored(
        method,
        place["seed"],
        place["dataset"],
        place["model"],
        manifest["epochs"],
        rows,
        payload["curve"],
        payload["rows"],
    )


def method_label(method: str, changes: dict) -> str:
    """A method by its name; off its recipe, with what was changed: `sft (epochs=5)`."""
    if not changes:
        return method
    return f"{method} ({', '.join(f'{k}={v:g}' for k, v in sorted(changes.items()))})"


def write_csv(scores: Sequence[Score], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [f.name for f in fields(Score)])
        writer.writeheader()
        for score in scores:
            row = asdict(score)
            writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})
    temporary.replace(file)
