"""Jobs of a real service, as the tests of their control make them and look at them from every side."""

from typing import Any

import httpx

from tests.wire.answers import assert_problem, assert_same_answer, eventually, new_id
from tests.wire.sse import read_all

__all__ = ["FINAL", "assert_story", "event_statuses", "record_of", "start", "wait_for_end"]

FINAL = ("succeeded", "failed", "error", "cancelled")

_HTTP_STATUS = {"succeeded": 200, "cancelled": 410, "error": 504}


def start(client: httpx.Client, path: str, headers: dict[str, str] | None = None, **request: object) -> str:
    """Have a job made, and do not wait for it; returns its id."""
    job_id = new_id()
    fields = {"job-id": job_id, "Prefer": "respond-async", **(headers or {})}
    answer = client.post(path, json=request, headers=fields)
    assert answer.status_code == 204, answer.text
    return job_id


def record_of(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """The record of a job."""
    answer = client.get(f"/jobs/{job_id}/status")
    assert answer.status_code == 200, answer.text
    record: dict[str, Any] = answer.json()
    return record


def wait_for_end(client: httpx.Client, job_id: str) -> httpx.Response:
    """Poll until there is an end; returns the answer."""
    poll = {"Prefer": "wait=5"}
    return eventually(lambda: client.get(f"/jobs/{job_id}", headers=poll), lambda answer: answer.status_code != 204)


def event_statuses(client: httpx.Client, job_id: str) -> list[str]:
    """Each status that the events of a job that has ended tell of; the last event must be one of them."""
    events = read_all(str(client.base_url), job_id)
    assert events[-1].kind == "ivcap.job.status"
    return [event.data["status"] for event in events if event.kind == "ivcap.job.status"]


def assert_story(
    client: httpx.Client, job_id: str, ended: str, answers: list[httpx.Response], *, ran: bool = True
) -> None:
    """Fail unless record, result, events and a further cancel tell the same of a job that has ended.

    Args:
        client: Asks.
        job_id: Which job.
        ended: Its final status: succeeded, cancelled, or error for one that had no time left.
        answers: What those who waited for its result were told.
        ran: Whether it was started.
    """
    poll = client.get(f"/jobs/{job_id}")
    assert poll.status_code == _HTTP_STATUS[ended], poll.text
    for answer in answers:
        assert_same_answer(poll, answer)
    if ended == "error":
        problem = assert_problem(poll, 504, job=True)
        assert problem["type"] == "time-limit"
        assert "time limit" in problem["detail"]
    record = record_of(client, job_id)
    assert record["status"] == ended
    assert ("started-at" in record) is ran
    assert "finished-at" in record
    assert ("result-content-type" in record) is (ended == "succeeded")
    assert ("error-message" in record) is (ended == "error")
    assert event_statuses(client, job_id) == ["pending", *["executing"] * ran, ended]
    again = client.delete(f"/jobs/{job_id}")
    assert again.status_code == (200 if ended == "cancelled" else 409), again.text
    assert record_of(client, job_id) == record
