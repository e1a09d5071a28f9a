"""One process or several that work together: who decides and writes, and how the others learn it.

`torchrun` and `accelerate launch` say in the environment which process this is; under `srun` with
several tasks SLURM's variables say it, and are translated here. Batches are global and laid out by
the plan, so the number of processes changes no result.
"""

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from prereq.errors import PrereqError, portable

T = TypeVar("T")


def join() -> None:
    """Translate the variables of an `srun` step of several tasks into those torch reads."""
    if "WORLD_SIZE" in os.environ or int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) < 2:
        return
    slurm = os.environ
    # Jobs on one node get ports of their own; SLURM numbers steps within a job.
    place = 10 * int(slurm["SLURM_JOB_ID"]) + int(slurm["SLURM_STEP_ID"])
    os.environ |= {
        "WORLD_SIZE": slurm["SLURM_STEP_NUM_TASKS"],
        "RANK": slurm["SLURM_PROCID"],
        "LOCAL_RANK": slurm["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": slurm["SLURM_STEP_TASKS_PER_NODE"].split("(")[0].split(",")[0],
        "MASTER_ADDR": _first_host(slurm["SLURM_STEP_NODELIST"]),
        "MASTER_PORT": str(20000 + place % 20000),
    }


def world_size() -> int:
    """How many processes work together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def rank() -> int:
    """The number of this process, from 0."""
    return int(os.environ.get("RANK", 0))


def is_main() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def sharded() -> bool:
    """Whether Accelerate is to shard the model over the processes (FSDP)."""
    return world_size() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def state():
    """Accelerate's account of the processes; the first call makes the process group."""
    import torch
    from accelerate import PartialState

    # Told nothing, Accelerate takes each of several processes on a CPU for the only one. What
    # one process waits for in a collective may be another job's long training.
    alone = {} if world_size() == 1 else {"timeout": timedelta(days=2)}
    return PartialState(cpu=not torch.accelerator.is_available(), **alone)


def device():
    """The `torch.device` on which this process computes."""
    return state().device


def run(main: Callable[[], object]) -> None:
    """Call a program's `main`. One of several processes ends here, with the exit code it would have had.

    It ends as Python ends it, but without taking the interpreter down. A thread of the process group
    may be late to let go of the last exchange's tensors, and needs the interpreter for that: where
    that is ending, C++ aborts the process, its work done (code -6, "terminate called without an
    active exception"). Destroying the group joins its threads only where nothing else refers to
    it, as defaults of functions in torch.distributed.nn.functional do.
    """
    try:
        main()
        # Not after an error, when an exchange may be under way that never ends.
        _destroy_group()
        code = 0
    except BaseException as error:
        if world_size() == 1:
            raise
        code = _exit_code(error)
    if world_size() == 1:
        return
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120  # as Python has it
    os._exit(code)


def _destroy_group() -> None:
    if world_size() > 1 and "torch" in sys.modules:
        import torch.distributed

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _exit_code(error: BaseException) -> int:
    """Show what a program ends with, as Python does; the exit code."""
    if isinstance(error, SystemExit) and isinstance(error.code, int | None):
        return error.code or 0
    if isinstance(error, SystemExit):
        print(error.code, file=sys.stderr)
        return 1
    sys.excepthook(type(error), error, error.__traceback__)
    return 130 if isinstance(error, KeyboardInterrupt) else 1  # 130 as shells have it


def on_main_process(work: Callable[[], T]) -> T:
    """What `work` returns, or the error it raises, in every process; only the first one runs it.

    Every error is handed on, Ctrl-C too: the others wait for an answer and would wait for ever.
    """
    if world_size() == 1:
        return work()
    from accelerate.utils import broadcast_object_list

    state()
    if not is_main():
        result, error = broadcast_object_list([None, None])
        if error is not None:
            raise error
        return result
    try:
        result = work()
    except BaseException as error:
        broadcast_object_list([None, portable(error)])
        raise
    broadcast_object_list([result, None])
    return result


def _first_host(nodes: str) -> str:
    if "[" not in nodes and "," not in nodes:
        return nodes
    command = ["scontrol", "show", "hostnames", nodes]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError) as error:
        raise PrereqError(
            f"SLURM_STEP_NODELIST={nodes}: `{' '.join(command)}` did not name the first node ({error}); "
            "set MASTER_ADDR, MASTER_PORT, RANK, LOCAL_RANK and WORLD_SIZE yourself"
        ) from None
