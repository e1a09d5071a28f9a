"""A stand-in for the Hub's HTTP interface, as far as publishing small files takes it."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_of_the_tests"


@dataclass
class Repo:
    """A repository: whether it is private, and its files."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Hub:
    """A running stand-in: `repos` by `models/OWNER/NAME` or `datasets/OWNER/NAME`."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    refuses: int = 0  # the status that every commit gets instead of being taken


@contextmanager
def hub() -> Iterator[Hub]:
    """The Hub of one user, `me`, in the organisation `team`, who has `TOKEN`."""
    mine = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/api/whoami-v2":
                known = self.headers["Authorization"] == f"Bearer {TOKEN}"
                user = {"type": "user", "name": "me", "orgs": [{"name": "team"}]}
                return self.reply(200, user) if known else self.reply(401, {"error": "bad token"})
            name = self.path.removeprefix("/api/").partition("?")[0]
            repo = mine.repos.get(name)
            if repo is None:
                return self.reply(404, {"error": "Not found"}, {"X-Error-Code": "RepoNotFound"})
            files = [{"rfilename": file} for file in repo.files]
            known = {"id": name.partition("/")[2], "private": repo.private, "siblings": files}
            return self.reply(200, known | {"tags": [], "downloads": 0, "likes": 0})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else self.chunks()
            if self.path == "/api/validate-yaml":
                return self.reply(200, {"errors": [], "warnings": []})
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                kind = asked.get("type") or "model"
                owner = asked.get("organization") or "me"
                name = f"{kind}s/{owner}/{asked['name']}"
                private = asked.get("private", asked.get("visibility") == "private")
                mine.repos.setdefault(name, Repo(private))
                return self.reply(200, {"url": f"{mine.url}/{owner}/{asked['name']}"})
            name, what = re.fullmatch(r"/api/(.+)/(preupload|commit)/main", self.path).groups()
            if what == "preupload":
                asked = json.loads(body)["files"]
                modes = [{"path": f["path"], "uploadMode": "regular"} for f in asked]
                return self.reply(200, {"files": [m | {"shouldIgnore": False} for m in modes]})
            if mine.refuses:
                return self.reply(mine.refuses, {"error": "You may not write here"})
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    content = base64.b64decode(entry["value"]["content"])
                    mine.repos[name].files[entry["value"]["path"]] = content
            oid, url = "0123456789abcdef" * 2 + "01234567", f"{mine.url}/{name}/commit/1"
            return self.reply(200, {"success": True, "commitOid": oid, "commitUrl": url})

        def chunks(self) -> bytes:
            """A body of unknown length, as it is sent piece by piece."""
            found = b""
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            return found

        def reply(self, status: int, value: dict, headers: dict | None = None) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            length = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            for name, text in (length | (headers or {})).items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    mine.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield mine
    finally:
        server.shutdown()
        server.server_close()
