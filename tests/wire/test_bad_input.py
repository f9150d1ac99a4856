"""What bad input gets: each its answer, the server alive, nothing left in "try later"."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.raw_http import ask
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, new_id

MODELS = ["/echo", "/struct-tool", "/data-tool"]

NOT_JSON: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\t ",
    "open": b'{"text": "a"',
    "trailing comma": b'{"text": "a",}',
    "single quotes": b"{'text': 'a'}",
    "rest": b'{"text": "a"} {}',
    "no json": b"text=a",
    "null byte": b"\x00",
    "invalid utf-8": b'{"text": "\xff\xfe"}',
    "utf-16": '{"text": "a"}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + b'{"text": "a"',
    "control character": b'{"text": "a\x01b"}',
    "lone surrogate": b'{"text": "\\ud800"}',
    "deep list": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep in a field": b'{"text": "a", "data": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
}

UNFIT: dict[str, bytes] = {
    "null": b"null",
    "list": b"[]",
    "string": b'"text"',
    "number": b"5",
    "nothing": b"{}",
    "wrong type": b'{"text": 5}',
    "null field": b'{"text": null}',
    "text for a number": b'{"text": "a", "count": "many"}',
    "list for text": b'{"text": ["a"]}',
    "huge int": b'{"text": "a", "count": ' + b"9" * 10_000 + b"}",
    "fraction for an int": b'{"text": "a", "count": 1.5}',
    "NaN for an int": b'{"text": "a", "count": NaN}',
    "infinity for an int": b'{"text": "a", "count": 1e999}',
}

NOT_A_NUMBER = [b"NaN", b"Infinity", b"-Infinity", b"nan", b"01", b"+1", b".5", b"1.", b"0x10", b"1_000"]


def refused(client: Any, path: str, body: bytes, **headers: str) -> list[dict[str, Any]]:
    """The errors in the 422 that a body gets, when no job was made of it."""
    job_id = new_id()
    answer = client.post(path, content=body, headers={"job-id": job_id, **headers})
    errors: list[dict[str, Any]] = assert_problem(answer, 422)["errors"]
    assert errors
    for error in errors:
        assert list(error) == ["loc", "msg", "type"]
        assert error["loc"][0] == "body"
        assert all(isinstance(step, (str, int)) for step in error["loc"])
        assert isinstance(error["msg"], str)
        assert isinstance(error["type"], str)
    assert_problem(client.get(f"/jobs/{job_id}"), 404)
    return errors


@pytest.mark.parametrize("path", MODELS)
@pytest.mark.parametrize("kind", NOT_JSON)
def test_what_is_not_json_is_refused(client, service: ServiceProcess, path, kind):
    if (path, kind) == ("/data-tool", "deep in a field"):
        kind = "deep and closed"  # it has no such field, and what it does not know it may skip
    refused(client, path, NOT_JSON[kind])
    service.assert_alive()


@pytest.mark.parametrize("path", MODELS)
@pytest.mark.parametrize("kind", UNFIT)
def test_json_that_does_not_fit_the_model_is_refused(client, path, kind):
    refused(client, path, UNFIT[kind])


@pytest.mark.parametrize("path", ["/echo", "/struct-tool"])
@pytest.mark.parametrize("number", NOT_A_NUMBER)
def test_what_json_does_not_call_a_number_is_refused(client, path, number):
    refused(client, path, b'{"text": "a", "numbers": [' + number + b"]}")
    refused(client, path, b'{"text": "a", "data": {"x": ' + number + b"}}")


@pytest.mark.parametrize("path", MODELS)
def test_an_error_says_where_and_not_what(client, service: ServiceProcess, path):
    secret = f"secret-{new_id()}"
    for body in ({"text": {"password": secret}}, {"text": "a", "count": secret}, {"text": [secret]}, [secret], secret):
        answer = client.post(path, json=body)
        assert_problem(answer, 422)
        assert secret not in answer.text
    answer = client.post(path, content=json.dumps({"text": secret}).encode() + b"}")
    assert_problem(answer, 422)
    assert secret not in answer.text
    assert secret not in service.log


@pytest.mark.parametrize("path", MODELS)
def test_an_error_names_the_field(client, path):
    assert refused(client, path, b"{}")[0]["loc"] == ["body", "text"]
    assert refused(client, path, b'{"text": "a", "count": "x"}')[0]["loc"] == ["body", "count"]


def test_an_error_names_the_place_in_a_list(client):
    for path in ("/echo", "/struct-tool"):
        assert refused(client, path, b'{"text": "a", "numbers": [1, "x"]}')[0]["loc"] == ["body", "numbers", 1]


@pytest.mark.parametrize(
    ("path", "urn"),
    [("/echo", "urn:example:schema:echo.request.1"), ("/struct-tool", "urn:example:schema:struct.request.1")],
)
def test_the_schema_of_a_request_must_be_the_right_one(client, path, urn):
    assert client.post(path, json={"$schema": urn, "text": "a"}).status_code == 200
    for wrong in ("urn:example:schema:other.1", "", None, 5):
        errors = refused(client, path, json.dumps({"$schema": wrong, "text": "a"}).encode())
        assert errors[0]["loc"] == ["body", "$schema"]


def test_a_million_faults_do_not_make_a_million_errors(client):
    body = b'{"text": "a", "numbers": [' + b'"x",' * 100_000 + b'"x"]}'
    answer = client.post("/echo", content=body)
    assert_problem(answer, 422)
    assert len(answer.content) < len(body)


# --- size ---

LIMIT = 64 * 1024 * 1024


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def assert_too_large(answer: Any) -> None:
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["ivcap-ai-tool-version"]
    problem = json.loads(answer.body)
    assert (problem["code"], problem["$schema"]) == (413, "urn:ivcap:schema.ai-tool.error.1")


@pytest.mark.parametrize("length", [LIMIT + 1, 10**12, 10**18])
@pytest.mark.parametrize("path", ["/echo", "/", "/struct-tool"])
def test_a_body_announced_as_too_large_is_refused_before_it_is_sent(service: ServiceProcess, path, length):
    answer = ask(service.port, [head(path, f"Content-Length: {length}")])
    assert_too_large(answer)
    service.assert_alive()


def test_a_body_of_just_the_limit_is_read(client_with_options):
    body = b'{"text": "' + b"a" * (100_000 - 12) + b'"}'
    assert len(body) == 100_000
    assert client_with_options.post("/echo", content=body).status_code == 200
    assert_problem(client_with_options.post("/echo", content=body + b" "), 413)


def chunks(path: str, count: int, size: int = 10_000) -> Iterator[bytes]:
    yield head(path, "Transfer-Encoding: chunked")
    for _ in range(count):
        yield b"%x\r\n%s\r\n" % (size, b" " * size)


def test_a_body_in_chunks_is_refused_when_it_gets_too_large(service_with_options: ServiceProcess):
    # it never ends: only who counts can answer
    answer = ask(service_with_options.port, chunks("/echo", 11))
    assert_too_large(answer)
    service_with_options.assert_alive()


def test_a_body_of_endless_chunks_is_not_read_to_its_end(service_with_options: ServiceProcess):
    answer = ask(service_with_options.port, chunks("/echo", 100_000))
    assert_too_large(answer)
    assert answer.bytes_sent < 50_000_000
    service_with_options.assert_alive()


def test_a_body_in_chunks_is_taken(service: ServiceProcess):
    pieces = [head("/echo", "Transfer-Encoding: chunked"), b'6\r\n{"text\r\n', b'8\r\n": "hi"}\r\n', b"0\r\n\r\n"]
    answer = ask(service.port, pieces)
    assert (answer.status, json.loads(answer.body)["text"]) == (200, "hi")


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", ""])
def test_a_content_length_that_is_no_number_is_refused(service: ServiceProcess, length):
    assert ask(service.port, [head("/echo", f"Content-Length: {length}")]).status == 400
    service.assert_alive()


def test_half_a_request_holds_nobody_up(client, service: ServiceProcess):
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as sock:
        sock.sendall(head("/echo", "Content-Length: 1000") + b'{"text"')
        assert client.post("/echo", json={"text": "a"}).status_code == 200
    service.assert_alive()


def test_a_large_result_comes_back_whole(client):
    text = "x" * 3_000_000
    assert client.post("/brief", json={"text": text}).text == text
