"""Everything that knows Trackio: the runs of `tracking.wandb`, on this disk alone and without an account.

Trackio's own run never ends, and what it has logged cannot be cut. So a run that begins takes the place
of an earlier one of the same artifact, and a resumed job logs its `metrics.jsonl` again (see `replay`).
"""

import io
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from rich.markup import escape

from prereq.artifacts.spec import Artifact, Spec
from prereq.config import TrackerConfig
from prereq.errors import Preempted, PrereqError
from prereq.runtime.console import at_the_end
from prereq.tracking.settings import Settings, described, job_type

ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")  # would send runs away
MOST = 1000  # rows of a table: all of them are one value in Trackio's database


def begin(settings: Settings, spec: Spec, resumed: bool) -> Any:
    """A new run, in place of an earlier one of the same artifact. Raises PrereqError where the environment
    says that runs go to a server."""
    for name in ELSEWHERE:
        if os.environ.get(name):
            raise PrereqError(
                f"{name} is set, and tracker=trackio keeps runs on this disk; unset it, and send them later: "
                "trackio sync"
            )
    asked = choose_folder(spec.root)
    import trackio

    if Path(trackio.TRACKIO_DIR) != asked:
        raise PrereqError(
            f"Trackio was imported before its folder was set, and would write to {trackio.TRACKIO_DIR}; set "
            f"TRACKIO_DIR={asked} in the environment of the command"
        )
    project, name = settings.tracker.project, spec.path.name
    with _quietly():
        for earlier in _runs(project):
            if earlier.name == name:
                earlier.delete()
        run = trackio.init(
            project=project,
            name=name,
            group=settings.tracker.group or f"{spec.dataset}/{spec.model}",
            config=described(settings, spec) | {"job_type": job_type(spec)},
            auto_log_gpu=False,
            auto_log_cpu=False,
            embed=False,
        )
    folder = shlex.quote(str(trackio.TRACKIO_DIR))
    at_the_end("to see", escape(f"TRACKIO_DIR={folder} trackio show --project {project}"))
    return run


def choose_folder(root: Path) -> Path:
    """Where this process and its workers log, unless the environment says it. Trackio reads it once, when
    it is imported, and other libraries import it too."""
    return Path(os.environ.setdefault("TRACKIO_DIR", str(root / "trackio")))


def replay(run: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Log what a resumed run's file holds."""
    for row in rows:
        run.log({k: v for k, v in row.items() if k != "step"}, step=row["step"])


def use(run: Any, tracker: TrackerConfig, inputs: Sequence[Artifact]) -> None:
    """Name the artifacts that the run's own is made from, in its configuration."""
    run.config["uses"] = [str(artifact.path) for artifact in inputs]


def made(run: Any, tracker: TrackerConfig, artifact: Artifact) -> None:
    """The numbers of the manifest's summary, at the last step."""
    manifest = artifact.manifest
    summary = {"seconds": manifest["seconds"]} | manifest.get("summary", {})
    run.log({k: v for k, v in summary.items() if isinstance(v, int | float)})


def scores(run: Any, rows: Sequence[dict], columns: list[str], answers: list[list]) -> None:
    """Every score as `split/metric` (plugged in: `split/metric/knowledge`), and the answers."""
    import trackio

    named = {"/".join(filter(None, (r["split"], r["metric"], r["knowledge"]))): r for r in rows}
    table = trackio.Table(columns=columns, data=answers[:MOST])
    run.log({name: row["value"] for name, row in named.items()} | {"answers": table})


def report(run: Any, spec: Spec, files: Sequence[Path]) -> None:
    """The report's pictures; its tables are files beside them."""
    import trackio

    pictures = [file for file in files if file.suffix == ".png"]
    run.log({f"report/{file.stem}": trackio.Image(file) for file in pictures})


def finish(run: Any, error: type[BaseException] | None) -> None:
    """The end of a run, all of it written; how it ended, where it was not well."""
    import trackio

    with _quietly():
        if error is not None:
            title = "stopped" if issubclass(error, Preempted) else "failed"
            run.alert(title, f"{error.__name__}; metrics.jsonl has all steps")
        trackio.finish()


def _runs(project: str) -> list[Any]:
    import trackio

    try:
        return list(trackio.Api().runs(project))
    except ValueError:  # there is no such project yet
        return []


@contextmanager
def _quietly() -> Iterator[None]:
    """Nothing on the standard output, and nothing to the network: Trackio tells what it does, and asks the
    Hub who owns a token that it finds."""
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        constants.HF_HUB_OFFLINE = before
