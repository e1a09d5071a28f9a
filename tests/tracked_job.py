"""A job that only tracks, without torch: `python -m tests.tracked_job FOLDER NAME TRACKER STEPS`."""

import sys
from pathlib import Path

from prereq.artifacts.spec import Artifact, Spec
from prereq.errors import Preempted
from prereq.runtime.console import end
from prereq.stages.specs.choices import recorded
from prereq.tracking.metrics import Tracker
from prereq.tracking.obtain import obtain
from tests.configs import composed


def job(folder: Path, name: str, tracker: str, steps: int, first=0, stop=None) -> Artifact:
    """Log steps [first, steps) and publish; with `stop`, be told to stop there instead."""
    config = composed(f"tracker={tracker}", "method=sft")
    config.output_dir = str(folder)
    spec = Spec(folder, "world", "tiny", "skill", name, {"name": name, "training": {"epochs": 3}})

    def make(scratch: Path, tracker: Tracker) -> dict:
        (scratch / "checkpoint").mkdir(exist_ok=True)  # so that a second attempt resumes
        tracker.resume(first)
        for step in range(first, steps):
            if step == stop:
                raise Preempted("stopped")
            tracker.log(step, values(name, step))
        (scratch / "adapter.txt").write_text(name)
        return {"summary": {"steps": steps}}

    uses = [Artifact("someone/data", "someone/data")]
    return obtain(spec, recorded(config), make, uses=uses, collective=True)


def values(name: str, step: int) -> dict[str, float]:
    return {"loss": 1 / (1 + step), "loss/real": float(len(name)), "grad_norm": step / 4}


if __name__ == "__main__":
    job(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
    end()
