"""Everything that knows Weights & Biases: a run, its lineage, tables, pictures and its end.

Lineage without a server: `Run.use_artifact` refuses to work offline, because it would look the input
up. But W&B tells artifacts apart by name and digest, and every artifact here is on disk. So an
input is described again, file by file as its maker described it, and recorded as *used*; the server
finds it to be the version that it has.
"""

import os
import re
import shlex
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import wandb
from rich.markup import escape

from prereq.artifacts.spec import Artifact, Spec
from prereq.config import TrackerConfig
from prereq.errors import Preempted
from prereq.runtime.console import at_the_end, say
from prereq.tracking.settings import Settings, described, job_type

UPLOADED = ("knowledge", "skill", "generations", "scores")  # other payloads are big, or not ours
FINISH_SECONDS = 300  # at most, for what is still to be uploaded


def begin(settings: Settings, spec: Spec, resumed: bool) -> Any:
    """A new run, or the one of the same artifact continued; None where W&B is switched off.

    W&B replaces a run by a later one of the same id, also when a record is sent by `wandb sync`. So
    nothing but a resumed run asks to be continued, and an offline record is complete in itself (see
    `replay`).
    """
    tracker, folder = settings.tracker, spec.root / "wandb"
    # What W&B sets aside for an upload belongs beside its records, not into somebody's home.
    os.environ.setdefault("WANDB_DATA_DIR", str(folder / "data"))
    # The method, where the artifact is about one: methods share base models and knowledge.
    method = spec.labels.get("method")
    arguments = {
        "project": tracker.project,
        "entity": tracker.entity,
        "group": tracker.group or f"{spec.dataset}/{spec.model}",
        "job_type": job_type(spec),
        "name": spec.path.name,
        "id": re.sub(r"[^\w.-]", "-", spec.path.name)[-64:],
        "tags": [spec.dataset, spec.model, *([method] if method else [])],
        "config": described(settings, spec),
        "dir": str(spec.root),
        "reinit": "create_new",
        "settings": wandb.Settings(
            silent=True,
            console="off",  # one console shows several runs
            init_timeout=30,
            finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
        ),
    }
    mode = _mode(tracker, folder)
    if mode == "online":
        try:
            resume = "allow" if resumed else None
            return wandb.init(mode="online", resume=resume, **arguments)
        except (wandb.errors.Error, TimeoutError) as error:
            _say_offline(error, str(folder))
    if mode == "disabled":
        return None
    run = wandb.init(mode="offline", **arguments)
    at_the_end("to send", escape(f"wandb sync -n 1 {shlex.quote(str(folder))}"))
    return run


def replay(run: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Log what a resumed run's file holds and the record does not: offline, everything."""
    first = run.step
    for row in rows:
        if row["step"] >= first:
            run.log({k: v for k, v in row.items() if k != "step"}, step=row["step"])


def use(run: Any, tracker: TrackerConfig, inputs: Sequence[Artifact]) -> None:
    """Record the artifacts that the run's own is made from."""
    for artifact in inputs:
        key = artifact.manifest.get("key")
        _record(run, _artifact(artifact, tracker), [key] if key else [], used=True)


def made(run: Any, tracker: TrackerConfig, artifact: Artifact) -> None:
    """Record the artifact that the run has made, and the summary of its manifest."""
    manifest = artifact.manifest
    run.summary.update({"seconds": manifest["seconds"]} | manifest.get("summary", {}))
    _record(run, _artifact(artifact, tracker), ["latest", manifest["key"]])


def scores(run: Any, rows: Sequence[dict], columns: list[str], answers: list[list]) -> None:
    """Every score as `split/metric` (with knowledge plugged in: `split/metric/knowledge`)."""
    run.summary.update(
        {
            "/".join(filter(None, (r["split"], r["metric"], r["knowledge"]))): r["value"]
            for r in rows
        }
    )
    run.log({"answers": wandb.Table(columns=columns, data=answers)})


def report(run: Any, spec: Spec, files: Sequence[Path]) -> None:
    """The report's CSV as a table, its pictures, and both as an artifact."""
    artifact = wandb.Artifact(_name("report", spec.dataset, spec.model or ""), type="report")
    for file in files:
        # The next report overwrites its files; the run keeps its own.
        kept = shutil.copy(file, run.dir)
        artifact.add_file(kept, policy="immutable", skip_cache=True)
        if file.suffix == ".png":
            run.log({f"report/{file.stem}": wandb.Image(str(file))})
        else:
            columns, *rows = _csv(file)
            run.log({f"report/{file.stem}": wandb.Table(columns=columns, data=rows)})
    _record(run, artifact, ["latest", spec.key])


def finish(run: Any, error: type[BaseException] | None) -> None:
    """The end of a run, whichever way it ended; what an interrupted one had recorded is replaced."""
    folder = Path(run.dir).parent
    if error and issubclass(error, Preempted):
        run.mark_preempting()
    try:
        run.finish(exit_code=0 if error is None else 1)
    except TimeoutError:
        say("offline", "W&B did not take everything in time; its record is kept")
        command = f"wandb sync --include-online {shlex.quote(str(folder))}"
        at_the_end("to send", escape(command))
        _reach.cache_clear()  # the next run looks whether anybody is there
    for older in folder.parent.glob(f"offline-run-*-{run.id}/run-{run.id}.wandb"):
        if older.parent != folder:  # `wandb sync` then passes over it
            older.with_suffix(".wandb.synced").touch()


def _mode(tracker: TrackerConfig, folder: Path) -> str:
    """online, offline or disabled."""
    asked = "offline" if tracker.name == "offline" else os.environ.get("WANDB_MODE")
    if asked in (None, "online"):
        return "online" if _reach(str(folder)) else "offline"
    return "disabled" if asked == "disabled" else "offline"


@cache
def _reach(folder: str) -> bool:
    """Whether the server answers and takes the key: found out once a process, with one line."""
    wandb.setup(wandb.Settings(silent=True))
    try:
        if wandb.login(prompt=False, verify=True):
            return True
        _say_offline("no API key: `wandb login` asks for one", folder)
    except wandb.errors.Error as error:
        _say_offline(error, folder)
    return False


def _say_offline(why: object, folder: str) -> None:
    first = str(why).partition("\n")[0]
    say("offline", escape(f"W&B is out of reach ({first}); its records are kept in {folder}"))


def _artifact(artifact: Artifact, tracker: TrackerConfig) -> wandb.Artifact:
    """An artifact as W&B shall know it: the same name, type and digest whoever describes it."""
    manifest = artifact.manifest
    if not manifest:  # given by hand, or on a hub: a reference
        described = wandb.Artifact(_name("external", artifact.reference), type="external")
        on_hub = "datasets/" if artifact.kind == "data" else ""
        name, _, revision = artifact.reference.partition("@")
        place = f"https://huggingface.co/{on_hub}{name}/tree/{revision or 'main'}"
        local = Path(artifact.path)
        place = local.resolve().as_uri() if local.exists() else place
        described.add_reference(place, name="source", checksum=False)
        return described
    kind = manifest["kind"]
    parts = (kind, manifest["dataset"], manifest["model"] or "", manifest["name"])
    metadata = {"path": str(artifact.path)} | {k: manifest[k] for k in ("key", "labels", "version")}
    described = wandb.Artifact(_name(*parts), type=kind, metadata=metadata)
    whole = tracker.upload and kind in UPLOADED
    # Not the adapters of every epoch: the manifest has their checksums.
    files = sorted(p for p in Path(artifact.path).iterdir() if p.is_file())
    for file in files if whole else [Path(artifact.path) / "manifest.json"]:
        described.add_file(str(file), policy="immutable", skip_cache=True)
    return described


def _record(run: Any, artifact: wandb.Artifact, aliases: list[str], used: bool = False) -> None:
    """Write an artifact into the run's record, as made by it or as used.

    What `Run.log_artifact` does offline, and `Run.use_artifact` with an artifact that is new to it,
    in either mode: it asks the server nothing, so it neither waits nor fails without one, and the
    record has it. The client's service sends it on.
    """
    artifact.finalize()
    run._interface.publish_artifact(
        run, artifact, aliases, is_user_created=used, use_after_commit=used
    )


def _name(*parts: str) -> str:
    return re.sub(r"[^\w.-]", "-", "-".join(filter(None, parts)))[:128]


def _csv(file: Path) -> list[list[str]]:
    import csv

    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))
