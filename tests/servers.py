"""Servers to ask in tests: `transformers serve`, and a peer that misbehaves as real ones do."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prereq.clients import Parameters
from prereq.config import Server

Answer = tuple[int, dict[str, str], Any]  # status, headers, body (a str as it is, else as JSON)

SCHEMA = {
    "type": "object",
    "properties": {"town": {"type": "string"}},
    "required": ["town"],
    "additionalProperties": False,
}
SHORT = Parameters(20)
NAMES = ("judge.server.url", "judge.server.model")


def asks(count: int) -> list[list[dict]]:
    return [[{"role": "user", "content": f"Where is church {i}?"}] for i in range(count)]


def town(value: dict) -> str:
    if not isinstance(value, dict) or set(value) != {"town"}:
        raise ValueError("it must have the key town alone")
    return value["town"]


def prompt(body: dict) -> str:
    return body["messages"][-1]["content"]


def server(url: str, **values) -> Server:
    return Server(**{"url": url, "model": "m", "api_key_env": "CLIENT_KEY"} | values)


@dataclass
class Peer:
    """A running server: its address, and each request in the order in which they came."""

    url: str = ""
    requests: list[dict] = field(default_factory=list)  # bodies, with `path`, `key` and `time`
    answered: int = 0  # with status 200


@contextmanager
def peer(answer: Callable[[dict, int], Answer]) -> Iterator[Peer]:
    """An HTTP server that speaks the protocol; `answer` gets the body and how many came before it."""
    mine, lock = Peer(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length)) | {"path": self.path}
            body |= {"key": self.headers["Authorization"], "time": time.monotonic()}
            with lock:
                before = len(mine.requests)
                mine.requests.append(body)
            status, headers, reply = answer(body, before)
            with lock:
                mine.answered += status == 200
            content = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json"} | headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        daemon_threads = True  # one that waits must not hold up the end of a test
        block_on_close = False

        def handle_error(self, *_) -> None:  # the client may have been killed
            pass

    listener = Listener(("127.0.0.1", 0), Handler)
    mine.url = f"http://127.0.0.1:{listener.server_address[1]}"
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield mine
    finally:
        listener.shutdown()
        listener.server_close()


def said(text: str | None, finish: str = "stop", cached: int = 0) -> Answer:
    """An answer to either endpoint, of 10 prompt tokens and 3 of the reply."""
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    usage["prompt_tokens_details"] = {"cached_tokens": cached}
    choice = {"index": 0, "text": text, "finish_reason": finish}
    choice["message"] = {"role": "assistant", "content": text}
    return 200, {}, {"id": "x", "object": "x", "model": "m", "choices": [choice], "usage": usage}


def refused(status: int, why: str, **headers: str) -> Answer:
    return status, headers, {"error": {"message": why, "type": "invalid_request_error"}}


@contextmanager
def transformers_serve(model: Path | None, log: Path, cwd: Path | None = None) -> Iterator[str]:
    """The URL of `transformers serve` with a model folder, on this machine's processor.

    Without one it loads what a request names, seen from `cwd`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve"]
    command += [str(model)] if model else []
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with open(log, "w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=cwd)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.time() + 90
        while time.time() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.3)
        yield url
    finally:
        process.terminate()
        process.wait(30)
