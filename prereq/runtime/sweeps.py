"""A sweep's jobs: each keeps a record in the sweep's folder, and the sweep ends with a table of them.

The records are files, `outputs/sweeps/<time>/<number>/job.json`, because a job may run on another
machine, be killed there, or be queued again.
"""

import json
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from prereq import __version__
from prereq.errors import BUG, Preempted, PrereqError, explained
from prereq.runtime.console import console

FINISHED = ("done", "failed", "lost")
COLOURS = {"done": "green", "failed": "red", "lost": "red"}


@dataclass
class Job:
    """What is known of a job. States: queued, running, stopped, requeued, and those `FINISHED`."""

    number: int
    overrides: list[str]
    settings: list[str] = field(default_factory=list)  # those of the experiment, once composed
    state: str = "queued"
    score: float | None = None
    measure: str = ""  # what the score is
    artifact: str = ""
    log: str = ""  # of a job that does not share the terminal
    error: str = ""
    restarts: int = 0


class JobFailed(PrereqError):
    """A job of a sweep failed; its own output says why, the sweep's table names it."""


_shown: Path | None = None  # the sweep that this process runs


def begin(folder: Path) -> None:
    """This process runs the sweep in `folder`, whose table `show` is to show."""
    global _shown
    _shown = folder


def write(folder: Path, job: Job) -> None:
    place = folder / str(job.number) / "job.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(job), indent=1), "utf-8")
    os.replace(temporary, place)


def read(folder: Path, number: int) -> Job | None:
    place = folder / str(number) / "job.json"
    return Job(**json.loads(place.read_text("utf-8"))) if place.exists() else None


@contextmanager
def recorded() -> Iterator[Job]:
    """The record of the job that runs, written as it begins and ends; outside of a sweep, nowhere.

    Within a sweep an error is printed here, where the job's output goes, and comes out as `JobFailed`.
    """
    hydra = HydraConfig.get()
    main = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", 0))) == 0
    if OmegaConf.is_missing(hydra.job, "num") or not main:
        yield Job(0, [])
        return
    folder = Path(hydra.sweep.dir).resolve()
    begin(folder)
    job = read(folder, hydra.job.num) or Job(hydra.job.num, list(hydra.overrides.task))
    job.state, job.error = "running", ""
    if "SUBMITIT_EXECUTOR" in os.environ:
        import submitit

        job.log = str(submitit.JobEnvironment().paths.stdout)
        job.restarts = int(os.environ.get("SLURM_RESTART_COUNT", 0))
    write(folder, job)
    try:
        yield job
        job.state = "done"
    except Exception as error:
        job.state, job.error = "failed", f"{type(error).__name__}: {error}"
        text = explained(error)
        if text is None:
            traceback.print_exception(error)
            text = BUG.format(__version__)
        console.print(f"error in job {job.number}: {text}", markup=False)
        raise JobFailed(f"job {job.number} failed: {job.error}") from None
    except BaseException as stopped:
        job.state = "requeued" if job.log else "stopped"
        job.error = stopped.message if isinstance(stopped, Preempted) else type(stopped).__name__
        raise
    finally:
        write(folder, job)


def outcome(made: Any, method: str) -> tuple[float | None, str, str]:
    """Of what a stage returned: its value for a sweeper, what that is, and where the artifact lies.

    Scores: percent right on the split that selects (at the best epoch), else on the first one; larger
    is better; where methods are compared, those of `method`. Trained adapters: the loss at the last step,
    a mean over adapters; smaller is better.
    """
    artifacts = made if isinstance(made, list) else [made]
    artifacts = [artifact for artifact in artifacts if getattr(artifact, "manifest", None)]
    if not artifacts:
        return None, "", str(made)
    where = " ".join(str(artifact.path) for artifact in artifacts)
    if artifacts[0].manifest["kind"] == "scores":
        mine = next((a for a in artifacts if a.manifest["name"] == method), artifacts[0])
        rows = json.loads((mine.path / "scores.json").read_text("utf-8"))["scores"]
        roles = mine.manifest["labels"]["roles"]
        rows.sort(key=lambda r: (roles.get(r["split"]), r["metric"]) != ("selection", "accuracy"))
        return rows[0]["value"], f"{rows[0]['split']} {rows[0]['metric']}", where
    logs = [artifact.path / "metrics.jsonl" for artifact in artifacts]
    last = [json.loads(log.read_text("utf-8").splitlines()[-1]) for log in logs if log.exists()]
    losses = [values["loss"] for values in last if "loss" in values]
    if not losses:
        return None, "", where
    return sum(losses) / len(losses), "loss", where


def told_apart(jobs: Sequence[Job]) -> tuple[list[str], list[str]]:
    """The settings that all jobs share, and what is left of each job's, as one text a job.

    What only others set is the recipe's in a job, and is said to be. The overrides as typed where a job
    has not come far enough to know its settings.
    """
    known = all(job.settings for job in jobs)
    words = [list(job.settings if known else job.overrides) for job in jobs]
    if known:
        keys = dict.fromkeys(word.partition("=")[0] for mine in words for word in mine)
        for mine in words:
            set_here = {word.partition("=")[0] for word in mine}
            mine += [f"{key}=(recipe)" for key in keys if key not in set_here]
    shared = [word for word in words[0] if all(word in other for other in words)]
    shared = shared if len(jobs) > 1 else []
    return shared, [" ".join(word for word in mine if word not in shared) for mine in words]


def jobs_here() -> list[Job]:
    """The jobs of the sweep that this process runs; none outside of a sweep."""
    files = _shown.glob("[0-9]*/job.json") if _shown else []
    return [read(_shown, number) for number in sorted(int(file.parent.name) for file in files)]


def show() -> None:
    """The table of the sweep that this process ran, if it ran one."""
    jobs = jobs_here()
    if not jobs:
        return
    out = Console(highlight=False, soft_wrap=True)
    if not out.is_terminal:  # a file takes lines of any length
        out = Console(highlight=False, width=1000)
    shared, own = told_apart(jobs)
    paths = [path for job in jobs for path in job.artifact.split()]
    root = Path(os.path.commonpath(paths)) if paths else _shown
    root = root.parent if (root / "manifest.json").exists() else root
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("job", "settings", "state", "score", "artifact", "log"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "job" else "left")
    for job, settings in zip(jobs, own, strict=True):
        again = f" after {job.restarts + 1} starts" if job.restarts else ""
        table.add_row(
            str(job.number),
            escape(settings) or "–",
            f"[{COLOURS.get(job.state, 'yellow')}]{job.state}{again}[/]",
            "–" if job.score is None else f"{job.score:.4g} {job.measure}",
            "\n".join(os.path.relpath(path, root) for path in job.artifact.split()) or "–",
            os.path.relpath(job.log, _shown) if job.log else "–",
        )
    out.print(f"\n[bold]sweep[/bold] {_shown} (logs are in it; artifacts in {root})")
    if shared:
        out.print("all jobs:", " ".join(shared), markup=False)
    out.print(table, soft_wrap=False)
    for job in jobs:
        if job.error:
            out.print(f"job {job.number} {job.state}: {' '.join(job.error.split())}", markup=False)
