"""The client of OpenAI-compatible servers against servers: a real one, and a peer that misbehaves."""

import json
import threading
import time

import pytest

from prereq.clients import chat, complete, connect
from prereq.errors import PrereqError
from prereq.runtime import console
from prereq.runtime.console import progress
from tests import published
from tests.servers import (
    NAMES,
    SCHEMA,
    SHORT,
    asks,
    peer,
    prompt,
    refused,
    said,
    server,
    town,
    transformers_serve,
)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CLIENT_KEY", "sk-test-12345678")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-of-nobody")


def test_replies_come_in_order_with_their_values_and_what_they_cost():
    def answer(body, _):
        number = prompt(body).split()[-1].rstrip("?")
        time.sleep(0.05 if number == "0" else 0)  # the first one comes last
        return said(f'{{"town": "T{number}"}}', cached=4)

    with peer(answer) as there, connect(server(there.url, price_in=1e6, price_out=2e6)) as client:
        notes = []
        replies = chat(
            client,
            asks(9) + asks(1),
            SHORT,
            schema=SCHEMA,
            read=town,
            on_done=lambda rows, note: notes.append((rows, note)),
        )
    assert [reply.value for reply in replies] == [*(f"T{i}" for i in range(9)), "T0"]
    assert all(reply.ended and reply.problem is None for reply in replies)
    assert len(there.requests) == 9  # what is alike is asked once
    assert {body["key"] for body in there.requests} == {"Bearer sk-test-12345678"}
    assert all(body["response_format"]["type"] == "json_schema" for body in there.requests)
    assert [rows for rows, _ in notes] == [1] * 10 and notes[-1][1] == "117 tokens, 144.00"
    usage = client.usage
    assert (usage.replies, usage.prompt_tokens, usage.completion_tokens) == (9, 90, 27)
    assert (usage.cached_tokens, client.given_up, client.again) == (36, 0, 0)


def test_requests_run_side_by_side_and_no_faster_than_allowed():
    lock, now, most = threading.Lock(), 0, 0

    def answer(body, _):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.3)
        with lock:
            now -= 1
        return said("x")

    with peer(answer) as there:
        with connect(server(there.url, requests=4)) as client:
            chat(client, asks(12), SHORT)
        assert most == 4
        del there.requests[:]
        with connect(server(there.url, requests=8, requests_per_minute=600)) as client:
            chat(client, asks(6), SHORT)
        times = [body["time"] for body in there.requests]
        assert times[-1] - times[0] >= 0.45


def test_busy_servers_are_asked_again_when_they_say():
    def answer(body, before):
        if before == 0:
            return refused(429, "slow down", **{"Retry-After": "1"})
        return refused(500, "oops") if before == 1 else said("x")

    with peer(answer) as there, connect(server(there.url)) as client:
        assert chat(client, asks(1), SHORT)[0].text == "x"
    first, second, third = (body["time"] for body in there.requests)
    assert second - first >= 1.0 and 0.2 < third - second < 3
    assert client.usage.replies == 1


def test_a_reply_that_cannot_be_used_is_asked_again_and_then_given_up(tmp_path):
    def answer(body, _):
        if "church 1" in prompt(body):
            return said('{"place": "Graz"}')
        if "church 2" in prompt(body) and "key town alone" not in prompt(body):
            return said('```json\n{"place": "Graz"}\n```')
        if "church 3" in prompt(body):
            return said(None, finish="length")
        return said('{"town": "Graz"}')

    file = tmp_path / "replies.sqlite"
    for _ in range(2):
        with peer(answer) as there, connect(server(there.url), NAMES, file) as client:
            replies = chat(client, asks(4), SHORT, schema=SCHEMA, read=town)
        assert [reply.value for reply in replies] == ["Graz", None, "Graz", None]
        assert client.given_up == 2 and "key town alone" in replies[1].problem
        assert "cut off after 20 tokens" in replies[3].problem
        assert client.usage.replies + client.stored.replies == 1 + 4 + 2 + 4
        asked = len(there.requests)
        if client.stored.replies:
            assert asked == 0
            break
        assert asked == 11
        last = [prompt(body) for body in there.requests if "church 1" in prompt(body)][-1]
        assert last.count("could not be used") == 1


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (400, "response_format: extra fields not permitted"),
        (422, "Unexpected fields in the request"),
        (404, "no such parameter"),
        (500, "response_format type must be text, but got: json_schema"),
    ],
)
def test_a_server_that_refuses_schemas_is_asked_in_words(monkeypatch, capsys, status, why):
    monkeypatch.setattr(console, "_named", set())  # what other tests had it say

    def answer(body, _):
        if "response_format" in body:
            return refused(status, why)
        return said('Sure: {"town": "Graz"}' if '"required"' in prompt(body) else "What?")

    with peer(answer) as there, connect(server(there.url, requests=1)) as client:
        replies = chat(client, asks(5), SHORT, schema=SCHEMA, read=town)
        replies += chat(client, asks(7), SHORT, schema=SCHEMA, read=town)
    assert [reply.value for reply in replies] == ["Graz"] * 12 and client.again == 0
    with_schema = [body for body in there.requests if "response_format" in body]
    assert len({prompt(body) for body in with_schema}) == 1  # noticed once
    assert len(there.requests) - len(with_schema) == 12
    assert capsys.readouterr().err.count("asked in words") == 1


def test_a_server_that_ignores_schemas_is_asked_in_words(tmp_path):
    def answer(body, _):
        return said('{"town": "Graz"}' if '"required"' in prompt(body) else "In Graz, of course.")

    file = tmp_path / "replies.sqlite"
    with peer(answer) as there:
        for count in (4, 6):
            with connect(server(there.url, requests=1), NAMES, file) as client:
                replies = chat(client, asks(count), SHORT, schema=SCHEMA, read=town)
            assert [reply.value for reply in replies] == ["Graz"] * count
    assert len(there.requests) == 1 + 6  # the later run has read off the file that it is ignored
    assert len([body for body in there.requests if "response_format" in body]) == 1


def test_a_newer_name_of_the_token_limit_is_taken():
    def answer(body, _):
        if "max_tokens" in body:
            return refused(400, "Unsupported parameter: use 'max_completion_tokens' instead")
        return said("x" * body["max_completion_tokens"])

    with peer(answer) as there, connect(server(there.url, requests=1)) as client:
        assert [reply.text for reply in chat(client, asks(3), SHORT)] == ["x" * 20] * 3
    assert len(there.requests) == 4


def test_a_refused_conversation_is_given_up_where_others_are_answered():
    def answer(body, before):
        return refused(400, "too long") if "church 1" in prompt(body) else said("x")

    with peer(answer) as there, connect(server(there.url, requests=2), NAMES) as client:
        replies = chat(client, asks(4), SHORT)
        assert [reply.problem is None for reply in replies] == [True, False, True, True]
        assert "too long" in replies[1].problem and client.given_up == 1
        with pytest.raises(PrereqError, match=f"judge.server.url={there.url}.*too long"):
            chat(client, asks(2)[1:], SHORT)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refused(401, "wrong key sk-test-12345678"), ["export CLIENT_KEY"]),
        (refused(404, "no model m"), ["no model m", "judge.server.model=m", "the model's name"]),
        (refused(429, "no money", **{"Retry-After": "3600"}), ["no money", "ask less at once"]),
        ((200, {"Content-Type": "text/html"}, "<html>Welcome</html>"), ["no completion: <html>"]),
        ((200, {}, {"choices": []}), ["no completion", "/v1/chat/completions"]),
        ((200, {}, "{not JSON"), ["judge.server.url="]),
    ],
)
def test_what_a_server_says_wrong_is_one_clear_error(answer, words):
    with (
        peer(lambda *_: answer) as there,
        pytest.raises(PrereqError) as raised,
        connect(server(there.url), NAMES) as client,
    ):
        chat(client, asks(30), SHORT)
    message = str(raised.value)
    assert all(word in message for word in [f"judge.server.url={there.url}", *words]), message
    assert "sk-test" not in message and "\n" not in message


def test_what_cannot_be_connected_is_one_clear_error(monkeypatch):
    for url in (None, "http://[half", "http://h:99999999"):
        with (
            pytest.raises(PrereqError, match=r"judge\.server\.url=.*no URL"),
            connect(server(url), NAMES),
        ):
            pass
    with (
        pytest.raises(PrereqError, match=r"refused.*check the address"),
        connect(server("http://127.0.0.1:9"), NAMES) as client,
    ):
        complete(client, ["x"], SHORT)
    for wrong in ("sk-é", "sk-1\nsk-2"):
        monkeypatch.setenv("CLIENT_KEY", wrong)
        with (
            pytest.raises(PrereqError, match=r"\$CLIENT_KEY") as raised,
            connect(server("http://h")),
        ):
            pass
        assert "sk-" not in str(raised.value)


def test_a_server_that_is_too_slow_is_one_clear_error():
    def answer(body, before):
        time.sleep(2)
        return said("late")

    with (
        peer(answer) as there,
        pytest.raises(PrereqError, match=r"judge.*no reply within 0\.3 seconds.*shorter"),
        connect(server(there.url, timeout=0.3), NAMES) as client,
    ):
        chat(client, asks(1), SHORT)
    assert len(there.requests) == 4


def test_a_real_server_answers_both_ways(tmp_path):
    """`transformers serve` with a random model: it ignores schemas, and its replies are no JSON."""
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi and uvicorn")
    pytest.importorskip("uvicorn")
    model = published.write_model(tmp_path / "model")
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    log = tmp_path / "log"
    with transformers_serve(model, log) as url:
        file = tmp_path / "replies.sqlite"
        mine = server(url, model=str(model), requests=2)
        with connect(mine, NAMES, file) as client, progress("judge", 3) as advance:
            texts = [reply.text for reply in complete(client, ["Ada", "Leo"], SHORT)]
            replies = chat(client, asks(3), SHORT, on_done=advance)
            read = chat(client, asks(1), SHORT, schema=SCHEMA, read=town)
            assert all(texts) and all(reply.text for reply in replies), log.read_text()[-2000:]
            assert read[0].value is None and client.given_up == 1 and client.again == 3
            assert client.usage.replies == 2 + 3 + 4 and client.usage.uncounted == 0
            assert client.usage.prompt_tokens > 100 and client.usage.completion_tokens > 9
    with connect(mine, NAMES, file) as client:  # the server is gone, the replies are there
        assert [reply.text for reply in complete(client, ["Ada", "Leo"], SHORT)] == texts
        assert chat(client, asks(3), SHORT) == replies
