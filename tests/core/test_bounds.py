"""What a tool says is kept with its beginning and its end where it is longer than 64 KiB."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from lambda_kit import ExecutorOpts, GenericEvent, JobContext, LambdaTool, Service, ToolOptions, ToolServer
from lambda_kit.core.model.bounds import MAX_MESSAGE_BYTES, bounded_json, bounded_text
from lambda_kit.core.model.rfc3339 import rfc3339
from lambda_kit.testing import TestClient

HUGE = 200_000


class Say(BaseModel):
    how: str


class Talk(LambdaTool):
    """Talk"""

    def run(self, req: Say, ctx: JobContext) -> str:
        text = "é" * HUGE + "end"
        if req.how == "raise":
            raise RuntimeError("begin" + text)
        if req.how == "chain":
            try:
                raise KeyError("begin" + text)
            except KeyError as error:
                raise RuntimeError("short") from error
        if req.how == "progress":
            ctx.progress(1, 2, "begin" + text)
        if req.how == "event":
            ctx.report.emit(GenericEvent(name="begin" + text, options={"list": [text] * 3, "n": list(range(HUGE))}))
        if req.how == "class":
            raise type("E" * 10_000, (Exception,), {})("short")
        return "ok"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    server = ToolServer(Service(name="S", contact={"name": "A", "email": "a@example.com"}), [Talk], debug=True)
    with TestClient(server) as client:
        yield client


def end_of(client: TestClient, how: str) -> tuple[Any, dict[str, Any], str]:
    answer = client.post("/talk", json={"how": how})
    job_id = answer.headers["job-id"]
    return answer, client.get(f"/jobs/{job_id}/status").json(), client.get(f"/jobs/{job_id}/events").text


def test_the_message_and_the_traceback_of_a_failure_are_bounded(client: TestClient) -> None:
    answer, record, _ = end_of(client, "raise")
    for text in (answer.json()["detail"], answer.json()["traceback"], record["error-message"]):
        assert len(text.encode()) <= MAX_MESSAGE_BYTES
        assert text.rstrip().endswith("éend")
        assert "bytes, cut to 65536" in text
    assert answer.json()["detail"].startswith("beginé")


def test_a_long_message_of_a_cause_leaves_the_end_of_the_traceback(client: TestClient) -> None:
    answer, _, _ = end_of(client, "chain")
    assert answer.json()["detail"] == "short"
    assert len(answer.json()["traceback"].encode()) <= MAX_MESSAGE_BYTES
    assert answer.json()["traceback"].rstrip().endswith("RuntimeError: short")


def test_a_line_of_progress_is_bounded(client: TestClient) -> None:
    answer, record, events = end_of(client, "progress")
    assert answer.status_code == 200
    message = record["progress"]["message"]
    assert len(message.encode()) <= MAX_MESSAGE_BYTES
    assert message.startswith("begin")
    assert message.endswith("end")
    assert len(events) < 3 * MAX_MESSAGE_BYTES


def test_an_event_is_bounded_and_still_json_with_its_schema(client: TestClient) -> None:
    answer, _, events = end_of(client, "event")
    assert answer.status_code == 200
    lines = [line.removeprefix("data: ") for line in events.splitlines() if line.startswith("data: ")]
    reported = next(data for line in lines if "name" in (data := json.loads(line)["data"]))
    assert reported["$schema"] == GenericEvent.SCHEMA
    assert reported["name"].startswith("begin")
    assert all(len(line) < 2 * MAX_MESSAGE_BYTES for line in lines)


def test_the_type_of_a_failure_is_bounded(client: TestClient) -> None:
    answer, _, _ = end_of(client, "class")
    assert len(answer.json()["type"]) <= 256


@pytest.mark.parametrize("text", ["", "a" * MAX_MESSAGE_BYTES, "é" * (MAX_MESSAGE_BYTES // 2)])
def test_what_is_short_enough_is_left(text: str) -> None:
    assert bounded_text(text) is text


@pytest.mark.parametrize(
    "value",
    [
        {f"k{n}": "x" * 100 for n in range(100_000)},
        {"a": {"b": {"c": [["x" * 1000] * 100] * 100}}},
        {"name": "x" * 500_000, "n": 1},
        {"a": [[[[["x" * 10] * 11] * 11] * 11] * 11] * 11},
    ],
)
def test_any_json_object_gets_short(value: dict[str, Any]) -> None:
    shorter = bounded_json(json.dumps(value).encode())
    assert len(shorter) <= MAX_MESSAGE_BYTES
    assert isinstance(json.loads(shorter), dict)


class Keep(LambdaTool):
    """Keep for ever"""

    options = ToolOptions(executor_opts=ExecutorOpts(job_cache_ttl=sys.maxsize), max_wait_time=2**31)

    def run(self, req: Say) -> str:
        return req.how


def test_a_job_that_is_kept_for_ever_is_in_the_list() -> None:
    service = Service(name="S", contact={"name": "A", "email": "a@example.com"})
    with TestClient(ToolServer(service, [Keep], job_list=True)) as client:
        job_id = client.post("/keep", json={"how": "x"}).headers["job-id"]
        assert client.get(f"/jobs/{job_id}/status").json()["expires-at"] > "2090"
        assert client.get("/jobs").status_code == 200


def test_a_time_that_a_date_can_not_say_is_its_last_day() -> None:
    assert rfc3339(1e18) == "9999-12-31T00:00:00.000Z"
