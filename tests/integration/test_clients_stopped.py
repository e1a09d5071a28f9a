"""What the client of servers has paid for is kept when it fails, is stopped or is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from prereq.clients import chat, connect
from prereq.errors import PrereqError
from tests.conftest import REPOSITORY
from tests.servers import NAMES, SHORT, asks, peer, prompt, refused, said, server


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CLIENT_KEY", "sk-test-12345678")


def test_replies_under_way_are_stored_when_another_fails(tmp_path):
    all_asked = threading.Barrier(4)  # as many as are sent at once

    def answer(body, before):
        with contextlib.suppress(threading.BrokenBarrierError):
            all_asked.wait(10)
        if "church 0" in prompt(body):
            return refused(401, "your key has run out")
        time.sleep(0.5)
        return said("x")

    file = tmp_path / "replies.sqlite"
    with peer(answer) as there:
        with (
            pytest.raises(PrereqError, match="run out"),
            connect(server(there.url, requests=4), NAMES, file) as client,
        ):
            chat(client, asks(20), SHORT)
        paid = there.answered
        assert 1 <= paid <= 3 and len(there.requests) <= 4
        with connect(server(there.url), NAMES, file) as client:
            chat(client, asks(20)[1:], SHORT)
        assert client.stored.replies == paid and there.answered == 19


RUN = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from prereq.clients import chat, connect
    from prereq.runtime import signals
    from prereq.runtime.console import progress
    from tests.servers import NAMES, SCHEMA, SHORT, asks, server, town

    url, file, count = sys.argv[1:]
    signals.unwind()
    mine = server(url, requests=4)
    with connect(mine, NAMES, Path(file)) as client, progress("judge", int(count)) as advance:
        replies = chat(
            client, asks(int(count)), SHORT, schema=SCHEMA, read=town, on_done=advance
        )
    print(client.usage.replies, client.stored.replies, [reply.value for reply in replies])
    """
)


def run(url: str, file: Path, count: int) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, url, str(file), str(count)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_run_asks_only_what_is_missing(tmp_path):
    """Killed four times at moments of its own, it pays for what was under way again, no more."""
    count, file = 60, tmp_path / "replies.sqlite"

    def answer(body, before):
        time.sleep(0.04)
        number = prompt(body).split("church ")[1].split("?")[0]
        if int(number) % 10 == 0 and "could not be used" not in prompt(body):
            return said('{"village": "none"}')
        return said(json.dumps({"town": f"T{number}"}))

    with peer(answer) as there:
        for kill in range(4):
            job, enough = run(there.url, file, count), len(there.requests) + 9 + kill
            deadline = time.monotonic() + 60
            while len(there.requests) < enough and time.monotonic() < deadline:
                time.sleep(0.001)
            job.kill()
            assert job.wait() == -signal.SIGKILL
            job.communicate()
        paid = len(there.requests)
        job = run(there.url, file, count)
        out, err = job.communicate(timeout=120)
        assert job.returncode == 0, err
        fresh, stored, values = out.strip().split(" ", 2)
        assert values == str([f"T{i}" for i in range(count)])
        wanted = count + count // 10  # every tenth reply had to be asked again
        assert int(fresh) + int(stored) == wanted
        assert len(there.requests) - paid == int(fresh)
        # Of each killed run at most the four requests that were under way were for nothing.
        assert wanted <= len(there.requests) <= wanted + 4 * 4
        assert int(stored) >= paid - 4 * 4
        before = len(there.requests)
        job = run(there.url, file, count)
        assert job.communicate(timeout=120)[0].startswith(f"0 {wanted} ")
        assert len(there.requests) == before
    content = file.read_bytes()
    assert b"sk-test" not in content and there.url.encode() not in content


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_does_not_wait_for_a_server(tmp_path, number):
    def answer(body, before):
        if before >= 3:
            time.sleep(30)
        return said('{"town": "Graz"}')

    file = tmp_path / "replies.sqlite"
    with peer(answer) as there:
        job = run(there.url, file, 12)
        deadline = time.monotonic() + 60
        while len(there.requests) < 7 and time.monotonic() < deadline:
            time.sleep(0.01)
        began = time.monotonic()
        job.send_signal(number)
        job.communicate(timeout=25)
        assert time.monotonic() - began < 10 and job.returncode not in (0, None)
    with peer(lambda *_: said('{"town": "Graz"}')) as there:
        out, err = run(there.url, file, 12).communicate(timeout=60)
        assert out.startswith("9 3 "), err
    assert len(there.requests) == 9
