"""docs/wire.md, The job record, and GET /jobs."""

from typing import Any

import httpx
import pytest

from tests.support.gate import Gate
from tests.wire.answers import assert_problem, assert_try_later, bare_id, eventually, new_id
from tests.wire.conftest import Background

TIMES = ["requested-at", "started-at", "finished-at", "expires-at"]


def record_of(client: httpx.Client, job_id: str) -> dict[str, Any]:
    answer = client.get(f"/jobs/{job_id}/status")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    record: dict[str, Any] = answer.json()
    assert record["id"] == f"urn:ivcap:job:{job_id}"
    assert None not in record.values()
    return record


def test_the_record_of_a_job_that_succeeded(client):
    job_id = new_id()
    client.post("/echo", json={"text": "a"}, headers={"job-id": job_id})
    record = record_of(client, job_id)
    times = [record.pop(name) for name in TIMES]
    assert all(times)
    links = record.pop("links")
    assert set(links) == {"self", "result", "events"}
    assert record == {
        "id": f"urn:ivcap:job:{job_id}",
        "tool": "echo",
        "status": "succeeded",
        "request-content-type": "application/json",
        "result-content-type": "application/json",
        "attempt": 1,
    }


def test_the_links_lead_to_the_record_and_to_the_result(client):
    for path, body in (("/echo", {"text": "a"}), ("/", {"text": "a"}), ("/many/things", {"name": "a"})):
        answer = client.post(path, json=body)
        record = record_of(client, bare_id(answer))
        assert client.get(record["links"]["self"]).json() == record
        assert client.get(record["links"]["result"]).content == answer.content
        assert record["links"]["events"].endswith(f"/jobs/{bare_id(answer)}/events")


def test_the_record_of_a_job_that_failed_says_why(client):
    answer = client.post("/raises", json={"kind": "RuntimeError"})
    record = record_of(client, bare_id(answer))
    assert (record["status"], record["error-message"]) == ("failed", "boom")
    assert "result-content-type" not in record
    assert all(name in record for name in TIMES)


def test_the_record_has_the_media_type_of_the_request(client):
    headers = {"Content-Type": "application/vnd.x+json", "job-id": new_id()}
    client.post("/echo", content=b'{"text": "a"}', headers=headers)
    assert record_of(client, headers["job-id"])["request-content-type"] == "application/vnd.x+json"


def test_the_record_of_a_running_job_shows_its_progress(client, gate: Gate):
    job_id = new_id()
    client.post("/stepwise", json={"gate": gate.port}, headers={"job-id": job_id, "Prefer": "respond-async"})
    held = gate.wait_for_arrival()
    eventually(lambda: client.get(f"/jobs/{job_id}/status"), lambda answer: "progress" in answer.json())
    record = record_of(client, job_id)
    assert (record["status"], record["attempt"]) == ("executing", 1)
    assert record["progress"] == {"done": 3, "total": 10, "message": "walking"}
    assert {"started-at", "requested-at"} <= set(record)
    assert not {"finished-at", "expires-at", "result-content-type", "error-message", "queue-position"} & set(record)
    held.release()
    client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=15"})
    assert record_of(client, job_id)["progress"]["done"] == 3


def test_the_record_of_a_waiting_job_says_how_many_are_before_it(client, gate: Gate, background: Background):
    first = background(client.post, "/narrow", json={"gate": gate.port})
    with gate.holding():
        waiting = [new_id() for _ in range(3)]
        for job_id in waiting:
            client.post("/narrow", json={"gate": gate.port}, headers={"job-id": job_id, "Prefer": "respond-async"})
        records = [record_of(client, job_id) for job_id in waiting]
        assert [record["queue-position"] for record in records] == [1, 2, 3]
        for record in records:
            assert record["status"] == "pending"
            assert not {"started-at", "finished-at", "expires-at", "progress", "attempt"} & set(record)
    assert first.result(20).status_code == 200
    for job_id in waiting:
        gate.wait_for_arrival().release()
        assert client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=15"}).status_code == 200
        assert "queue-position" not in record_of(client, job_id)


def test_the_list_is_not_there_unless_it_is_asked_for(client):
    for query in ("", "?limit=10", "?tool=echo", "?limit=bad"):
        assert_problem(client.get("/jobs" + query), 404)


# --- the list: of a service that shows it ---


def page(client: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = client.get("/jobs", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    content: dict[str, Any] = answer.json()
    assert set(content) <= {"items", "next-cursor"}
    return content


def ids(content: dict[str, Any]) -> list[str]:
    return [item["id"].removeprefix("urn:ivcap:job:") for item in content["items"]]


def post_many(client: httpx.Client, count: int, path: str = "/echo") -> list[str]:
    """Make jobs; returns their ids, newest first."""
    return [bare_id(client.post(path, json={"text": str(n)})) for n in range(count)][::-1]


def test_the_list_shows_the_records_newest_first(client_with_options):
    made = post_many(client_with_options, 5)
    content = page(client_with_options, limit=5)
    assert ids(content) == made
    assert content["items"] == [record_of(client_with_options, job_id) for job_id in made]


def test_the_list_is_filtered_by_tool_and_status(client_with_options, gate: Gate):
    client = client_with_options
    wrong = bare_id(client.post("/raises", json={"kind": "ValueError"}))
    right = bare_id(client.post("/struct-tool", json={"text": "a"}))
    running = assert_try_later(client.post("/hasty", json={"gate": gate.port}), "/hasty", body=True, seconds=7)
    held = gate.wait_for_arrival()
    for name, job_id, status in (
        ("raises", wrong, "failed"),
        ("struct_tool", right, "succeeded"),
        ("hasty", running, "executing"),
    ):
        assert ids(page(client, tool=name, limit=1)) == [job_id]
        assert ids(page(client, status=status, limit=1000)).count(job_id) == 1
        assert ids(page(client, tool=name, status=status, limit=1)) == [job_id]
        for other in {"failed", "succeeded", "executing", "pending", "cancelled", "error"} - {status}:
            assert job_id not in ids(page(client, tool=name, status=other))
    held.release()


@pytest.mark.parametrize("status", ["pending", "scheduled", "executing", "succeeded", "failed", "error", "cancelled"])
def test_every_status_of_the_platform_is_a_filter(client_with_options, status):
    assert all(item["status"] == status for item in page(client_with_options, status=status)["items"])


def test_no_job_is_ever_scheduled(client_with_options):
    assert page(client_with_options, status="scheduled") == {"items": []}


def test_a_page_has_100_records_unless_it_is_told_otherwise(client_with_options):
    made = post_many(client_with_options, 105, "/data-tool")
    content = page(client_with_options, tool="data_tool")
    assert len(content["items"]) == 100
    rest = page(client_with_options, tool="data_tool", cursor=content["next-cursor"])
    assert (ids(content) + ids(rest))[:105] == made
    everything = page(client_with_options, tool="data_tool", limit=1000)
    assert "next-cursor" not in everything
    assert ids(everything)[:105] == made


@pytest.mark.parametrize("query", [{}, {"tool": "greet"}, {"tool": "greet", "status": "succeeded"}])
def test_pages_have_no_gaps_and_no_repeats_while_jobs_come(client_with_options, query):
    client = client_with_options
    made = [bare_id(client.post("/greet", json={"name": str(n)})) for n in range(20)][::-1]
    seen: list[str] = []
    content = page(client, limit=3, **query)
    while True:
        seen += ids(content)
        if "next-cursor" not in content:
            break
        client.post("/greet", json={"name": "in between"})
        content = page(client, limit=3, cursor=content["next-cursor"], **query)
    assert seen[:20] == made
    assert len(seen) == len(set(seen))


def test_pages_have_no_gaps_and_no_repeats_while_jobs_go(client_with_options):
    client = client_with_options
    made = post_many(client, 5, "/few")  # of which five are kept
    first = page(client, tool="few", limit=2)
    assert ids(first) == made[:2]
    newer = post_many(client, 2, "/few")
    rest = page(client, tool="few", limit=10, cursor=first["next-cursor"])
    assert ids(rest) == made[2:3]
    assert ids(page(client, tool="few")) == newer + made[:3]
    post_many(client, 5, "/few")  # even the job at which the first page ended is gone
    assert ids(page(client, tool="few", cursor=first["next-cursor"])) == []


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "abc", "", "1.5", "1e2", " 5", "9" * 30])
def test_a_bad_limit_is_refused(client_with_options, limit):
    assert "limit" in assert_problem(client_with_options.get("/jobs", params={"limit": limit}), 400)["detail"]


@pytest.mark.parametrize("status", ["done", "", "Succeeded", "succeeded,nope"])
def test_a_bad_status_is_refused(client_with_options, status):
    assert "status" in assert_problem(client_with_options.get("/jobs", params={"status": status}), 400)["detail"]


@pytest.mark.parametrize("cursor", ["nope", "", "-1", "1.5", "é", "x" * 5000, "\x00", "9" * 40])
def test_a_bad_cursor_is_refused(client_with_options, service_with_options, cursor):
    answer = client_with_options.get("/jobs", params={"cursor": cursor})
    if cursor != "9" * 40:  # a store may take it for a place before all jobs
        assert "cursor" in assert_problem(answer, 400)["detail"]
    assert answer.status_code < 500
    service_with_options.assert_alive()


def test_a_limit_of_1_and_of_1000_is_fine(client_with_options):
    post_many(client_with_options, 2)
    assert len(page(client_with_options, limit=1)["items"]) == 1
    assert len(page(client_with_options, limit=1000)["items"]) > 1
