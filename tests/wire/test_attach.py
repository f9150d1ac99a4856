"""docs/wire.md, POST {path}: `job-id` and `Idempotency-Key` attach to a job that is there, or are refused."""

import json

import httpx
import pytest

from tests.support.gate import Gate
from tests.wire.answers import assert_problem, assert_same_answer, assert_try_later, bare_id, new_id
from tests.wire.conftest import Background

JSON = {"Content-Type": "application/json"}


def body_of(gate: Gate, text: str, then: str = "return") -> bytes:
    return json.dumps({"gate": gate.port, "text": text, "then": then}).encode()


def quoted(key: str) -> str:
    return f'"{key}"'


NAMES = [
    pytest.param("job-id", str, id="job-id"),
    pytest.param("job-id", lambda key: f"urn:ivcap:job:{key}", id="urn"),
    pytest.param("Idempotency-Key", quoted, id="quoted-key"),
    pytest.param("Idempotency-Key", str, id="bare-key"),
]


@pytest.mark.parametrize("path", ["/hold", "/hold-async"])
@pytest.mark.parametrize(("name", "form"), NAMES)
def test_the_same_request_again_attaches_and_is_run_once(client, gate: Gate, background: Background, path, name, form):
    key = new_id()
    headers = {name: form(key), **JSON}
    request = body_of(gate, key)
    first = background(client.post, path, content=request, headers=headers)
    with gate.holding() as held:
        later = client.post(path, content=request, headers={**headers, "Timeout": "0"})
        job_id = assert_try_later(later, path)
        assert job_id == key or name != "job-id"
        waiting = background(client.post, path, content=request, headers=headers)
        held.release()
        done = first.result(20)
        assert done.json() == {"text": key, "run": 1}
        assert_same_answer(waiting.result(20), done)
    assert bare_id(done) == job_id
    assert_same_answer(client.post(path, content=request, headers=headers), done)
    assert gate.arrivals_without_waiting() == 0


@pytest.mark.parametrize(("name", "form"), NAMES)
def test_twenty_clients_at_once_make_one_job(client, gate: Gate, background: Background, name, form):
    key = new_id()
    headers = {name: form(key), **JSON}
    posts = [background(client.post, "/hold", content=body_of(gate, key), headers=headers) for _ in range(20)]
    gate.wait_for_arrival().release()
    answers = [post.result(20) for post in posts]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.content for answer in answers} == {answers[0].content}
    assert len({answer.headers["job-id"] for answer in answers}) == 1
    assert answers[0].json() == {"text": key, "run": 1}
    assert gate.arrivals_without_waiting() == 0


@pytest.mark.parametrize("then", ["ValueError", "RuntimeError"])
def test_who_attaches_to_a_failed_job_gets_its_failure(client, gate: Gate, background: Background, then):
    headers = {"job-id": new_id(), **JSON}
    request = body_of(gate, "no luck", then)
    first = background(client.post, "/hold", content=request, headers=headers)
    gate.wait_for_arrival().release()
    again = client.post("/hold", content=request, headers=headers)
    assert_problem(again, 400 if then == "ValueError" else 500, job=True)
    assert_same_answer(again, first.result(20))
    assert gate.arrivals_without_waiting() == 0


OTHERS = [
    pytest.param("/echo", b'{"text": "b"}', "application/json", id="other-body"),
    pytest.param("/echo", b'{"text":"a"}', "application/json", id="same-json-other-bytes"),
    pytest.param("/echo", b'{"text": "a"} ', "application/json", id="one-more-space"),
    pytest.param("/echo", b'{"text": "a"}', "application/vnd.x+json", id="other-media-type"),
    pytest.param("/echo", b"", "application/json", id="empty-body"),
    pytest.param("/echo", b'{"text": ', "application/json", id="malformed-body"),
    pytest.param("/echo", b'{"text": 5}', "application/json", id="unfit-body"),
]


@pytest.mark.parametrize(("path", "body", "content_type"), OTHERS)
@pytest.mark.parametrize(("name", "form"), NAMES)
def test_another_request_under_the_same_name_conflicts(client, name, form, path, body, content_type):
    """Under a taken id it is a conflict whatever the body is; under a key the body may be refused first."""
    key = new_id()
    headers = {name: form(key), **JSON}
    first = client.post("/echo", content=b'{"text": "a"}', headers=headers)
    other = client.post(path, content=body, headers={**headers, "Content-Type": content_type})
    assert_problem(other, 422 if name == "Idempotency-Key" and other.status_code == 422 else 409)
    assert_same_answer(client.post("/echo", content=b'{"text": "a"}', headers=headers), first)


@pytest.mark.parametrize("path", ["/echo-async", "/", "/struct-tool", "/few"])
def test_a_job_id_is_refused_by_another_tool(client, path):
    headers = {"job-id": new_id()}
    first = client.post("/echo", json={"text": "a"}, headers=headers)
    assert_problem(client.post(path, json={"text": "a"}, headers=headers), 409)
    assert_same_answer(client.get(f"/jobs/{headers['job-id']}"), first)


def test_a_conflict_while_the_job_runs_leaves_it_alone(client, gate: Gate, background: Background):
    headers = {"job-id": new_id(), **JSON}
    first = background(client.post, "/hold", content=body_of(gate, "mine"), headers=headers)
    with gate.holding() as held:
        assert_problem(client.post("/hold", content=body_of(gate, "other"), headers=headers), 409)
        assert_problem(client.post("/hold-async", content=body_of(gate, "mine"), headers=headers), 409)
        held.release()
    assert first.result(20).json()["text"] == "mine"
    assert gate.arrivals_without_waiting() == 0


def test_an_absent_content_type_is_the_same_as_json(client):
    headers = {"job-id": new_id()}
    first = client.post("/echo", content=b'{"text": "a"}', headers=headers)
    assert_same_answer(client.post("/echo", content=b'{"text": "a"}', headers={**headers, **JSON}), first)


def test_a_request_that_was_refused_leaves_its_id_free(client):
    headers = {"job-id": new_id()}
    assert_problem(client.post("/echo", json={"text": 5}, headers=headers), 422)
    assert_problem(client.get(f"/jobs/{headers['job-id']}"), 404)
    assert client.post("/echo", json={"text": "five"}, headers=headers).status_code == 200


def ids(client: httpx.Client, *requests: tuple[str, dict[str, str]]) -> list[str]:
    return [bare_id(client.post(path, json={"text": "a"}, headers=headers)) for path, headers in requests]


def test_a_key_is_scoped_to_its_tool(client):
    key = {"Idempotency-Key": quoted(new_id())}
    first, second, again = ids(client, ("/echo", key), ("/echo-async", key), ("/echo", key))
    assert first != second
    assert first == again


def test_a_key_is_scoped_to_its_caller(client):
    key = {"Idempotency-Key": quoted(new_id())}
    alice, bob = {**key, "Authorization": "Bearer alice"}, {**key, "Authorization": "Bearer bob"}
    jobs = ids(client, ("/who-asks", alice), ("/who-asks", bob), ("/who-asks", key))
    assert len(set(jobs)) == 3
    assert ids(client, ("/who-asks", alice), ("/who-asks", bob), ("/who-asks", key)) == jobs


def test_a_job_id_counts_before_a_key(client):
    key = {"Idempotency-Key": quoted(new_id())}
    first, second = new_id(), new_id()
    jobs = ids(client, ("/echo", {**key, "job-id": first}), ("/echo", {**key, "job-id": second}))
    assert jobs == [first, second]


def test_a_bare_key_is_the_quoted_one(client):
    key = new_id()
    one, other = ids(client, ("/echo", {"Idempotency-Key": key}), ("/echo", {"Idempotency-Key": quoted(key)}))
    assert one == other


@pytest.mark.parametrize("key", ["", '""', '"open', "a b", '"a" "b"', "x" * 5000])
def test_a_malformed_key_is_refused(client, key):
    assert_problem(client.post("/echo", json={"text": "a"}, headers={"Idempotency-Key": key}), 400)
    both = {"Idempotency-Key": key, "job-id": new_id()}
    assert_problem(client.post("/echo", json={"text": "a"}, headers=both), 400)


def test_no_record_shows_the_key(client):
    key = new_id()
    (job_id,) = ids(client, ("/echo", {"Idempotency-Key": quoted(key)}))
    assert key not in client.get(f"/jobs/{job_id}/status").text
