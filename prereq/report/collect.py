"""Every score under an output folder as one long table, and as a CSV file."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from prereq import files
from prereq.artifacts import audit, store
from prereq.artifacts.spec import Artifact
from prereq.errors import PrereqError

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
    return [scored(audit.verify(artifact)) for artifact in newest.values()]


def scored(artifact: Artifact) -> Scored:
    """A scores artifact read. Raises PrereqError where another version of prereq wrote it."""
    file = Path(artifact.path) / "scores.json"
    remedy = f"remove the folder {artifact.path}, and stage=pipeline or stage=eval makes it anew"
    payload = files.read_json(file, remedy)
    try:
        return _scored(artifact.manifest, payload)
    except (KeyError, TypeError, AttributeError) as error:
        raise PrereqError(
            f"{file}: not what this version of prereq writes ({type(error).__name__}: {error}); {remedy}"
        ) from None


def _scored(manifest: dict, payload: dict) -> Scored:
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
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [f.name for f in fields(Score)])
    writer.writeheader()
    for score in scores:
        row = asdict(score)
        writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})
    files.write_text(file, text.getvalue())
