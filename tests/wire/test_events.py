"""docs/wire.md, GET /jobs/{id}/events: a job's events as Server-Sent Events."""

import asyncio
import re
import uuid
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from lambda_kit.version import VERSION
from tests.core.running_tools import LONG_SECONDS, AsyncDoor, a_server, until
from tests.http.test_leaving import Client
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.answers import assert_problem, new_id
from tests.wire.sse import Frame, follow, frames, read_all

FILE = Path(__file__).with_name("events_service.py")
GENERIC = "urn:ivcap:schema:service.event.generic.1"


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    with ServiceProcess(FILE) as process:
        yield process.url


@pytest.fixture(scope="module")
def url_of_small_logs() -> Generator[str]:
    """Ten events are kept of each job, and a stream says every 50 ms that it is still there."""
    with ServiceProcess(FILE, env={"WIRE_EVENT_LOG_SIZE": "10", "WIRE_HEARTBEAT_SECONDS": "0.05"}) as process:
        yield process.url


def start(url: str, path: str = "/talk", **request: object) -> str:
    """Have a job made; returns its id."""
    job_id = new_id()
    answer = httpx.post(url + path, json=request, headers={"job-id": job_id}, timeout=60)
    assert answer.status_code in (200, 204), answer.text
    return job_id


def statuses(events: list[Frame]) -> list[str]:
    return [event.data["status"] for event in events if event.kind == "ivcap.job.status"]


def numbers(events: list[Frame]) -> list[int]:
    return [event.data["options"]["n"] for event in events if event.data.get("name") == "number"]


def test_each_event_is_in_the_platforms_envelope(url):
    job_id = start(url, count=2)
    events = read_all(url, job_id)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    for number, kind, envelope in events:
        assert list(envelope) == ["SeqID", "eventID", "type", "schema", "source", "timestamp", "data"]
        assert envelope["SeqID"] == f"{number:08d}"
        assert str(uuid.UUID(envelope["eventID"])) == envelope["eventID"]
        assert envelope["type"] == kind
        assert envelope["source"] == "talk"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", envelope["timestamp"])
        assert datetime.fromisoformat(envelope["timestamp"]).tzinfo is not None
        assert next(iter(envelope["data"].items())) == ("job-urn", f"urn:ivcap:job:{job_id}")
    assert len({event.envelope["eventID"] for event in events}) == len(events)


def test_the_events_are_the_same_when_they_are_read_again(url):
    job_id = start(url, count=3)
    assert read_all(url, job_id) == read_all(url, job_id)


def test_a_job_tells_of_its_statuses_and_of_what_its_tool_reports_in_order(url):
    events = read_all(url, start(url, count=2))
    assert [event.kind.removeprefix("ivcap.job.") for event in events] == [
        *("status", "status", "event", "event", "event", "status")
    ]
    assert statuses(events) == ["pending", "executing", "succeeded"]
    assert {e.envelope["schema"] for e in events if "status" in e.data} == {"urn:ivcap:schema:job.status.1"}
    assert numbers(events) == [0, 1]
    progress = events[-2]
    assert progress.envelope["schema"] == GENERIC
    assert (progress.data["name"], progress.data["options"]) == (
        "progress",
        {"done": 3, "total": 10, "message": "all but done"},
    )


def test_the_stream_of_a_job_that_fails_ends_with_its_failure(url):
    events = read_all(url, start(url, fail="no such thing"))
    assert statuses(events) == ["pending", "executing", "failed"]
    assert events[-1].data["status"] == "failed"


@pytest.mark.parametrize("text", ["two\nlines", "\r\n\r\ndata: x", "grüße \u2028\u2029\x85", '"\\', "\0", "😀", ""])
def test_whatever_a_tool_says_its_data_is_one_line(url, text):
    (event,) = [event for event in read_all(url, start(url, texts=[text])) if event.data.get("name") == "text"]
    assert event.data["options"]["text"] == text


def test_the_head_of_a_stream_says_what_it_is(url):
    job_id = start(url)
    with follow(url, f"/jobs/{job_id}/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["job-id"] == f"urn:ivcap:job:{job_id}"
        assert answer.headers["ivcap-ai-tool-version"] == VERSION


def test_a_watcher_sees_everything_so_far_then_live_until_the_end(url, gate: Gate):
    job_id = start(url, count=5, gate=gate.port)
    held = gate.wait_for_arrival()
    with follow(url, f"/jobs/{job_id}/events") as answer:
        stream = frames(answer)
        so_far = [next(stream) for _ in range(7)]
        assert statuses(so_far) == ["pending", "executing"]
        held.release()
        live = list(stream)
    assert statuses(live) == ["succeeded"]
    assert [event.number for event in so_far + live] == list(range(1, 10))


def test_a_queued_job_can_be_watched(url, gate: Gate):
    jobs = [new_id(), new_id()]
    for job_id in jobs:
        headers = {"job-id": job_id, "Prefer": "respond-async"}
        httpx.post(f"{url}/narrow", json={"gate": gate.port}, headers=headers, timeout=60)
    gate.wait_for_arrival()
    with follow(url, f"/jobs/{jobs[1]}/events") as answer:
        stream = frames(answer)
        assert next(stream).data["status"] == "pending"
        gate.release_all()
        gate.wait_for_arrival().release()
        assert statuses(list(stream)) == ["executing", "succeeded"]


def test_many_watchers_of_one_job_see_the_same(url, gate: Gate):
    job_id = start(url, count=50, gate=gate.port)
    held = gate.wait_for_arrival()
    with ThreadPoolExecutor(20) as pool:
        watching = [pool.submit(read_all, url, job_id) for _ in range(20)]
        held.release()
        seen = [watcher.result(30) for watcher in watching]
    assert len(seen[0]) == 54
    assert all(events == seen[0] for events in seen)


def test_one_who_leaves_does_not_end_the_stream_of_another(url, gate: Gate):
    job_id = start(url, gate=gate.port)
    held = gate.wait_for_arrival()
    with follow(url, f"/jobs/{job_id}/events") as staying:
        with follow(url, f"/jobs/{job_id}/events") as leaving:
            assert next(frames(leaving)).number == 1
        held.release()
        assert statuses(list(frames(staying))) == ["pending", "executing", "succeeded"]


@pytest.mark.parametrize("by", ["Last-Event-ID", "after"])
def test_a_watcher_resumes_behind_the_last_event_that_it_has_seen(url, by):
    job_id = start(url, count=10)
    everything = read_all(url, job_id)
    for last in (0, 1, 7, len(everything) - 1):
        headers, query = ({by: str(last)}, "") if by != "after" else ({}, f"?after={last}")
        with follow(url, f"/jobs/{job_id}/events{query}", headers) as answer:
            assert list(frames(answer)) == everything[last:]


@pytest.mark.parametrize("by", ["Last-Event-ID", "after"])
@pytest.mark.parametrize("beyond", [0, 5])
def test_who_has_seen_the_last_event_of_a_job_is_told_not_to_come_again(url, by, beyond):
    job_id = start(url, count=10)
    last = len(read_all(url, job_id)) + beyond
    headers, query = ({by: str(last)}, "") if by != "after" else ({}, f"?after={last}")
    answer = httpx.get(f"{url}/jobs/{job_id}/events{query}", headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["job-id"] == f"urn:ivcap:job:{job_id}"


def test_characters_that_some_clients_take_for_the_end_of_a_line_are_escaped(url):
    text = "a\u2028b\u2029c\u0085d\u201ce"
    job_id = start(url, texts=[text])
    read = httpx.get(f"{url}/jobs/{job_id}/events").text
    assert not set("\u2028\u2029\u0085") & set(read)
    assert [event.data["options"]["text"] for event in read_all(url, job_id) if event.data.get("name") == "text"] == [
        text
    ]


def test_last_event_id_wins_over_after_and_an_empty_one_counts_for_nothing(url):
    job_id = start(url, count=10)
    for last, first in (("5", 6), ("", 3)):  # a browser reconnects to the same URL, with the header
        with follow(url, f"/jobs/{job_id}/events?after=2", {"Last-Event-ID": last}) as answer:
            assert next(frames(answer)).number == first


@pytest.mark.parametrize("path", ["/talk", "/chatter"])
def test_a_watcher_who_leaves_and_resumes_20_times_sees_each_of_1000_events_once(url, path):
    job_id = start(url, path, count=1000)
    seen: list[Frame] = []
    for _ in range(20):
        headers = {"Last-Event-ID": str(seen[-1].number)} if seen else {}
        with follow(url, f"/jobs/{job_id}/events", headers) as answer:
            stream = frames(answer)
            seen += [next(stream) for _ in range(45)]
    seen += read_all(url, job_id, after=seen[-1].number)
    assert numbers(seen) == list(range(1000))
    assert [event.number for event in seen] == list(range(1, len(seen) + 1))
    assert statuses(seen) == ["pending", "executing", "succeeded"]


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "1e3", " ", "9" * 16, "٣", "1,2"])
def test_a_bad_place_to_resume_at_is_refused(url, value):
    job_id = start(url)
    place = f"{url}/jobs/{job_id}/events"
    problem = assert_problem(httpx.get(place, params={"after": value}), 400)
    assert "after" in problem["detail"]
    if value.strip():
        problem = assert_problem(httpx.get(place, headers={"Last-Event-ID": value.encode()}), 400)
        assert "Last-Event-ID" in problem["detail"]
    assert_problem(httpx.get(place, params={"after": value}, headers={"Last-Event-ID": "1"}), 400)


def test_an_unknown_job_has_no_events(url):
    for form in ("{}", "urn:ivcap:job:{}"):
        assert_problem(httpx.get(f"{url}/jobs/{form.format(new_id())}/events"), 404)
    assert_problem(httpx.get(f"{url}/jobs/{'x' * 129}/events"), 400)


def test_a_job_can_be_named_by_its_urn_and_by_the_link_of_its_record(url):
    job_id = start(url, count=1)
    everything = read_all(url, job_id)
    assert read_all(url, f"urn:ivcap:job:{job_id}") == everything
    link = httpx.get(f"{url}/jobs/{job_id}/status").json()["links"]["events"]
    with follow(url, link) as answer:
        assert list(frames(answer)) == everything


def test_a_gap_says_how_many_events_are_gone(url_of_small_logs):
    job_id = start(url_of_small_logs, count=100)
    live = read_all(url_of_small_logs, job_id)  # to the end: from here on nothing is dropped
    gap, *kept = read_all(url_of_small_logs, job_id)
    assert live[-1].data["status"] == "succeeded"
    assert (gap.kind, gap.number, gap.envelope["SeqID"]) == ("ivcap.job.gap", 94, "00000094")
    assert gap.envelope["schema"] == "urn:ivcap:schema:job.gap.1"
    assert gap.data == {"job-urn": f"urn:ivcap:job:{job_id}", "dropped": 94}
    assert [event.number for event in kept] == list(range(95, 105))
    assert numbers(kept) == list(range(92, 100))


def test_who_resumes_behind_a_gap_is_not_told_of_it_again(url_of_small_logs):
    job_id = start(url_of_small_logs, count=100)
    read_all(url_of_small_logs, job_id)
    gap, *kept = read_all(url_of_small_logs, job_id)
    assert read_all(url_of_small_logs, job_id, after=gap.number) == kept
    partial = read_all(url_of_small_logs, job_id, after=90)
    assert partial[0].data["dropped"] == 4
    assert partial[1:] == kept
    again = read_all(url_of_small_logs, job_id)[0]
    assert again == gap
    assert again.envelope["eventID"] not in {event.envelope["eventID"] for event in partial}


def test_a_quiet_stream_says_now_and_then_that_it_is_still_there(url_of_small_logs, gate: Gate):
    job_id = start(url_of_small_logs, gate=gate.port)
    held = gate.wait_for_arrival()
    with follow(url_of_small_logs, f"/jobs/{job_id}/events") as answer:
        stream = frames(answer, comments=True)
        begin = [next(stream) for _ in range(5)]
        assert [event.kind for event in begin] == ["ivcap.job.status"] * 2 + [""] * 3
        held.release()
        assert statuses([event for event in stream if event.kind]) == ["succeeded"]


def test_a_service_that_stops_ends_its_streams_in_order(gate: Gate):
    with ServiceProcess(FILE, env={"WIRE_GRACE_SECONDS": "0.5"}) as process:
        job_id = start(process.url, "/stubborn", gate=gate.port)
        gate.wait_for_arrival()
        with follow(process.url, f"/jobs/{job_id}/events") as answer, ThreadPoolExecutor(1) as pool:
            stream = frames(answer)
            assert statuses([next(stream), next(stream)]) == ["pending", "executing"]
            stopping = pool.submit(process.stop)
            rest = list(stream)
            gate.release_all()
            assert stopping.result(30) == 0
        assert statuses(rest) in ([], ["cancelled"])
        assert "Exception in ASGI application" not in process.log


async def test_watchers_who_leave_leave_nothing_behind_and_the_job_goes_on() -> None:
    tool = AsyncDoor()
    async with a_server(tool) as server, asyncio.timeout(LONG_SECONDS):
        await Client(server).ask("POST", "/async-door", prefer="respond-async", job_id="job")
        await until(lambda: tool.begun == 1)
        before = asyncio.all_tasks()
        watchers = [Client(server) for _ in range(20)]
        watching = [asyncio.create_task(watcher.ask("GET", "/jobs/job/events")) for watcher in watchers]
        await until(lambda: all(len(watcher.sent) == 2 for watcher in watchers))
        assert len(server._engine.followers._by_job["job"]) == 20
        for watcher in watchers:
            watcher.left.set()
        await asyncio.gather(*watching)
        await until(lambda: asyncio.all_tasks() <= before)
        assert server._engine.followers._by_job == {}
        assert tool.cleaned == 0
        tool.door.set()
        await until(lambda: server._engine.table._jobs == {})
