"""Every score under an output folder: as one long table, and as lines that runs of several seeds share.

A line is one experiment: all settings but the seed. Runs are put together only where everything else
is the same, the rows of a split included; what differs from the recipe names the line.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from prereq.artifacts import audit, store
from prereq.artifacts.spec import Artifact
from prereq.config.shape import spelt
from prereq.errors import PrereqError
from prereq.runtime import files

# The values of a score's rows, and what their sum is divided by the sum of (None: their number).
Rows = tuple[list[float], list[float] | None]


@dataclass(frozen=True)
class Score:
    """A row of `scores.csv`. Shares are in percent; `low` and `high` bound a 95 % interval."""

    dataset: str
    model: str
    base: str  # the base model itself: its folder's name, path or Hub id
    method: str
    changes: str  # what differs from the recipe
    knowledge: str  # the plugged-in adapter; empty for the skill alone
    seed: int
    split: str
    metric: str
    unit: str  # share | count | nats
    value: float
    low: float | None
    high: float | None
    n: int
    artifact: str


@dataclass(frozen=True)
class Scored:
    """One scores artifact: its rows of the long table, its curve, each test row's own score."""

    labels: dict[str, Any]
    dataset: str
    model: str
    made: str
    epochs: dict[str, int]
    trained_on: dict[str, Any]
    folder: Path
    scores: list[Score]
    curve: list[dict]
    coverage: list[dict]
    rows: dict[tuple[str, str, str], Rows]  # (knowledge, split, metric) → what the score is made of
    asked: dict[str, str]  # split → digest of its questions, in order
    generations: str | None = None  # the key of the answers that were scored
    verdicts: str | None = None  # of a judge's scores: the key of what they count
    # Split → what a probe says of each of its rows, in order: see `report.familiarity`.
    known: dict[str, list[dict]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The artifact's key."""
        return self.folder.name.rpartition("-")[2]

    def questions(self, split: str) -> str | None:
        """A digest of what the split asks; None where an earlier version of prereq scored it."""
        return self.asked.get(split.removesuffix("_last"))


@dataclass
class Line:
    """The runs of one experiment: for each seed the newest scores of every split."""

    dataset: str
    model: str
    base: str
    method: str
    family: str  # plain | prerequisite | oracle
    colour: str | None
    changes: dict[str, Any]
    who: str
    name: str = ""  # what tables and pictures call it: see `named`
    splits: dict[str, str] = field(default_factory=dict)  # split → what its rows are
    roles: dict[str, str | None] = field(default_factory=dict)
    runs: dict[int, dict[str, Scored]] = field(default_factory=dict)  # seed → split → scores
    notes: list[str] = field(default_factory=list)
    # What `report.estimates` found of the runs, each once: terminal, LaTeX, pictures and page show the same.
    estimates: dict[tuple, Any] = field(default_factory=dict)

    def scores(self, split: str, metric: str, plugged: bool = False) -> list[Score]:
        """One score a seed (a seed and plugged-in adapter), those of a split and metric."""
        return [
            score
            for own, score in self._every()
            if (score.split, score.metric, bool(score.knowledge)) == (split, metric, plugged)
            and _belongs(score.split, own)
        ]

    def shown(self) -> list[Score]:
        """Every score of the line, each from the newest run of its split."""
        return [score for own, score in self._every() if _belongs(score.split, own)]

    def _every(self) -> Iterator[tuple[str, Score]]:
        """Each run's scores beside each split that the line takes from it."""
        for run in self.runs.values():
            for split, scored in run.items():
                yield from ((split, score) for score in scored.scores)

    def of(self, split: str) -> dict[int, Scored]:
        """Seed → the scores that hold the split."""
        base = next((s for s in (split, split.removesuffix("_last")) if s in self.splits), split)
        return {seed: run[base] for seed, run in sorted(self.runs.items()) if base in run}

    def split_of(self, role: str | None) -> str | None:
        """The first split with this role."""
        return next((name for name, r in self.roles.items() if r == role), None)


def _belongs(name: str, split: str) -> bool:
    """Whether a score's split is this one or a part of it."""
    after = name.removeprefix(split)
    return name == split or (after != name and after.startswith(("_last", "_against_", "/")))


def read(root: Path) -> list[Scored]:
    """All scores under `root`, oldest first."""
    return [scored(audit.verify(artifact)) for artifact in store.every(root, "scores")]


def lines(results: Iterable[Scored]) -> list[Line]:
    """Runs as lines. Of a seed and split scored twice, the newest counts."""
    found: dict[tuple, Line] = {}
    for result in results:  # oldest first, so that newer ones replace
        labels = result.labels
        place = (result.dataset, result.model, labels["who"], labels["method"])
        line = found.setdefault(
            place,
            Line(
                result.dataset,
                result.model,
                labels["base_experiment"],
                labels["method"],
                labels["family"],
                labels["colour"],
                labels["changes"],
                labels["who"],
            ),
        )
        for split, rows in labels["splits"].items():
            if line.splits.get(split, rows) != rows:  # the rows of earlier runs were others
                for seed, run in line.runs.items():
                    if run.pop(split, None) and seed != labels["seed"]:
                        line.notes.append(f"{split}: seed {seed} answered other rows of that name")
            line.splits[split] = rows
            line.roles[split] = labels["roles"][split]
            line.runs.setdefault(labels["seed"], {})[split] = result
    every = sorted(found.values(), key=lambda line: (line.dataset, line.model))
    for dataset, model in {(line.dataset, line.model): None for line in every}:
        named([line for line in every if (line.dataset, line.model) == (dataset, model)])
    return every


def named(group: Sequence[Line]) -> dict[str, Any]:
    """Name each line after its method and what differs from the recipe; returns what all share."""
    shared = {
        key: value
        for key, value in group[0].changes.items()
        if all(line.changes.get(key, ...) == value for line in group)
    }
    for line in group:
        own = {key: value for key, value in line.changes.items() if key not in shared}
        line.name = f"{line.method} ({spelt(own)})" if own else line.method
    names = [line.name for line in group]
    for line in group:
        if names.count(line.name) > 1:  # the difference is in a file, not in a setting
            line.name = f"{line.name} #{line.who[:4]}"
    return shared


def scored(artifact: Artifact) -> Scored:
    """A scores artifact read. Raises PrereqError where another version of prereq wrote it."""
    file = Path(artifact.path) / "scores.json"
    remedy = f"remove the folder {artifact.path}, and stage=pipeline or stage=eval makes it anew"
    payload = files.read_json(file, remedy)
    try:
        return _scored(artifact.manifest, payload, Path(artifact.path))
    except (KeyError, TypeError, AttributeError) as error:
        raise PrereqError(
            f"{file}: not what this version of prereq writes ({type(error).__name__}: {error}); {remedy}"
        ) from None


def _scored(manifest: dict, payload: dict, folder: Path) -> Scored:
    labels = manifest["labels"]
    for key in ("who", "base_experiment", "splits", "roles", "family", "colour"):
        labels[key]  # as this version writes them
    place = {
        "dataset": manifest["dataset"],
        "model": manifest["model"],
        "base": labels["base"],
        "method": labels["method"],
        "changes": spelt(labels["changes"]),
        "seed": labels["seed"],
        "artifact": f"{manifest['name']}-{manifest['key']}",
    }
    rows = payload["rows"]
    if isinstance(rows, dict):  # of an earlier version, which kept those of accuracy alone
        kept = {"knowledge": "", "metric": "accuracy", "out_of": None}
        rows = [kept | {"split": split, "values": values} for split, values in rows.items()]
    return Scored(
        labels=labels,
        dataset=manifest["dataset"],
        model=manifest["model"],
        made=manifest["made"],
        epochs=manifest["epochs"],
        trained_on=manifest["trained_on"],
        scores=[Score(**place, **row) for row in payload["scores"]],
        curve=payload["curve"],
        coverage=payload.get("coverage", []),
        rows={(r["knowledge"], r["split"], r["metric"]): (r["values"], r["out_of"]) for r in rows},
        asked=payload.get("asked", {}),
        generations=manifest["content"].get("generations"),
        verdicts=manifest["content"].get("verdicts"),
        folder=folder,
    )


def write_csv(rows: Sequence[Any], kind: type, file: Path) -> None:
    """Dataclasses of one kind as a table, a column a field."""
    names = [f.name for f in fields(kind)]
    write_table(names, [[getattr(row, name) for name in names] for row in rows], file)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], file: Path) -> None:
    """A CSV file, whole or not at all; numbers with four decimals, very small ones with four digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_number(v) if isinstance(v, float) else v for v in row] for row in rows)
    files.write_text(file, text.getvalue())


def _number(value: float) -> str:
    value = round(value, 12)  # what is smaller is rounding
    return f"{value:.4g}" if 0 < abs(value) < 0.001 else f"{value:.4f}"
