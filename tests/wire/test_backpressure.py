"""docs/wire.md, 429: there is a bound on what waits, and what is over it leaves nothing behind."""

import asyncio
from collections import Counter
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.clients.connection import Connection, Reply, post_bytes
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, eventually, new_id
from tests.wire.busy_service import MAX_CONCURRENCY, MAX_QUEUE
from tests.wire.jobs import assert_story, event_statuses, record_of, start, wait_for_end

FILE = Path(__file__).with_name("busy_service.py")

SUBMISSIONS = 10_000
CONNECTIONS = 16
MAX_GROWTH_MIB = 100.0

LATER = "Prefer: respond-async"


@pytest.fixture(scope="module")
def client() -> Generator[httpx.Client]:
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=60) as session:
        yield session


@pytest.fixture
def limited() -> Generator[httpx.Client]:
    """A service that has limits of its own: two jobs run, three wait."""
    env = {"WIRE_MAX_CONCURRENCY": "2", "WIRE_MAX_QUEUE": "3"}
    with ServiceProcess(FILE, env=env) as process, httpx.Client(base_url=process.url, timeout=60) as session:
        yield session


def refused(client: httpx.Client, path: str, gate: Gate, job_id: str | None = None) -> httpx.Response:
    """A request for which there must be no room; returns the answer."""
    headers = {"Prefer": "respond-async"} if job_id is None else {"Prefer": "respond-async", "job-id": job_id}
    answer = client.post(path, json={"gate": gate.port}, headers=headers)
    problem = assert_problem(answer, 429)
    assert problem["type"] == "queue-full"
    assert "job-id" not in answer.headers
    assert int(answer.headers["retry-after"]) >= 1
    return answer


class Burst:
    """Sends so many requests over a few connections, and opens the tool's door when the first one is refused."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = iter(range(SUBMISSIONS))
        self.replies: list[tuple[str, int, Reply]] = []

    async def run(self) -> dict[str, Reply]:
        """Send them all, then wait for each result that there can be; returns these by job id."""
        async with asyncio.timeout(60):
            await asyncio.gather(*(self._submit() for _ in range(CONNECTIONS)))
            waiting = iter([job_id for job_id, _, _ in self.replies])
            results: dict[str, Reply] = {}
            await asyncio.gather(*(self._fetch(waiting, results) for _ in range(CONNECTIONS)))
        return results

    async def _submit(self) -> None:
        connection = await Connection.open(self._port)
        try:
            for n in self._numbers:
                job_id = f"burst-{n}"
                reply = await connection.request(post_bytes("/flood", f'{{"n": {n}}}', LATER, f"job-id: {job_id}"))
                self.replies.append((job_id, n, reply))
                if reply.status == 429:
                    await connection.request(post_bytes("/open", "{}"))
        finally:
            connection.close()

    async def _fetch(self, job_ids: Iterator[str], results: dict[str, Reply]) -> None:
        connection = await Connection.open(self._port)
        try:
            for job_id in job_ids:
                head = f"GET /jobs/{job_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nPrefer: wait=20\r\n\r\n"
                results[job_id] = await connection.request(head.encode())
        finally:
            connection.close()


def test_of_ten_thousand_submissions_each_is_answered_and_none_is_lost():
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=60) as client:
        client.post("/counts", json={})
        before = process.memory_mib()
        burst = Burst(process.port)
        results = asyncio.run(burst.run())
        growth = process.memory_mib() - before

        statuses = Counter(reply.status for _, _, reply in burst.replies)
        assert statuses.total() == SUBMISSIONS
        assert set(statuses) <= {200, 204, 429}
        assert min(statuses[204] + statuses[200], statuses[429]) > 0, f"not what was to be tried: {statuses}"
        for job_id, n, reply in burst.replies:
            result = results[job_id]
            if reply.status == 429:
                assert int(reply.headers[b"retry-after"]) >= 1
                assert b'"type":"queue-full"' in reply.body
                assert result.status == 404, job_id
            else:
                assert (result.status, result.body) == (200, str(n).encode()), job_id
        counts: dict[str, int] = client.post("/counts", json={}).json()
        assert counts["runs"] == statuses[204] + statuses[200]
        assert counts["most"] == MAX_CONCURRENCY
        assert counts["now"] == 0
        assert growth < MAX_GROWTH_MIB


def test_as_many_wait_as_there_is_room_for_and_no_more(client, gate: Gate):
    before: dict[str, int] = client.post("/counts", json={}).json()
    jobs = [start(client, "/flood", n=n) for n in range(MAX_CONCURRENCY + MAX_QUEUE)]
    assert_problem(client.post("/flood", json={"n": -1}), 429)
    executing = [record_of(client, job_id)["status"] for job_id in jobs].count("executing")
    assert executing == MAX_CONCURRENCY
    client.post("/open", json={})
    assert [wait_for_end(client, job_id).json() for job_id in jobs] == list(range(len(jobs)))
    counts: dict[str, int] = client.post("/counts", json={}).json()
    assert counts["runs"] - before.get("runs", 0) == len(jobs)
    assert counts["most"] == MAX_CONCURRENCY


def test_a_refused_request_leaves_nothing_behind(client, gate: Gate):
    jobs = [start(client, "/one-and-two", gate=gate.port) for _ in range(3)]
    held = gate.wait_for_arrival()
    job_id = new_id()
    for _ in range(3):
        refused(client, "/one-and-two", gate, job_id)
    for place in (f"/jobs/{job_id}", f"/jobs/{job_id}/status", f"/jobs/{job_id}/events", f"/one-and-two/jobs/{job_id}"):
        assert client.get(place).status_code == 404
    assert client.delete(f"/jobs/{job_id}").status_code == 404
    held.release()
    gate.wait_for_arrival()
    # another body, even: that it was refused is not remembered
    answer = client.post("/one-and-two", content=f'{{"gate":  {gate.port}}}', headers={"job-id": job_id})
    assert answer.status_code == 204
    gate.release_all()
    for _ in range(2):
        gate.wait_for_arrival().release()
    for accepted in (*jobs, job_id):
        assert_story(client, accepted, "succeeded", [wait_for_end(client, accepted)])


@pytest.mark.parametrize("header", ["job-id", "Idempotency-Key"])
def test_a_request_that_is_known_is_answered_while_the_queue_is_full(client, gate: Gate, header):
    name = new_id()
    body = {"gate": gate.port}
    first = client.post("/one-and-none", json=body, headers={header: name})
    held = gate.wait_for_arrival()
    refused(client, "/one-and-none", gate)
    again = client.post("/one-and-none", json=body, headers={header: name})
    assert (again.status_code, again.headers["job-id"]) == (204, first.headers["job-id"])
    conflict = client.post("/one-and-none", json={"gate": 1}, headers={header: name})
    assert conflict.status_code == 409
    refused(client, "/one-and-none", gate)
    held.release()
    result = client.post("/one-and-none", json=body, headers={header: name, "Prefer": "wait=15"})
    assert (result.status_code, result.text) == (200, "done")
    assert gate.arrivals_without_waiting() == 0


def test_a_place_is_free_when_a_job_has_ended_however_it_did(client, gate: Gate):
    ended = start(client, "/one-and-none", gate=gate.port)
    held = gate.wait_for_arrival()
    refused(client, "/one-and-none", gate)
    held.release()
    assert wait_for_end(client, ended).status_code == 200
    cancelled = start(client, "/one-and-none", gate=gate.port)
    gate.wait_for_arrival()
    refused(client, "/one-and-none", gate)
    eventually(lambda: client.delete(f"/jobs/{cancelled}"), lambda answer: answer.status_code == 200)
    start(client, "/one-and-none", gate=gate.port)
    gate.wait_for_arrival().release()


def test_a_waiting_job_that_is_cancelled_makes_room(client, gate: Gate):
    jobs = [start(client, "/one-and-two", gate=gate.port) for _ in range(3)]
    held = gate.wait_for_arrival()
    assert [record_of(client, job_id).get("queue-position") for job_id in jobs] == [None, 1, 2]
    refused(client, "/one-and-two", gate)
    assert client.delete(f"/jobs/{jobs[1]}").status_code == 200
    assert record_of(client, jobs[2])["queue-position"] == 1
    jobs.append(start(client, "/one-and-two", gate=gate.port))
    assert record_of(client, jobs[3])["queue-position"] == 2
    held.release()
    for _ in range(2):
        gate.wait_for_arrival().release()
    for job_id in (jobs[0], jobs[2], jobs[3]):
        assert wait_for_end(client, job_id).status_code == 200
        assert "queue-position" not in record_of(client, job_id)
    assert event_statuses(client, jobs[1]) == ["pending", "cancelled"]


def test_a_full_tool_is_no_hindrance_to_others(client, gate: Gate):
    jobs = [start(client, path, gate=gate.port) for path in ("/one-and-none", "/free", "/free", "/free-too")]
    for _ in jobs:
        gate.wait_for_arrival()
    refused(client, "/one-and-none", gate)
    jobs.append(start(client, "/free", gate=gate.port))
    gate.wait_for_arrival()
    gate.release_all()
    assert {wait_for_end(client, job_id).status_code for job_id in jobs} == {200}


def test_the_server_has_limits_for_all_of_its_tools_together(limited, gate: Gate):
    jobs = [start(limited, path, gate=gate.port) for path in ("/free", "/free", "/free-too", "/one-and-two", "/free")]
    for _ in range(2):
        gate.wait_for_arrival()
    assert [record_of(limited, job_id)["status"] for job_id in jobs] == ["executing"] * 2 + ["pending"] * 3
    for path in ("/free", "/free-too", "/one-and-two"):
        assert "the service" in refused(limited, path, gate).json()["detail"]
    attached = limited.post("/free", json={"gate": gate.port}, headers={"job-id": jobs[0]})
    assert attached.status_code == 204
    assert gate.arrivals_without_waiting() == 0
    gate.release_all()
    for _ in range(3):
        gate.wait_for_arrival().release()
    for job_id in jobs:
        assert_story(limited, job_id, "succeeded", [wait_for_end(limited, job_id)])


def test_retry_after_is_estimated_from_how_long_the_tool_takes(client, gate: Gate):
    def has_run(answer: httpx.Response) -> bool:
        record: dict[str, Any] = answer.json()
        started = datetime.fromisoformat(record["started-at"])
        return (datetime.now(UTC) - started).total_seconds() > 2.6

    slow = start(client, "/slow", gate=gate.port)
    held = gate.wait_for_arrival()
    eventually(lambda: client.get(f"/jobs/{slow}/status"), has_run)
    held.release()
    assert wait_for_end(client, slow).status_code == 200
    jobs = [start(client, "/slow", gate=gate.port) for _ in range(3)]
    just_begun = gate.wait_for_arrival()
    seconds = int(refused(client, "/slow", gate).headers["retry-after"])
    assert 2 <= seconds <= 600
    just_begun.release()
    for _ in range(2):
        gate.wait_for_arrival().release()
    assert {wait_for_end(client, job_id).status_code for job_id in jobs} == {200}
