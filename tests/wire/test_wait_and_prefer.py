"""docs/wire.md, POST {path}: how long a client waits, and what it is told meanwhile (`Timeout`, `Prefer`)."""

from concurrent.futures import Future
from typing import Any

import httpx
import pytest

from tests.support.gate import Gate
from tests.wire.answers import assert_problem, assert_try_later, new_id
from tests.wire.conftest import Background

Headers = list[tuple[str, str]]


def post(client: httpx.Client, path: str, gate: Gate, headers: Headers, text: str = "") -> httpx.Response:
    return client.post(path, json={"gate": gate.port, "text": text}, headers=headers)


# It is asked of a tool that waits 30 s by itself, and is held until the answer is here.
AT_ONCE: list[tuple[Headers, str | None]] = [
    ([("Timeout", "0")], None),
    ([("Timeout", "0.0")], None),
    ([("Timeout", "0.2")], None),
    ([("Prefer", "respond-async")], "respond-async"),
    ([("Prefer", "Respond-Async")], "respond-async"),
    ([("prefer", "foo; bar, respond-async")], "respond-async"),
    ([("Prefer", "wait=0")], "wait=0"),
    ([("Prefer", "wait = 0")], "wait=0"),
    ([("Prefer", 'wait="0"')], "wait=0"),
    ([("Prefer", "wait=1")], "wait=1"),
    ([("Prefer", "wait=0, wait=30")], "wait=0"),
    ([("Prefer", "respond-async, wait=0")], "respond-async, wait=0"),
    ([("Prefer", "respond-async"), ("Prefer", "wait=0")], "respond-async, wait=0"),
    ([("Prefer", "wait=0"), ("Prefer", "respond-async")], "respond-async, wait=0"),
    ([("Prefer", "respond-async"), ("Timeout", "30")], "respond-async"),
    ([("Prefer", "wait=30"), ("Timeout", "0")], None),
    ([("Prefer", "handling=lenient"), ("Timeout", "0")], None),
    ([("Prefer", ""), ("Timeout", "0")], None),
]


def applied(answer: httpx.Response) -> set[str] | None:
    value = answer.headers.get("preference-applied")
    return None if value is None else {part.strip() for part in value.split(",")}


def parts(expected: str | None) -> set[str] | None:
    return None if expected is None else set(expected.split(", "))


@pytest.mark.parametrize(("headers", "honoured"), AT_ONCE)
def test_who_does_not_want_to_wait_is_told_to_try_later(client, gate: Gate, headers: Headers, honoured):
    answer = post(client, "/hold-async", gate, headers)
    assert_try_later(answer, "/hold-async")
    assert applied(answer) == parts(honoured)


# It is asked of a tool that does not wait by itself, and is released only when it runs.
UNTIL_THE_END: list[tuple[Headers, str | None]] = [
    ([("Timeout", "15")], None),
    ([("Timeout", "15.5")], None),
    ([("Prefer", "wait=15")], "wait=15"),
    ([("Prefer", "respond-async, wait=15")], "respond-async, wait=15"),
    ([("Prefer", "wait=15, respond-async")], "respond-async, wait=15"),
    ([("Prefer", "wait=0"), ("Timeout", "15")], None),
    ([("Prefer", "wait=15, return=representation")], "wait=15, return=representation"),
]


@pytest.mark.parametrize(("headers", "honoured"), UNTIL_THE_END)
def test_who_wants_to_wait_gets_the_result(client, gate: Gate, background: Background, headers: Headers, honoured):
    answer: Future[httpx.Response] = background(post, client, "/hasty", gate, headers, "got it")
    gate.wait_for_arrival().release()
    result = answer.result(20)
    assert result.status_code == 200
    assert result.json()["text"] == "got it"
    assert applied(result) == parts(honoured)


def test_without_a_wish_the_tools_own_times_hold(client, gate: Gate, background: Background):
    assert_try_later(post(client, "/hasty", gate, []), "/hasty", seconds=7)
    waiting = background(post, client, "/hold", gate, [])
    gate.wait_for_arrival().release()
    gate.wait_for_arrival().release()
    assert waiting.result(20).status_code == 200


@pytest.mark.parametrize("path", ["/hasty", "/hold", "/deep/er/hold", "/narrow"])
def test_later_means_204_with_all_that_is_needed_to_come_back(client, gate: Gate, path):
    answer = post(client, path, gate, [("Prefer", "respond-async")], "later")
    job_id = assert_try_later(answer, path, seconds=7 if path == "/hasty" else 3)
    poll = client.get(answer.headers["location"])
    assert assert_try_later(poll, path, seconds=7 if path == "/hasty" else 3) == job_id
    gate.wait_for_arrival().release()
    result = client.get(answer.headers["location"], headers={"Prefer": "wait=15"})
    assert (result.status_code, result.json()["text"]) == (200, "later")


def test_a_tool_at_the_root_is_polled_at_jobs(client):
    answer = client.post("/", json={"text": "x"}, headers={"Prefer": "respond-async"})
    if answer.status_code == 204:  # it may have been quick enough
        assert_try_later(answer, "/")
    job_id = answer.headers["job-id"].removeprefix("urn:ivcap:job:")
    assert client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=15"}).json() == {"root": "x"}


def test_who_prefers_a_representation_gets_202_with_a_body(client, gate: Gate):
    answer = post(client, "/hasty", gate, [("Prefer", "return=representation")])
    job_id = assert_try_later(answer, "/hasty", body=True, seconds=7)
    assert applied(answer) == {"return=representation"}
    poll = client.get(f"/jobs/{job_id}", headers={"Prefer": "return=representation"})
    assert_try_later(poll, "/hasty", body=True, seconds=7)
    assert applied(poll) == {"return=representation"}
    both = post(client, "/hold-async", gate, [("Prefer", "return=representation, respond-async")])
    assert_try_later(both, "/hold-async", body=True)
    assert applied(both) == {"return=representation", "respond-async"}


@pytest.mark.parametrize("prefer", ["return=minimal", "return", "return=other"])
def test_another_return_preference_means_204(client, gate: Gate, prefer):
    assert_try_later(post(client, "/hasty", gate, [("Prefer", prefer)]), "/hasty", seconds=7)


def test_the_server_can_be_set_to_answer_202_always(client_with_options, gate: Gate):
    answer = post(client_with_options, "/hasty", gate, [])
    job_id = assert_try_later(answer, "/hasty", body=True, seconds=7)
    assert applied(answer) is None
    assert_try_later(client_with_options.get(f"/jobs/{job_id}"), "/hasty", body=True, seconds=7)


def test_a_poll_can_wait_for_the_end(client, gate: Gate, background: Background):
    for path in ("/hasty/jobs/", "/jobs/"):
        job_id = assert_try_later(post(client, "/hasty", gate, []), "/hasty", seconds=7)
        poll = background(client.get, path + job_id, headers={"Prefer": "wait=15"})
        client.get("/_livez")  # the poll is sent by now
        gate.wait_for_arrival().release()
        assert poll.result(20).status_code == 200
        assert applied(poll.result()) == {"wait=15"}


def test_a_poll_that_has_waited_in_vain_is_told_to_try_later(client, gate: Gate):
    job_id = assert_try_later(post(client, "/hasty", gate, []), "/hasty", seconds=7)
    answer = client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=1"})
    assert_try_later(answer, "/hasty", seconds=7)


NO_TIMEOUT = [
    "",
    "abc",
    "-1",
    "-0.5",
    "inf",
    "Infinity",
    "-inf",
    "nan",
    "NaN",
    "1s",
    "1,5",
    "0x10",
    "1 2",
    "1e999",
    "1_0",
]
NO_PREFERENCE = ["wait", "wait=", "wait=abc", "wait=-1", "wait=inf", "wait=nan", 'wait="1', "=5", "wait=1=2", "a b"]

MALFORMED: list[dict[str, Any]] = [
    *({"Timeout": value} for value in NO_TIMEOUT),
    *({"Prefer": value} for value in NO_PREFERENCE),
]


@pytest.mark.parametrize("headers", MALFORMED, ids=str)
def test_a_malformed_wish_is_refused_and_nothing_is_run(client, headers):
    job_id = new_id()
    answer = client.post("/echo", json={"text": "x"}, headers={**headers, "job-id": job_id})
    body = assert_problem(answer, 400)
    assert next(iter(headers)) in body["detail"]
    assert_problem(client.get(f"/jobs/{job_id}"), 404)


def test_a_malformed_wish_is_refused_in_a_poll_too(client):
    job_id = new_id()
    client.post("/echo", json={"text": "x"}, headers={"job-id": job_id})
    assert_problem(client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=abc"}), 400)


def test_a_wait_of_ages_is_taken(client):
    for headers in ({"Timeout": "9" * 30}, {"Prefer": "wait=" + "9" * 30}):
        assert client.post("/echo", json={"text": "x"}, headers=headers).status_code == 200
