"""docs/wire.md, Results: what comes of each value that `run` returns, at the POST and at every poll."""

import json
from typing import Any

import httpx
import pytest

from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, assert_same_answer, bare_id, polls

JSON, TEXT, BYTES = "application/json", "text/plain; charset=utf-8", "application/octet-stream"

AS_JSON: dict[str, Any] = {
    "model": {"theName": "inner", "default": 0},
    "struct": {"name": "struct"},
    "dataclass": {"name": "data"},
    "dict": {"a": [1, {"b": None}]},
    "list": [1, "two", None],
    "number": 3.5,
    "big-number": 2**70,
    "big-number-inside": {"n": [-(2**70)]},
    "true": True,
    "false": False,
    "zero": 0,
    "empty-dict": {},
    "empty-list": [],
    "mixed": {
        "model": {"theName": "inner", "default": 0},
        "struct": {"name": "struct"},
        "data": {"name": "data"},
        "models": [{"theName": "inner", "default": 0}],
        "time": "2026-01-02T03:04:05Z",
        "uuid": "00000000-0000-0000-0000-000000000001",
    },
}

AS_BYTES: dict[str, tuple[str, bytes]] = {
    "text": (TEXT, "grüße".encode()),
    "empty-text": (TEXT, b""),
    "bytes": (BYTES, b"\x00\xff"),
    "empty-bytes": (BYTES, b""),
    "binary": ("image/png", b"\x89PNG"),
    "binary-text": ("text/csv; charset=utf-8", "a,ü\n".encode()),
    "binary-file": ("application/x-thing", b"from a file"),
}

UNENCODABLE = [
    "object",
    "object-inside",
    "object-in-model",
    "surrogate",
    "surrogate-inside",
    "circular",
    "nested",
    "bad-content-type",
]

EVERY_TOOL = ["/returns", "/returns-async", "/returns-optional"]


def result_of(client: httpx.Client, path: str, kind: str) -> httpx.Response:
    """What the POST answers, when every poll has been found to answer the same."""
    answer = client.post(path, json={"kind": kind})
    job_id = bare_id(answer)
    for place in [*polls(path, job_id), *polls(path, f"urn:ivcap:job:{job_id}")]:
        assert_same_answer(client.get(place), answer)
    return answer


@pytest.mark.parametrize("path", EVERY_TOOL)
@pytest.mark.parametrize("kind", AS_JSON)
def test_data_is_answered_as_json_also_when_it_is_empty_or_falsy(client, path, kind):
    answer = result_of(client, path, kind)
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    value = json.loads(answer.content)
    assert value == AS_JSON[kind]
    assert type(value) is type(AS_JSON[kind])


@pytest.mark.parametrize("path", EVERY_TOOL)
@pytest.mark.parametrize("kind", AS_BYTES)
def test_text_and_bytes_are_answered_as_they_are(client, path, kind):
    answer = result_of(client, path, kind)
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, *AS_BYTES[kind])
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("path", ["/returns-optional", "/returns-none"])
def test_none_is_null_where_the_annotation_allows_it(client, path):
    answer = result_of(client, path, "none")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, JSON, b"null")


@pytest.mark.parametrize("path", ["/returns", "/returns-async"])
def test_none_is_a_failure_elsewhere(client, path):
    body = assert_problem(result_of(client, path, "none"), 500, job=True)
    assert (body["type"], body["detail"]) == ("no-result-error", "service did not return a result")


@pytest.mark.parametrize("path", EVERY_TOOL)
@pytest.mark.parametrize("kind", UNENCODABLE)
def test_what_cannot_be_encoded_is_a_failure(client, service, path, kind):
    answer = result_of(client, path, kind)
    assert_problem(answer, 500, job=True)
    assert "x-evil" not in answer.headers
    record = client.get(f"/jobs/{bare_id(answer)}/status").json()
    assert record["status"] == "failed"
    assert "result-content-type" not in record
    service.assert_alive()


@pytest.mark.parametrize("kind", [*AS_JSON, *AS_BYTES])
def test_the_record_says_what_kind_of_result_there_is(client, kind):
    answer = client.post("/returns", json={"kind": kind})
    record = client.get(f"/jobs/{bare_id(answer)}/status").json()
    assert record["result-content-type"] == answer.headers["content-type"]


@pytest.mark.parametrize("path", ["/returns", "/returns-async"])
def test_a_result_that_is_not_of_the_annotated_type_is_answered_and_logged_once(client, service: ServiceProcess, path):
    tool = path.strip("/").replace("-", "_")
    for _ in range(3):
        assert client.post(path, json={"kind": "list"}).json() == [1, "two", None]

    def mismatches(log: str) -> int:
        return sum(f"'{tool}'" in line and "annotat" in line for line in log.splitlines())

    assert mismatches(service.wait_for_log(lambda log: mismatches(log) > 0)) == 1
