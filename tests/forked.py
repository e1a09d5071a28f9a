"""`python -m prereq …` without its imports: a process that has made them forks one for each command.

A command still is a process of its own, from the entry point to the exit code. What it saves is the
seconds that importing torch, transformers and PEFT take each time.
"""

import atexit
import json
import os
import runpy
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from socket import AF_UNIX, socket

HERE = Path(__file__).parent.parent


class Forked:
    """The process that forks, started by the first command; it ends with this one."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="prereq-forked-")
        self.place = Path(self.folder.name) / "socket"
        self.server: subprocess.Popen | None = None
        self.lock = threading.Lock()

    def run(
        self, arguments: list[str], cwd: Path, environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess:
        """As `subprocess.run` with text captured. What is read while importing is of the first command."""
        with self.lock:
            if self.server is None:
                command = [sys.executable, "-m", "tests.forked", str(self.place)]
                self.server = subprocess.Popen(
                    command, cwd=HERE, env=environment, stdin=subprocess.PIPE
                )
        until = time.monotonic() + 120
        while not self.place.exists() and time.monotonic() < until:
            assert self.server.poll() is None, "the process that forks has ended"
            time.sleep(0.05)
        with tempfile.TemporaryDirectory(dir=self.folder.name) as place, socket(AF_UNIX) as peer:
            files = [Path(place) / name for name in ("out", "err")]
            peer.settimeout(timeout)
            peer.connect(str(self.place))
            asked = {"arguments": arguments, "cwd": str(cwd), "environment": environment}
            asked["files"] = list(map(str, files))
            peer.sendall(json.dumps(asked).encode() + b"\n")
            code = int(peer.makefile().readline())
            out, err = (file.read_text("utf-8") for file in files)
        return subprocess.CompletedProcess(arguments, code, out, err)


class Handler(socketserver.StreamRequestHandler):
    """One command: asked in a line of JSON, answered by its exit code."""

    def handle(self) -> None:
        asked = json.loads(self.rfile.readline())
        child = os.fork()
        if not child:
            _become(asked)
        _, status = os.waitpid(child, 0)
        with suppress(BrokenPipeError):
            self.wfile.write(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become(asked: dict) -> None:
    """Turn this process into the command, and end with it."""
    os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, file in enumerate(["/dev/null", *asked["files"]]):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 0
    try:
        sys.argv = ["prereq", *asked["arguments"]]
        sys.path[0] = asked["cwd"]
        runpy.run_module("prereq", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        with suppress(Exception):
            threading._shutdown()
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    pass


def _serve(place: str) -> None:
    import datasets  # noqa: F401

    import prereq.evaluation.engines
    import prereq.model.loading
    import prereq.stages.pipeline
    import prereq.training.loop  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ready = Path(place).with_suffix(".starting")
    with Server(str(ready), Handler) as server:
        ready.rename(place)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        server.serve_forever(poll_interval=0.05)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
