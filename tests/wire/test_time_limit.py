"""docs/wire.md, Job-Time-Limit and 504: a job may run for so long and no longer, whatever its tool does."""

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, eventually, new_id
from tests.wire.conftest import Background
from tests.wire.control_service import MAX_SECONDS
from tests.wire.jobs import assert_story, record_of, start, wait_for_end
from tests.wire.sse import follow, frames

FILE = Path(__file__).with_name("control_service.py")

SHORT = {"Job-Time-Limit": "0.2"}
PATHS = ["/listens", "/swallows", "/deaf", "/reports"]


@pytest.fixture(scope="module")
def client() -> Generator[httpx.Client]:
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=60) as session:
        yield session


def seen(client: httpx.Client, job_id: str, what: str) -> list[str]:
    """Wait until the tool of a job has noticed something; returns all that it has."""
    notes = eventually(lambda: client.post("/seen", json={"job": job_id}), lambda answer: what in answer.json())
    found: list[str] = notes.json()
    return found


def age(answer: httpx.Response) -> float:
    """How long ago the job of a record was asked for, in seconds."""
    return (datetime.now(UTC) - datetime.fromisoformat(answer.json()["requested-at"])).total_seconds()


@pytest.mark.parametrize("path", PATHS)
def test_a_job_over_the_time_of_its_request_is_answered_504(client, gate: Gate, background: Background, path):
    job_id = new_id()
    post = background(client.post, path, json={"gate": gate.port}, headers={**SHORT, "job-id": job_id})
    held = gate.wait_for_arrival()
    if path == "/reports":
        held.release()
    assert_story(client, job_id, "error", [post.result(20)])
    assert "0.2 s" in post.result().json()["detail"]


@pytest.mark.parametrize("path", ["/brief", "/brief-deaf"])
def test_a_job_over_the_time_of_its_tool_is_answered_504(client, gate: Gate, path):
    job_id = new_id()
    post = client.post(path, json={"gate": gate.port}, headers={"job-id": job_id})
    assert_story(client, job_id, "error", [post])


@pytest.mark.parametrize("path", ["/listens", "/deaf"])
def test_who_polls_and_who_follows_the_events_is_told_too(client, gate: Gate, background: Background, path):
    job_id = start(client, path, SHORT, gate=gate.port)
    poll = background(client.get, f"/jobs/{job_id}", headers={"Prefer": "wait=15"})
    with follow(str(client.base_url), f"/jobs/{job_id}/events") as answer:
        assert [event.data["status"] for event in frames(answer)] == ["pending", "executing", "error"]
    assert_story(client, job_id, "error", [poll.result(20)])


def test_an_async_tool_that_is_out_of_time_may_clean_up(client, gate: Gate):
    job_id = start(client, "/listens", SHORT, gate=gate.port)
    assert seen(client, job_id, "cleaned up") == ["cleaned up"]
    assert wait_for_end(client, job_id).status_code == 504


@pytest.mark.parametrize("path", ["/swallows", "/deaf"])
def test_what_a_tool_says_after_its_time_is_dropped(client, gate: Gate, path):
    job_id = start(client, path, SHORT, gate=gate.port)
    first = gate.wait_for_arrival()
    post = wait_for_end(client, job_id)
    assert_story(client, job_id, "error", [post])
    late = gate.wait_for_arrival() if path == "/swallows" else first
    late.release()
    notes = seen(client, job_id, "left")
    if path == "/deaf":
        assert notes == ["JobCancelledError", "cancelled: True", "left"]
    assert_story(client, job_id, "error", [post])


@pytest.mark.parametrize("path", ["/single", "/single-async"])
def test_the_next_job_runs_though_a_tool_does_not_stop_at_its_limit(client, gate: Gate, path):
    stuck = start(client, path, SHORT, gate=gate.port)
    gate.wait_for_arrival()
    following = start(client, path, gate=gate.port)
    assert wait_for_end(client, stuck).status_code == 504
    if path == "/single-async":
        gate.wait_for_arrival()  # of the first again, which has swallowed its end
    assert record_of(client, stuck)["status"] == "error"
    gate.wait_for_arrival().release()
    answer = wait_for_end(client, following)
    assert (answer.status_code, answer.text) == (200, "late")
    assert_story(client, stuck, "error", [])
    assert_story(client, following, "succeeded", [answer])


def test_time_in_the_queue_does_not_count(client, gate: Gate):
    ahead = start(client, "/single", gate=gate.port)
    held = gate.wait_for_arrival()
    waiting = start(client, "/single", {"Job-Time-Limit": "2.5"}, gate=gate.port)
    record = eventually(lambda: client.get(f"/jobs/{waiting}/status"), lambda answer: age(answer) > 3.0).json()
    assert (record["status"], record["queue-position"]) == ("pending", 1)
    held.release()
    gate.wait_for_arrival().release()
    assert_story(client, waiting, "succeeded", [wait_for_end(client, waiting)])
    assert_story(client, ahead, "succeeded", [])


@pytest.mark.parametrize("path", ["/limited", "/unlimited"])
@pytest.mark.parametrize(
    "value", ["0", "0.0", "-1", "+1", "1e3", "inf", "nan", "5s", "5,5", "", "0x10", "٣", "5 5", "1" * 400]
)
def test_a_limit_that_is_none_is_refused_and_no_job_is_made(client, path, value):
    headers = {"job-id": new_id(), "Job-Time-Limit": value.encode()}
    problem = assert_problem(client.post(path, json={"turns": 0}, headers=headers), 400)
    assert problem["type"] == "bad-request"
    assert "Job-Time-Limit" in problem["detail"]
    assert client.get(f"/jobs/{headers['job-id']}").status_code == 404


def test_two_limits_are_refused(client):
    job_id = new_id()
    headers = [("job-id", job_id), ("Job-Time-Limit", "5"), ("Job-Time-Limit", "5")]
    assert_problem(client.post("/limited", json={"turns": 0}, headers=headers), 400)
    assert client.get(f"/jobs/{job_id}").status_code == 404


def test_more_time_than_the_tool_has_is_refused_and_no_job_is_made(client):
    headers = {"job-id": new_id(), "Job-Time-Limit": f"{MAX_SECONDS + 0.5}"}
    problem = assert_problem(client.post("/limited", json={"turns": 0}, headers=headers), 400)
    assert problem["type"] == "bad-request"
    assert "at most 60 s" in problem["detail"]
    assert "'limited'" in problem["detail"]
    assert client.get(f"/jobs/{headers['job-id']}").status_code == 404
    headers["Job-Time-Limit"] = "60"  # and so it was no job's id
    assert client.post("/limited", json={"turns": 0}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "asked", "limit"),
    [
        ("/limited", None, MAX_SECONDS),
        ("/limited", "60", MAX_SECONDS),
        ("/limited", "12.50", 12.5),
        ("/unlimited", "12.5", 12.5),
        ("/unlimited", "86400", 86400.0),
        ("/unlimited", None, None),
    ],
)
def test_the_tool_knows_when_its_time_is_over(client, path, asked, limit):
    job_id = new_id()
    headers = {"job-id": job_id} if asked is None else {"job-id": job_id, "Job-Time-Limit": asked}
    answer = client.post(path, json={"turns": 0}, headers=headers)
    deadline = answer.json()["deadline"]
    if limit is None:
        assert deadline is None
    else:
        started = datetime.fromisoformat(record_of(client, job_id)["started-at"]).timestamp()
        assert deadline == pytest.approx(started + limit, abs=0.002)  # the record has milliseconds


def test_a_limit_of_years_is_as_good_as_none(client):
    headers = {"Job-Time-Limit": "9" * 200}
    assert client.post("/unlimited", json={"turns": 0}, headers=headers).status_code == 200


def test_who_attaches_does_not_change_the_limit(client, gate: Gate):
    job_id = start(client, "/listens", {"Job-Time-Limit": "60"}, gate=gate.port)
    held = gate.wait_for_arrival()
    headers = {"job-id": job_id, "Job-Time-Limit": "0.001", "Prefer": "wait=1"}
    attached = client.post("/listens", json={"gate": gate.port}, headers=headers)
    assert attached.status_code == 204
    held.release()
    assert_story(client, job_id, "succeeded", [wait_for_end(client, job_id)])
