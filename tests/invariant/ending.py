"""Ends two processes in every way, each while a thread of its group is late: see `test_ending.py`.

Prints JSON: of each way the exit code, the output and the errors of both processes.

python -m tests.invariant.ending FOLDER
"""

import atexit
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import torch
from torch import distributed

from prereq.runtime import ranks

WAYS = {
    "done": None,
    "refused": SystemExit(2),
    "said": SystemExit("no such dataset"),
    "a bug": ZeroDivisionError("of a bug"),
    "Ctrl-C": KeyboardInterrupt(),
}
LATE = 5  # seconds


def be_late() -> None:
    """Have a thread of the group at work until long after `main` has ended, in each process.

    It takes the interpreter's lock again and again, as a thread does that lets go of tensors late.
    """
    store = distributed.distributed_c10d._get_default_store()
    begun = threading.Event()

    def go_on(_) -> None:
        begun.set()
        until = time.monotonic() + LATE
        while time.monotonic() < until:
            time.sleep(0.001)

    for late in (0, 1):
        if ranks.rank() != late:
            store.wait([f"listening {late}"])
        work = distributed.all_reduce(torch.ones(1), async_op=True)
        if ranks.rank() == late:
            work.get_future().then(go_on)  # so it runs in the thread that ends the exchange
            store.set(f"listening {late}", "")
    begun.wait()


def main(way: str) -> None:
    ranks.state()
    # Imported now, as transformers does, its functions refer to the group by their defaults.
    import torch.distributed.nn.functional  # noqa: F401

    atexit.register(print, "exit handler")
    be_late()
    print("at the end")  # not flushed
    if error := WAYS[way]:
        raise error


def forked(way: str, process: int, port: int, folder: Path) -> int:
    """Start one process of two; its id."""
    child = os.fork()
    if child:
        return child
    for number, name in enumerate(("out", "err"), 1):
        sys.stdout.flush()
        os.dup2(os.open(folder / f"{way} {process} {name}", os.O_WRONLY | os.O_CREAT), number)
    here = {"WORLD_SIZE": 2, "RANK": process, "LOCAL_RANK": process, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in here.items()}
    os.environ["MASTER_ADDR"] = "127.0.0.1"
    ranks.run(lambda: main(way))
    raise AssertionError("one of several processes goes on")


def code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    place = Path(sys.argv[1])
    found = {}
    for way in WAYS:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        children = [forked(way, process, port, place) for process in (0, 1)]
        found[way] = [
            (code(child), *((place / f"{way} {n} {name}").read_text() for name in ("out", "err")))
            for n, child in enumerate(children)
        ]
    print(json.dumps(found))
