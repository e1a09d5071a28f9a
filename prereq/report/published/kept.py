"""What `experiment=…` compared, kept as JSON beside its table: the setting, and which runs it is of.

No number is kept: a later report makes the table of the scores that are there then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from prereq.config.shape import mismatches
from prereq.errors import PrereqError
from prereq.report.collect import Line, named
from prereq.report.published.beside import TITLES, Ran, Setting
from prereq.runtime import files


@dataclass(frozen=True)
class Run:
    """One run, by the line that it is a seed of."""

    method: str
    size: int | None  # for figure 4: how many fictitious subjects it learnt from; None: all
    line: str  # the method that scores and tables name
    who: str  # all settings but the seed, as a digest


@dataclass(frozen=True)
class Kept:
    setting: Setting
    runs: list[Run]

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.setting.shows}-{self.setting.dataset}-{self.setting.model}"

    def line_of(self, run: Run, lines: Sequence[Line]) -> Line | None:
        own = self.setting.dataset, self.setting.model, run.line, run.who
        return next((x for x in lines if (x.dataset, x.model, x.method, x.who) == own), None)

    def ran(self, lines: Sequence[Line]) -> list[Ran]:
        """The runs that have scores, with the seeds made so far, each named by what is its own among them."""
        found = [(run, self.line_of(run, lines)) for run in self.runs]
        ran = [Ran(run.method, run.size, replace(line)) for run, line in found if line]
        if ran:
            named([one.line for one in ran])
        return ran

    def lacking(self, lines: Sequence[Line]) -> list[str]:
        """The runs without scores."""
        lost = [run for run in self.runs if self.line_of(run, lines) is None]
        return [run.line + (f" ({run.size:,} subjects)" if run.size else "") for run in lost]


def write(kept: Kept, folder: Path) -> None:
    files.write_json(folder / f"{kept.name}.json", asdict(kept))


def read(folder: Path) -> list[Kept]:
    """All that lie in the folder, in the paper's order. Raises PrereqError for what is none of ours."""
    found = [file for shows in TITLES for file in sorted(folder.glob(f"{shows}-*.json"))]
    return [_read(file) for file in found]


def _read(file: Path) -> Kept:
    remedy = "remove it, and the experiment writes it anew"
    payload = files.read_json(file, remedy)
    wrong = mismatches(payload, Kept, "")
    try:
        if wrong:
            raise TypeError("; ".join(wrong))
        plain = Kept(**payload)
        return Kept(Setting(**plain.setting), [Run(**run) for run in plain.runs])
    except TypeError as error:
        raise PrereqError(
            f"{file}: not what this version of prereq writes ({error}); {remedy}"
        ) from None
