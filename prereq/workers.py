"""Jobs side by side: on a CPU, one process a core makes more of small models than one with all cores.

Each worker is a fresh process that runs whole jobs (makes artifacts); locks in the store keep two
of them from making the same one. What they would show is drawn by the process that started them.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait

from prereq import console, ranks, store
from prereq.config import Config
from prereq.errors import Preempted
from prereq.stopping import handle, stop

MEMORY = {"tiny": 1.0, "smollm2": 3.0}  # GiB a process takes, by the model's source


def processes(config: Config) -> int:
    """How many jobs to run at once: as configured, else by cores and memory, and 1 on a GPU."""
    from prereq.training.loop import device

    if config.stage.processes:
        return config.stage.processes
    if ranks.count() > 1 or config.model.source not in MEMORY or device().type != "cpu":
        return 1
    import psutil

    room = psutil.virtual_memory().available / 2**30 / MEMORY[config.model.source]
    return max(1, min(_cores(), int(room)))


def side_by_side(jobs: Sequence[Callable[[], object]], count: int) -> None:
    """Run every job, `count` at a time; the first error stops the others, checkpoints saved.

    Jobs are picklable. What exists already is found here, so that workers start only for the rest.
    """
    jobs = [job for job in jobs if not _found(job)]
    count = min(count, len(jobs))
    if count <= 1:
        for job in jobs:
            job()
        return
    context = multiprocessing.get_context("spawn")
    events = context.Queue()
    drawing = threading.Thread(target=_draw, args=(events,))
    drawing.start()
    pool = ProcessPoolExecutor(count, context, _begin, (events, max(1, _cores() // count)))
    try:
        futures = [pool.submit(_work, job) for job in jobs]
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        for worker in multiprocessing.active_children():
            worker.terminate()  # SIGTERM: it saves its checkpoint
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        events.put(None)
        drawing.join()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _found(job: Callable[[], object]) -> bool:
    try:
        with store.looking_only():
            job()
    except store.Missing:
        return False
    return True


def _draw(events) -> None:
    for event in iter(events.get, None):
        console.show(event)


def _begin(events, threads: int) -> None:
    """The start of a worker."""
    import torch

    torch.set_num_threads(threads)
    console.send_to(events.put)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which tells us
    handle(stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()


_stopped = False


def _work(job: Callable[[], object]) -> None:
    """One job, in a worker; none after it was stopped, though the pool hands out what it queued."""
    global _stopped
    try:
        if _stopped:
            raise Preempted("stopped before it began")
        job()
    except Preempted:
        _stopped = True
        raise


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)
