"""What is asked of a server, what is read from a reply, and the file that keeps replies."""

import os
import sqlite3
from dataclasses import replace

import pytest

from prereq.clients import Parameters, Usage, cost, estimate
from prereq.clients.jobs import Job, body, jobs_of, key
from prereq.clients.reading import first_json
from prereq.clients.replies import open_replies
from prereq.clients.usage import Given
from prereq.config import Server, values
from prereq.errors import PrereqError

ASK = [{"role": "user", "content": "Name a town."}]
SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
GIVEN = Given("Graz", "stop", 10, 3, 4)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('{"a": 1}', "object", {"a": 1}),
        ('Sure!\n```json\n{"a": [1, {"b": "}"}]}\n```\nDone.', "object", {"a": [1, {"b": "}"}]}),
        ('As in [1], {"a": 1} and {"a": 2}', "object", {"a": 1}),
        ('As in {x}: [{"a": 1}]', None, [{"a": 1}]),
        ('{"a": 1} then [2]', "array", [2]),
        ('<think>maybe {"a": 0}</think>\n{"a": 1}', "object", {"a": 1}),
        ('{"town": "Zürich\\u2028"}', "object", {"town": "Zürich\u2028"}),
    ],
)
def test_the_first_json_of_a_reply_is_read(text, kind, value):
    assert first_json(text, kind) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Graz",
        "[Supported",
        '{"a": 1',
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        "[" * 20_000,
        '{"a": {"b": 1}, "c": ["d',
    ],
)
def test_what_is_no_json_is_said_so(text):
    with pytest.raises(ValueError):
        first_json(text)


def test_a_key_holds_all_that_determines_a_reply_and_nothing_else():
    job = Job(ASK, Parameters(5), SCHEMA)
    others = [
        replace(job, prompt=[{"role": "user", "content": "Name two."}]),
        replace(job, prompt="Name a town."),
        replace(job, parameters=Parameters(6)),
        replace(job, parameters=Parameters(5, temperature=1.0)),
        replace(job, schema=None),
        replace(job, sample=1),
    ]
    keys = {key("m", job), key("n", job), key("m", job, 1), *(key("m", other) for other in others)}
    assert len(keys) == 3 + len(others)
    assert key("m", job) == key("m", replace(job, read=int))


def test_a_request_says_what_is_wanted():
    job = Job(ASK, Parameters(5, seed=7), SCHEMA, sample=2)
    plain = body("m", job)
    assert plain["messages"] == ASK and plain["seed"] == 9 and plain["temperature"] == 0.0
    assert plain["response_format"]["json_schema"]["schema"] == SCHEMA and "top_p" not in plain
    words = body("m", job, in_words=True, fault="no town in it")
    assert "response_format" not in words and len(words["messages"]) == 1
    said = words["messages"][0]["content"]
    assert said.startswith("Name a town.") and '"required": ["town"]' in said
    assert "no town in it" in said and ASK[0]["content"] == "Name a town."
    assert body("m", Job("Once", Parameters(5))) == {
        "model": "m",
        "prompt": "Once",
        "max_tokens": 5,
        "temperature": 0.0,
    }


def test_tokens_are_summed_and_priced():
    usage = Usage()
    for given in (GIVEN, GIVEN, replace(GIVEN, prompt_tokens=None, cached_tokens=None)):
        usage.add(given)
    assert usage == Usage(3, 20, 9, 8, 1)
    assert cost(Server(price_in=3.0, price_out=15.0), 2_000_000, 100_000) == 7.5
    assert cost(Server(), 2_000_000, 100_000) is None


def test_an_estimate_leaves_out_what_is_stored(tmp_path):
    server = Server(model="m", price_in=1.0, price_out=2.0)
    asks = [[{"role": "user", "content": "x" * 400}] for _ in range(3)]
    some = {"parameters": Parameters(50), "samples": [0, 1, 1]}
    first = estimate(server, asks, **some)
    assert (first.requests, first.prompt_tokens, first.completion_tokens) == (2, 200, 100)
    assert first.cost == pytest.approx(0.0004) and "estimated" in str(first)
    file = tmp_path / "replies.sqlite"
    assert estimate(server, asks, **some, replies=file) == first and not file.exists()
    replies = open_replies(file)
    replies.put(key("m", jobs_of(asks, Parameters(50), [0, 1, 1])[0]), GIVEN)
    replies.close()
    less = estimate(server, asks, **some, replies=file, reply_tokens=10)
    assert (less.requests, less.stored, less.completion_tokens) == (1, 1, 10)


def test_replies_are_kept(tmp_path):
    file = tmp_path / "new" / "replies.sqlite"
    replies = open_replies(file)
    assert replies.get("a") is None
    replies.put("a", GIVEN)
    replies.close()
    again = open_replies(file)
    assert again.get("a") == GIVEN and again.get("b") is None
    again.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE replies SET reply = replace(reply, 'Graz', 'Linz')")
    changed = open_replies(file)
    assert changed.get("a") is None  # asked again rather than believed
    changed.close()


@pytest.mark.parametrize("damage", ["text", "middle", "cut"])
def test_a_damaged_file_is_set_aside_with_one_line(tmp_path, capsys, damage):
    file = tmp_path / "replies.sqlite"
    replies = open_replies(file)
    for number in range(50):
        replies.put(f"{number}", replace(GIVEN, text="x" * 800))
    replies.close()
    content = file.read_bytes()
    broken = {
        "text": b"no database at all, but long enough to look at" * 100,
        "middle": content[:4096] + os.urandom(4096 * 6) + content[4096 * 7 :],
        "cut": content[: len(content) // 2],
    }[damage]
    file.write_bytes(broken)
    (tmp_path / "replies.sqlite-journal").write_bytes(b"left by a run that was killed")
    replies = open_replies(file)
    assert replies.get("1") is None
    replies.put("1", GIVEN)
    assert replies.get("1") == GIVEN
    replies.close()
    assert (tmp_path / "replies.sqlite.damaged").read_bytes() == broken
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "set aside" in lines[0] and str(file) in lines[0], lines


def test_a_file_that_cannot_hold_replies_is_one_clear_error(tmp_path):
    foreign = tmp_path / "history.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE visits (url TEXT)")
    connection.close()
    before = foreign.read_bytes()
    for file in (foreign, tmp_path, foreign / "below"):
        with pytest.raises(PrereqError, match=str(file)):
            open_replies(file)
    assert foreign.read_bytes() == before and list(tmp_path.iterdir()) == [foreign]


def test_what_a_server_lacks_is_named_by_its_keys():
    names = "judge.server.url", "judge.server.model"
    found = values.server(Server(url="localhost:8000", price_in=1.0), *names, "judge=llm")
    text = "\n".join(found)
    assert len(found) == 3 and "judge.server.url=localhost:8000" in text
    assert "judge.server.model" in text and "judge.server.price_out=null" in text
    assert values.server(Server("http://h:1/v1", "m"), *names, "judge=llm") == []
    assert values.server(Server(), *names, None) == []


def test_values_of_a_server_are_checked_wherever_it_stands():
    bad = Server("http://h?api_key=SECRET9", "m", "sk-1", requests=0, timeout=0.0, price_in=-1.0)
    found = "\n".join(values.within(bad, "judge.server."))
    assert len(found.splitlines()) == 5 and "SECRET9" not in found, found
    for name in ("url", "api_key_env", "requests", "timeout", "price_in"):
        assert f"judge.server.{name}" in found
