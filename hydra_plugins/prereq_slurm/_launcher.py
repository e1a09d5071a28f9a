"""`hydra/launcher=slurm`: hydra-submitit-launcher, made fit for jobs that train for days.

What differs from the plugin: a job that is told to stop saves its checkpoint and is queued again,
whichever signal tells it; a job that SLURM kills is noticed without an accounting database and
leaves the others running; every job keeps the record of which `prereq.runtime.sweeps` makes the table.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf, SlurmQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher
from omegaconf import OmegaConf
from rich.markup import escape

from prereq.errors import Preempted, PrereqError
from prereq.runtime import sweeps
from prereq.runtime.console import console, say
from prereq.runtime.signals import handle, stop

ASK_EVERY = 10  # seconds between two looks at SLURM's queue
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
ENDED |= {"PREEMPTED", "REVOKED", "TIMEOUT"}


@dataclass
class PrereqSlurm(SlurmQueueConf):
    """The plugin's fields and two more; `conf/hydra/launcher/slurm.yaml` says what each is for."""

    _target_: str = "hydra_plugins.prereq_slurm._launcher.PrereqSlurmLauncher"
    container: str | None = None
    srun_args: list[str] = field(default_factory=list)


ConfigStore.instance().store(
    group="hydra/launcher", name="prereq_slurm", node=PrereqSlurm, provider="prereq"
)


class PrereqSlurmLauncher(SlurmLauncher):
    """Submits the jobs of a sweep as one array and waits for all of them."""

    def __call__(self, *arguments: Any) -> JobReturn:
        """One job, on its node, called by submitit."""
        import submitit

        # submitit put its own handler there: it has SLURM queue the job again, and counts time-outs.
        requeue = signal.getsignal(signal.SIGUSR2)
        handle(stop)
        try:
            return super().__call__(*arguments)
        except Preempted as stopped:
            console.print(stopped.message, markup=False)
            # Not running any more: the user cancelled it (queued again, it would come back), or
            # SLURM preempts by queueing it again itself.
            job = submitit.JobEnvironment().job_id
            if (_states(f"--jobs={job}") or {}).get(job) == "RUNNING":
                requeue(signal.SIGUSR2, None)
            raise

    def checkpoint(self, *_: Any) -> Any:
        """What submitit runs when SLURM starts the job again: just what it ran this time.

        Read from its file, because what this object has gathered since cannot all be pickled.
        """
        import submitit

        return submitit.helpers.DelayedSubmission.load(
            submitit.JobEnvironment().paths.submitted_pickle
        )

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Submit, wait, and return what every job returned; of one that failed, its error."""
        from submitit.core.utils import FailedJobError

        folder = Path(str(self.config.hydra.sweep.dir)).resolve()
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        records = [
            sweeps.Job(number, list(filter_overrides(overrides)))
            for number, overrides in zip(numbers, job_overrides, strict=True)
        ]
        for record in records:
            sweeps.write(folder, record)
        arguments = [
            (list(overrides), "hydra.sweep.dir", number, f"job_{number}", Singleton.get_state())
            for number, overrides in zip(numbers, job_overrides, strict=True)
        ]
        try:
            jobs = self._executor().map_array(self, *zip(*arguments, strict=True))
        except FailedJobError as error:
            raise PrereqError(
                f"SLURM refused the sweep: {' '.join(str(error).split())}\n"
                "What it was asked for is in hydra.launcher (python -m prereq hydra/launcher=slurm "
                "--cfg hydra -p hydra.launcher); change it there or in a file of your own, see "
                "conf/hydra/launcher/slurm.yaml"
            ) from None
        sweeps.begin(folder)
        array = jobs[0].job_id.split("_")[0]
        say("queued", f"{len(jobs)} jobs as SLURM job {array}, logs in {jobs[0].paths.folder}")
        for number, overrides in zip(numbers, sweeps.told_apart(records)[1], strict=True):
            say("queued", f"job {number}", escape(overrides))
        try:
            return _wait(folder, dict(zip(numbers, jobs, strict=True)))
        except (KeyboardInterrupt, Preempted):
            say("left", f"the jobs go on without this command; to end them: scancel {array}")
            raise

    def _executor(self) -> Any:
        import submitit

        params = dict(self.params)
        container = params.pop("container")
        python = f"{container} python3" if container else shlex.quote(sys.executable)
        try:
            executor = submitit.AutoExecutor(
                folder=params.pop("submitit_folder"),
                cluster="slurm",
                slurm_max_num_timeout=params.pop("max_num_timeout"),
                slurm_python=python,
            )
        except RuntimeError:
            raise PrereqError(
                "hydra/launcher=slurm: there is no srun on this machine; run it where jobs are "
                "submitted, or try it on one machine: launchers/slurm/local-cluster start"
            ) from None
        shared = set(OmegaConf.structured(BaseQueueConf))
        executor.update_parameters(
            **{key if key in shared else f"slurm_{key}": value for key, value in params.items()}
        )
        return executor


def _wait(folder: Path, jobs: dict[int, Any]) -> list[JobReturn]:
    """Wait for every job's result file; a job that is neither there nor queued any more is lost."""
    returns: dict[int, JobReturn] = {}
    missed: set[int] = set()  # without a result, and not in the queue, at the last look
    looked = time.monotonic()
    while len(returns) < len(jobs):
        time.sleep(0.5)
        waiting = {number: job for number, job in jobs.items() if number not in returns}
        there = set(os.listdir(next(iter(jobs.values())).paths.folder))
        for number, job in waiting.items():
            if job.task(0).paths.result_pickle.name in there:
                returns[number] = _result(folder, number, job.task(0))
        if time.monotonic() - looked < ASK_EVERY:
            continue
        looked = time.monotonic()
        states = _states()
        if states is None:  # SLURM does not answer now; the next look may tell more
            continue
        gone = {
            number
            for number, job in waiting.items()
            if number not in returns and states.get(job.job_id, "gone") in {*ENDED, "gone"}
        }
        # Twice, for a job that is queued again is gone for a moment, and files come late over NFS.
        for number in gone & missed:
            said = states.get(jobs[number].job_id, "it is gone from the queue")
            returns[number] = _failed(folder, number, jobs[number], "lost", f"SLURM says {said}")
        missed = gone
    return [returns[number] for number in jobs]


def _result(folder: Path, number: int, job: Any) -> JobReturn:
    try:
        returned = job.result()
    except Exception as error:  # of submitit: the job failed outside of `prereq.__main__.run`
        told = str(error).split("-" * 22)
        lines = (told[1] if len(told) > 2 else str(error)).strip().splitlines()
        return _failed(folder, number, job, "failed", lines[-1])
    _tell(sweeps.read(folder, number))
    return returned


def _failed(folder: Path, number: int, job: Any, state: str, error: str) -> JobReturn:
    record = sweeps.read(folder, number)
    record.state, record.error, record.log = state, error, str(job.task(0).paths.stdout)
    sweeps.write(folder, record)
    _tell(record)
    returned = JobReturn(overrides=record.overrides, status=JobStatus.FAILED)
    returned.return_value = sweeps.JobFailed(f"job {number} {state}: {error}")
    return returned


def _tell(job: sweeps.Job) -> None:
    say(job.state, f"job {job.number}", escape(" ".join(job.error.split())))


def _states(which: str = "--me") -> dict[str, str] | None:
    """SLURM's state of every job of this user by its id, or None where it does not answer."""
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", which]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return dict(line.split() for line in said.stdout.splitlines()) if said.returncode == 0 else None
