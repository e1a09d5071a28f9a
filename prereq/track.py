"""What a run logs: `metrics.jsonl` in the artifact always, Weights & Biases when asked.

The file is the truth; W&B shows it. One W&B run a stage and artifact, with an id that follows from
the artifact's key, so that a resumed job continues its run.
"""

import json
from pathlib import Path
from typing import Any

from prereq import ranks
from prereq.config import Config
from prereq.console import say
from prereq.store import Spec, plain


class Tracker:
    """Use as a context manager: `finish` always runs."""

    def __init__(self, config: Config, spec: Spec, folder: Path):
        self.config, self.spec, self.folder = config, spec, folder
        self.file = folder / "metrics.jsonl"
        self.run = None

    def __enter__(self) -> "Tracker":
        if self.config.tracker.name != "none" and ranks.first():
            self.run = _wandb_run(self.config, self.spec)
        return self

    def __exit__(self, kind, *_) -> None:
        if self.run is not None:
            self.run.finish(exit_code=0 if kind is None else 1)

    def resume(self, step: int) -> None:
        """Drop what was logged after the checkpoint that the run goes on from."""
        lines = self.file.read_text("utf-8").splitlines() if self.file.exists() else []
        kept = [line for line in lines if json.loads(line).get("step", -1) < step]
        self.file.write_text("".join(line + "\n" for line in kept), "utf-8")

    def log(self, step: int, values: dict[str, Any]) -> None:
        rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}
        with open(self.file, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step} | rounded) + "\n")
        if self.run is not None:
            self.run.log(values, step=step)


def _wandb_run(config: Config, spec: Spec) -> Any:
    import wandb

    mode = "offline" if config.tracker.name == "offline" else "online"
    settings = wandb.Settings(silent=True, init_timeout=30)
    where = Path(config.output_dir).resolve() / "wandb"
    where.mkdir(parents=True, exist_ok=True)
    arguments = {
        "project": config.tracker.project,
        "entity": config.tracker.entity,
        "group": config.tracker.group or f"{config.dataset.name}/{config.model.name}",
        "job_type": spec.kind,
        "name": f"{spec.name}-{spec.key}",
        "id": spec.key,
        "resume": "allow",
        "tags": [config.dataset.name, config.model.name, config.method.name],
        "config": plain(config),
        "dir": str(where),
        "settings": settings,
    }
    try:
        return wandb.init(mode=mode, **arguments)
    except (wandb.errors.CommError, wandb.errors.UsageError, TimeoutError) as error:
        say("offline", f"W&B is out of reach ({str(error).splitlines()[0]}); this run is kept here")
        return wandb.init(mode="offline", **arguments)
