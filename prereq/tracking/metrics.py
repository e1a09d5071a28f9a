"""What a run logs: `metrics.jsonl` in the artifact always, Weights & Biases or Trackio when asked.

The file is the truth; a dashboard shows it. One run an artifact, with a name that follows from its key,
so that a resumed job continues its run. All that knows W&B is in `prereq.tracking.wandb`, all that knows
Trackio in `prereq.tracking.trackio`: two modules with the same functions.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.markup import escape

from prereq.artifacts.spec import Artifact, Spec
from prereq.runtime import files, ranks
from prereq.runtime.console import say
from prereq.tracking.settings import Settings


class Tracker:
    """The log of one artifact in the making. A context manager, so that the run always finishes."""

    def __init__(
        self,
        settings: Settings | None = None,  # None: `metrics.jsonl` alone
        spec: Spec | None = None,
        folder: Path | None = None,
        uses: Sequence[Artifact] = (),
    ):
        self.settings, self.spec, self.uses = settings, spec, uses
        self.file = folder / "metrics.jsonl" if folder else None
        self.run: Any = None  # of the dashboard, between `start` and the end

    def start(self, folder: Path | None = None) -> None:
        """From here on something is made, in `folder` if it keeps metrics."""
        self.file = folder / "metrics.jsonl" if folder else self.file
        if self.settings and self.settings.tracker.name != "none" and ranks.is_main():
            resumed = self.file is not None and self.file.exists()
            try:
                self.run = self._dashboard().begin(self.settings, self.spec, resumed)
            except Exception as error:
                self._say_untracked(error)
            self.tell(lambda dashboard: dashboard.use(self.run, self.settings.tracker, self.uses))

    def resume(self, step: int) -> None:
        """Drop what was logged after the checkpoint that the run goes on from; tell the dashboard the rest.

        An interruption can leave a torn line, or, after a power cut, one of null bytes.
        """
        if not self.file.exists():
            return
        rows, damaged = _logged(self.file)
        if damaged and step:
            what = "1 line" if damaged == 1 else f"{damaged} lines"
            say("dropped", escape(f"{what} of {self.file}: no JSON object with a step"))
        kept = [row for row in rows if row["step"] < step]
        files.write_lines(self.file, kept)
        self.tell(lambda dashboard: dashboard.replay(self.run, kept))

    def log(self, step: int, values: dict[str, Any]) -> None:
        """One line of metrics: of an optimizer step, or of an epoch."""
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}
        line = json.dumps({"step": step} | rounded, ensure_ascii=False, allow_nan=False)
        with open(self.file, "a", encoding="utf-8", newline="") as stream:
            stream.write(line + "\n")
        if self.run is not None:
            self.tell(lambda _: self.run.log(values, step=step))

    def scores(self, result: dict, columns: list[str], answers: list[list]) -> None:
        """What `evaluation.score` found: accuracy by epoch, every score, the answers to read."""
        curve: dict[int, dict[str, float]] = {}
        for point in result["curve"]:
            name = f"{point['split']}/accuracy_by_epoch"
            curve.setdefault(point["epoch"], {})[name] = point["value"]
        self.resume(0)
        for epoch in sorted(curve):
            self.log(epoch, curve[epoch])
        self.tell(lambda dashboard: dashboard.scores(self.run, result["scores"], columns, answers))

    def made(self, artifact: Artifact) -> None:
        """The artifact is published (nothing to tell where it was found)."""
        self.tell(lambda dashboard: dashboard.made(self.run, self.settings.tracker, artifact))

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, kind, *_) -> None:
        self.tell(lambda dashboard: dashboard.finish(self.run, kind))

    def tell(self, tell: Callable[[Any], None]) -> None:
        """A dashboard must never cost a run: whatever goes wrong there is one line, and the work goes on."""
        if self.run is None:
            return
        try:
            tell(self._dashboard())
        except Exception as error:
            self._say_untracked(error)
            run, self.run = self.run, None
            with suppress(Exception):
                self._dashboard().finish(run, type(error))

    def _dashboard(self) -> ModuleType:
        """The module of the tracker that is asked for: each takes seconds to import."""
        name = "trackio" if self.settings.tracker.name == "trackio" else "wandb"
        return importlib.import_module(f"prereq.tracking.{name}")

    def _say_untracked(self, error: Exception) -> None:
        which = "Trackio" if self.settings.tracker.name == "trackio" else "W&B"
        what = escape(f"{which} failed ({type(error).__name__}: {error})")
        say("untracked", f"{what}; the work goes on, with its metrics.jsonl")


def _logged(file: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of a metrics file, and how many of its lines are none."""
    rows, damaged = [], 0
    for line in file.read_bytes().split(b"\n"):
        if not line.strip():
            continue
        try:
            row = files.parse_json(line.decode("utf-8"))
        except ValueError:
            row = None
        if isinstance(row, dict) and type(row.get("step")) is int:
            rows.append(row)
        else:
            damaged += 1
    return rows, damaged
