"""A client of 2025 that lost its connection goes on where it was: by GET with Last-Event-ID."""

import asyncio
import itertools
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from mcp.client.client import Client

from tests.conftest import StartService
from tests.mcp.cut_connections import CutConnections
from tests.mcp.heard import Heard
from tests.mcp.jobs import end_of, job_of, newest_job
from tests.mcp.streams import MODERN, RawClient, SseEvent, progress_of
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.timeout(120)

FILE = Path(__file__).with_name("long_service.py")


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    with ServiceProcess(FILE, ["--job-list"], env={"LONG_HEARTBEAT": "0.2"}) as service:
        yield service.url


@pytest.fixture
def gate() -> Generator[Gate]:
    with Gate() as a_gate:
        yield a_gate


def last_id(events: list[SseEvent]) -> str:
    return next(event.id for event in reversed(events) if event.id is not None)


@pytest.mark.parametrize("request_id", [7, "seven"])
def test_a_stream_that_was_cut_goes_on_to_its_answer(url: str, gate: Gate, request_id: int | str) -> None:
    with RawClient(url) as client:
        with client.stream("held", {"gate": gate.port, "text": "found"}, request_id=request_id) as events:
            first = next(events)
            held = gate.wait_for_arrival()
        assert first.id == f"{job_of(first)}/0"
        assert first.data == ""
        with client.resumed(f"{job_of(first)}/0") as events:
            held.release()
            *_, answer = events
        assert answer.message == {
            "jsonrpc": "2.0",
            "id": request_id,
            "result": {"content": [{"type": "text", "text": "found"}]},
        }
        assert answer.id is not None
        with client.resumed(f"{job_of(first)}/0") as events:  # again, long after its end
            assert [event for event in events if event.data] == [answer]
        assert client.resume_status(answer.id) == 204  # nothing follows


def test_progress_goes_on_with_the_token_of_the_call_and_repeats_nothing(url: str, gate: Gate) -> None:
    say = {"values": [1, 2, 3], "total": 9, "pause_seconds": 0.3, "gate": gate.port}
    with RawClient(url) as client:
        with client.stream("counting", say, request_id=7, token="kept") as events:
            seen = list(itertools.takewhile(lambda event: "at 2" not in (event.data or ""), events))
        with client.resumed(last_id(seen)) as events:
            gate.wait_for_arrival().release()
            told, answer = progress_of(events)
    before = [event.message["params"]["progress"] for event in seen if event.data]
    after = [one["progress"] for one in told]
    assert {2, 3} <= set(after)
    assert all(one < other for one, other in itertools.pairwise([*before, *after]))
    assert {one["progressToken"] for one in told} == {"kept"}
    assert answer["id"] == 7


def test_small_steps_do_not_fall_behind_what_was_heard_before_the_stream_was_cut(url: str) -> None:
    say = {"values": [0.5, 0.501], "pause_seconds": 1.0}
    with RawClient(url) as client:
        with client.stream("counting", say, request_id=7, token="kept") as events:
            seen: list[SseEvent] = []
            for event in events:
                seen.append(event)
                if event.data and event.message["params"]["progress"] > 0.501:  # "still running"
                    break
        end_of(url, job_of(seen[0]))
        with client.resumed(last_id(seen)) as events:
            told, answer = progress_of(events)
    heard = [event.message["params"]["progress"] for event in seen if event.data] + [one["progress"] for one in told]
    assert all(one < other for one, other in itertools.pairwise(heard))
    assert answer["id"] == 7


def test_the_events_of_tools_have_ids_and_heartbeats_have_none(url: str, gate: Gate) -> None:
    say = {"values": [1, 2, 3], "gate": gate.port}
    with RawClient(url) as client, client.stream("counting", say, token=1) as events:
        told = list(itertools.islice((event for event in events if event.data), 5))
        gate.wait_for_arrival().release()
        *_, answer = events
    numbers = [int(event.id.rpartition("/")[2]) for event in [*told, answer] if event.id is not None]
    assert len(numbers) == 4
    assert numbers == sorted(set(numbers))
    assert all((event.id is None) == ("still running" in (event.data or "")) for event in told)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18"])
def test_older_clients_get_no_event_without_data_and_can_resume_all_the_same(
    url: str, gate: Gate, version: str
) -> None:
    say = {"values": [1], "gate": gate.port}
    with RawClient(url, version) as client:
        with client.stream("counting", say, token=1) as events:
            seen = list(itertools.islice(events, 2))
            held = gate.wait_for_arrival()
        assert all(event.data != "" for event in seen)
        with client.resumed(last_id(seen)) as events:
            held.release()
            assert progress_of(events)[1]["result"]["content"][0]["text"] == "said 1"


def test_the_streams_of_2026_have_no_ids_and_are_not_resumed(url: str, gate: Gate) -> None:
    with (
        RawClient(url, MODERN) as client,
        client.stream("counting", {"values": [1], "gate": gate.port}, token=1) as events,
    ):
        seen = list(itertools.islice(events, 3))
        job_id = newest_job(url, "counting")
        assert client.resume_status(f"{job_id}/0") == 405
        with RawClient(url) as older:
            assert older.resume_status(f"{job_id}/0") == 404
        gate.wait_for_arrival().release()
        assert all(event.id is None and event.data != "" for event in [*seen, *events])


def test_who_has_no_such_stream_is_told_so(url: str, gate: Gate) -> None:
    made = httpx.post(f"{url}/held", json={}).headers["job-id"].removeprefix("urn:ivcap:job:")
    with (
        RawClient(url) as client,
        RawClient(url) as other,
        RawClient(url, has_session=False) as without,
        client.stream("held", {"gate": gate.port}) as events,
    ):
        known = next(events).id
        assert known is not None
        job_id = known.rpartition("/")[0]
        for wrong in (
            f"{made}/0",
            "nowhere/0",
            "0",
            "/",
            f"{job_id}/-1",
            f"{job_id}/x",
            job_id,
            f"urn:ivcap:job:{known}",
        ):
            assert client.resume_status(wrong) == 404, wrong
        assert other.resume_status(known) == 404
        assert without.resume_status(known) == 404


def test_the_stream_of_another_principal_is_not_there(service_process: StartService, gate: Gate) -> None:
    service = service_process(FILE, env={"LONG_TOKENS": "1"})
    ann, bob = ({"authorization": f"Bearer {name}-token"} for name in ("ann", "bob"))
    with (
        RawClient(service.url, headers=ann) as client,
        RawClient(service.url, headers=bob, session=client.session) as thief,
    ):
        with client.stream("held", {"gate": gate.port}) as events:
            known = next(events).id
            held = gate.wait_for_arrival()
        assert known is not None
        assert thief.resume_status(known) == 404
        held.release()
        with client.resumed(known) as events:
            assert progress_of(events)[1]["result"]["content"][0]["text"] == "done"


def test_a_call_that_goes_on_by_a_resumed_stream_is_cancelled_by_its_id(url: str, gate: Gate) -> None:
    with RawClient(url) as client:
        with client.stream("held", {"gate": gate.port}, request_id=1) as events:
            known = next(events).id
            gate.wait_for_arrival()
        assert known is not None
        with client.resumed(known) as events:
            next(events)
            client.cancel(1)
            assert not [event for event in events if event.data]
        assert end_of(url, known.rpartition("/")[0]) == "cancelled"


def test_a_resumed_stream_waits_no_longer_than_a_call_and_names_the_job(
    service_process: StartService, gate: Gate
) -> None:
    service = service_process(FILE, env={"LONG_WAIT": "1.5"})
    with RawClient(service.url) as client:
        with client.stream("held", {"gate": gate.port}, request_id=1) as events:
            known = next(events).id
        assert known is not None
        with client.resumed(known) as events:
            text = progress_of(events)[1]["result"]["content"][0]["text"]
        assert text.startswith(f"still running. job_id: {known.rpartition('/')[0]}")


async def test_the_official_client_resumes_by_itself_and_gets_its_answer(
    service_process: StartService, gate: Gate
) -> None:
    service = service_process(FILE, env={"LONG_HEARTBEAT": "0.3"})
    heard = Heard()
    async with CutConnections(service.port) as between, Client(f"{between.url}/mcp", mode="legacy") as client:
        say = {"values": [1, 2], "gate": gate.port}
        call = asyncio.create_task(client.call_tool("counting", say, progress_callback=heard))
        held = await asyncio.to_thread(gate.wait_for_arrival)
        for _ in range(2):
            await heard.something_new()  # so the stream is there
            between.cut()
        held.release()
        result = await call
        assert result.content[0].model_dump()["text"] == "said 2"
        assert b"last-event-id" in bytes(between.received).lower()
    assert all(one < other for one, other in itertools.pairwise(heard.numbers))
