"""docs/wire.md, POST {path}: requests of every kind are run once and answered."""

import json
import socket

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, bare_id, new_id

TOOLS = {
    "/echo": {"text": "hi", "count": 2, "withAlias": "an alias", "unset": None},
    "/echo-async": {"text": "hi", "count": 2, "withAlias": "an alias", "unset": None},
    "/": {"root": "hi"},
    "/struct-tool": {"text": "hi", "plusOne": 3},
    "/data-tool": {"text": "hi", "count": 2},
}


@pytest.mark.parametrize("path", TOOLS)
def test_a_tool_is_run_and_its_result_answered(client, path):
    answer = client.post(path, json={"text": "hi", "count": 2})
    assert answer.status_code == 200
    assert answer.json() == TOOLS[path]
    assert answer.headers["content-type"] == "application/json"
    assert bare_id(answer)
    assert "location" not in answer.headers
    assert "retry-after" not in answer.headers


def test_the_golden_tool_greets(client):
    answer = client.post("/greet", json={"name": "World", "count": 2})
    assert answer.json() == {
        "$schema": "urn:example:schema:greet.1",
        "greeting": "Hello, World! Hello, World!",
        "mood": None,
    }


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/vnd.example.echo+json",
        "application/ld+json; profile=x",
        "text/x+json",
    ],
)
def test_json_in_any_name_is_taken(client, content_type):
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = client.post("/echo", content=b'{"text": "hi"}', headers=headers)
    assert answer.status_code == 200
    assert "content-type" in answer.request.headers or content_type is None


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/json", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "+json",
     "application/jsonx", "application/octet-stream", "application/json+xml", "x"],
)  # fmt: skip
def test_another_content_type_is_refused(client, content_type):
    job_id = new_id()
    headers = {"Content-Type": content_type, "job-id": job_id}
    assert_problem(client.post("/echo", content=b'{"text": "hi"}', headers=headers), 415)
    assert_problem(client.get(f"/jobs/{job_id}"), 404)


def test_a_path_that_no_tool_has_is_not_found(client):
    for path in ("/nope", "/echo/nope", "/echo/jobs", "/greet/jobs/a/b", "/many", "/ECHO", "/%00", "/%ff"):
        assert_problem(client.post(path, json={"text": "hi"}), 404)
        assert_problem(client.get(path), 404)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_method_that_a_tool_does_not_have_is_refused_with_those_that_it_has(client, method):
    answer = client.request(method, "/echo", json={"text": "hi"})
    assert_problem(answer, 405)
    assert {"GET", "POST"} <= {name.strip() for name in answer.headers["allow"].split(",")}


def test_authorization_reaches_the_tool_and_nothing_else(client, service: ServiceProcess):
    secret = f"secret-{new_id()}"
    job_id = new_id()
    headers = {
        "Authorization": f"Bearer {secret}",
        "Cookie": f"session={secret}",
        "Ivcap-Mine": "yes",
        "job-id": job_id,
    }
    headers |= {"X-Unknown": secret}
    answer = client.post(f"/who-asks?a=1&api_key={secret}", json={"text": "hi"}, headers=headers)
    content = answer.json()
    assert content.pop("authorization") == f"Bearer {secret}"
    assert secret not in json.dumps(content)
    assert content["info"]["method"] == "POST"
    assert content["info"]["url"] == f"{service.url}/who-asks?a=1&api_key=***"
    assert content["info"]["headers"]["ivcap-mine"] == "yes"
    assert (content["job_id"], content["job_urn"]) == (job_id, f"urn:ivcap:job:{job_id}")
    assert (content["tool"], content["attempt"]) == ("who_asks", 1)
    assert secret not in client.get(f"/jobs/{job_id}/status").text


def test_no_log_line_has_the_authorization_even_when_the_tool_fails(client, service: ServiceProcess):
    secret = f"secret-{new_id()}"
    marker = new_id()
    for content in ({"kind": "RuntimeError"}, {"kind": 1}):
        client.post("/raises", json=content, headers={"Authorization": f"Bearer {secret}"})
    client.post("/raises", json={"kind": "RuntimeError"}, headers={"job-id": marker})
    assert secret not in service.wait_for_log(marker)


def test_without_authorization_the_tool_gets_none(client):
    assert client.post("/who-asks", json={"text": "hi"}).json()["authorization"] is None


@pytest.mark.parametrize("path", ["/hold", "/hold-async"])
def test_a_client_that_goes_away_does_not_stop_its_job(client, service: ServiceProcess, gate: Gate, path):
    job_id = new_id()
    body = json.dumps({"gate": gate.port, "text": "still here"}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\njob-id: {job_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as sock:
        sock.sendall(head.encode() + body)
        held = gate.wait_for_arrival()
    assert client.get(f"/jobs/{job_id}/status").json()["status"] == "executing"
    held.release()
    answer = client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=15"})
    assert answer.status_code == 200
    assert answer.json()["text"] == "still here"


def test_one_connection_carries_many_requests(service: ServiceProcess):
    with httpx.Client(base_url=service.url, limits=httpx.Limits(max_connections=1), timeout=60) as client:
        statuses = [client.post("/echo", json={"text": "a"} if n % 2 else {}).status_code for n in range(20)]
    assert statuses == [422, 200] * 10
