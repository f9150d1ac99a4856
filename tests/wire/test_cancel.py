"""docs/wire.md, DELETE /jobs/{id}: cancel a job."""

from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from lambda_kit.version import VERSION
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, assert_same_answer, eventually, new_id
from tests.wire.jobs import event_statuses, start
from tests.wire.sse import follow, frames

FILE = Path(__file__).with_name("events_service.py")


@pytest.fixture(scope="module")
def client() -> Generator[httpx.Client]:
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=60) as session:
        yield session


def cancelled(client: httpx.Client, job_id: str) -> httpx.Response:
    """Cancel until the job has wound down; returns the last answer."""
    return eventually(lambda: client.delete(f"/jobs/{job_id}"), lambda answer: answer.status_code != 202)


def assert_cancelled(client: httpx.Client, job_id: str, *, ran: bool) -> None:
    """Fail unless cancel, record, result and events all say that it was cancelled."""
    answer = client.delete(f"/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["job-id"] == f"urn:ivcap:job:{job_id}"
    assert answer.headers["ivcap-ai-tool-version"] == VERSION
    record = answer.json()
    assert record == client.get(f"/jobs/{job_id}/status").json()
    assert record["id"] == f"urn:ivcap:job:{job_id}"
    assert record["status"] == "cancelled"
    assert ("started-at" in record) is ran
    assert "finished-at" in record
    assert "result-content-type" not in record
    problem = assert_problem(client.get(f"/jobs/{job_id}"), 410, job=True)
    assert problem["type"] == "job-cancelled"
    assert event_statuses(client, job_id) == ["pending", *["executing"] * ran, "cancelled"]


def test_a_job_that_waits_is_cancelled_at_once_and_never_runs(client, gate: Gate):
    jobs = [start(client, "/narrow", gate=gate.port) for _ in range(3)]
    held = gate.wait_for_arrival()
    answer = client.delete(f"/jobs/{jobs[1]}")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    held.release()
    gate.wait_for_arrival().release()  # the third, which has moved up
    for job_id in (jobs[0], jobs[2]):
        assert client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=15"}).status_code == 200
    assert_cancelled(client, jobs[1], ran=False)
    assert gate.arrivals_without_waiting() == 0


def test_an_async_tool_stops_when_it_is_cancelled(client, gate: Gate):
    job_id = start(client, "/hold-async", gate=gate.port)
    gate.wait_for_arrival()
    answer = client.delete(f"/jobs/{job_id}")
    assert answer.status_code in (200, 202)
    assert cancelled(client, job_id).status_code == 200
    assert_cancelled(client, job_id, ran=True)


def test_an_async_tool_that_takes_its_time_winds_down(client, gate: Gate):
    job_id = start(client, "/stubborn", gate=gate.port)
    gate.wait_for_arrival()
    for _ in range(3):  # asking again does not cut short what it does to end
        answer = client.delete(f"/jobs/{job_id}")
        assert (answer.status_code, answer.json()["status"]) == (202, "executing")
        assert answer.headers["job-id"] == f"urn:ivcap:job:{job_id}"
    assert client.get(f"/jobs/{job_id}").status_code == 204
    gate.wait_for_arrival().release()
    assert cancelled(client, job_id).status_code == 200
    assert_cancelled(client, job_id, ran=True)


def test_a_tool_in_a_thread_stops_when_it_reports(client, gate: Gate):
    job_id = start(client, "/listening", gate=gate.port)
    gate.wait_for_arrival().release()
    eventually(lambda: client.get(f"/jobs/{job_id}/status"), lambda answer: "progress" in answer.json())
    assert client.delete(f"/jobs/{job_id}").status_code in (200, 202)
    assert cancelled(client, job_id).status_code == 200
    assert_cancelled(client, job_id, ran=True)


@pytest.mark.parametrize("then", ["return", "ValueError", "RuntimeError"])
def test_the_late_end_of_a_deaf_tool_does_not_undo_its_cancel(client, gate: Gate, then):
    job_id = start(client, "/hold", gate=gate.port, then=then)
    held = gate.wait_for_arrival()
    for _ in range(2):
        answer = client.delete(f"/jobs/{job_id}")
        assert (answer.status_code, answer.json()["status"]) == (202, "executing")
    held.release()
    assert cancelled(client, job_id).status_code == 200
    assert_cancelled(client, job_id, ran=True)


def test_who_waits_for_the_result_is_told_of_the_cancel(client, gate: Gate, background):
    job_id = new_id()
    post = background(client.post, "/hold-async", json={"gate": gate.port}, headers={"job-id": job_id})
    gate.wait_for_arrival()
    poll = background(client.get, f"/jobs/{job_id}", headers={"Prefer": "wait=15"})
    assert cancelled(client, job_id).status_code == 200
    assert_problem(post.result(20), 410, job=True)
    assert_problem(poll.result(20), 410, job=True)


def test_the_stream_of_a_job_ends_with_its_cancel(client, gate: Gate):
    job_id = start(client, "/hold-async", gate=gate.port)
    gate.wait_for_arrival()
    with follow(str(client.base_url), f"/jobs/{job_id}/events") as answer:
        stream = frames(answer)
        assert [next(stream).data["status"] for _ in range(2)] == ["pending", "executing"]
        client.delete(f"/jobs/{job_id}")
        assert [event.data["status"] for event in stream] == ["cancelled"]


@pytest.mark.parametrize(("fail", "ended"), [(None, "succeeded"), ("no", "failed")])
def test_a_job_that_has_ended_otherwise_can_not_be_cancelled(client, fail, ended):
    job_id = start(client, "/talk", fail=fail)
    before = client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=15"})
    problem = assert_problem(client.delete(f"/jobs/{job_id}"), 409)
    assert ended in problem["detail"]
    assert_same_answer(client.get(f"/jobs/{job_id}"), before)
    assert client.get(f"/jobs/{job_id}/status").json()["status"] == ended
    assert event_statuses(client, job_id) == ["pending", "executing", ended]


def test_a_cancelled_job_can_be_cancelled_again_with_nothing_changed(client, gate: Gate):
    job_id = start(client, "/hold-async", gate=gate.port)
    gate.wait_for_arrival()
    record = cancelled(client, job_id).json()
    for form in (job_id, f"urn:ivcap:job:{job_id}"):
        answer = client.delete(f"/jobs/{form}")
        assert (answer.status_code, answer.json()) == (200, record)


def test_the_same_request_again_gets_the_cancelled_job(client, gate: Gate):
    job_id = start(client, "/hold-async", gate=gate.port)
    gate.wait_for_arrival()
    cancelled(client, job_id)
    again = client.post("/hold-async", json={"gate": gate.port}, headers={"job-id": job_id})
    assert_problem(again, 410, job=True)
    assert gate.arrivals_without_waiting() == 0


def test_what_is_not_there_can_not_be_cancelled(client):
    for form in ("{}", "urn:ivcap:job:{}"):
        assert_problem(client.delete(f"/jobs/{form.format(new_id())}"), 404)
    assert_problem(client.delete(f"/jobs/{'x' * 129}"), 400)


def test_other_jobs_are_left_alone(client, gate: Gate):
    job_id = start(client, "/hold-async", gate=gate.port)
    gate.wait_for_arrival()
    others = [start(client, path, gate=gate.port) for path in ("/hold-async", "/hold", "/narrow", "/narrow")]
    for _ in range(3):
        gate.wait_for_arrival()
    assert cancelled(client, job_id).status_code == 200
    shown = [client.get(f"/jobs/{other}/status").json()["status"] for other in others]
    assert shown == ["executing", "executing", "executing", "pending"]
    gate.release_all()
    gate.wait_for_arrival().release()
    for other in others:
        answer = client.get(f"/jobs/{other}", headers={"Prefer": "wait=15"})
        assert answer.status_code == 200
        assert event_statuses(client, other) == ["pending", "executing", "succeeded"]


def test_many_who_cancel_at_once_cancel_it_once(client, gate: Gate, background):
    job_id = start(client, "/hold", gate=gate.port)
    held = gate.wait_for_arrival()
    asking = [background(client.delete, f"/jobs/{job_id}") for _ in range(10)]
    assert {answer.result(20).status_code for answer in asking} == {202}
    held.release()
    assert cancelled(client, job_id).status_code == 200
    assert_cancelled(client, job_id, ran=True)
