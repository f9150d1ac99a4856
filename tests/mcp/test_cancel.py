"""What a client cancels ends, and nothing else."""

import asyncio
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from mcp.client.client import Client

from tests.conftest import StartService
from tests.mcp.heard import Heard
from tests.mcp.jobs import end_of, job_of, newest_job, status_of
from tests.mcp.streams import LATEST, MODERN, RawClient, progress_of
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


@pytest.mark.parametrize("request_id", [1, 0, -5, 2**53, "1", "", "ü"], ids=ascii)
@pytest.mark.parametrize("token", [None, "t"])
def test_a_cancelled_request_ends_without_an_answer_and_so_does_its_job(
    url: str, gate: Gate, request_id: int | str, token: str | None
) -> None:
    with (
        RawClient(url) as client,
        client.stream("held", {"gate": gate.port}, request_id=request_id, token=token) as events,
    ):
        job_id = job_of(next(events))
        gate.wait_for_arrival()
        client.cancel(request_id)
        assert not [event for event in events if event.data and "result" in event.message]
        assert end_of(url, job_id) == "cancelled"
        assert client.call("held", {"text": "next"})["content"][0]["text"] == "next"


def test_a_request_that_is_cancelled_at_once_ends_before_it_is_a_stream(url: str, gate: Gate) -> None:
    with RawClient(url) as client, RawClient(url, session=client.session) as canceller:
        with client.stream("held", {"gate": gate.port}, request_id=1, token=1) as events:
            canceller.cancel(1)
            assert not [event for event in events if event.data and "result" in event.message]
        assert end_of(url, newest_job(url, "held")) == "cancelled"


def test_a_job_that_waits_for_its_turn_is_cancelled_too(url: str, gate: Gate) -> None:
    with (
        RawClient(url) as client,
        client.stream("one_by_one", {"gate": gate.port}, request_id=1, token=1) as first,
        client.stream("one_by_one", {"gate": gate.port}, request_id=2, token=2) as second,
    ):
        job_id = job_of(next(second))
        gate.wait_for_arrival()
        client.cancel(2)
        assert end_of(url, job_id) == "cancelled"
        gate.release_all()
        assert progress_of(first)[1]["result"]["content"][0]["text"] == "done"


def test_what_names_another_request_cancels_nothing(url: str, gate: Gate) -> None:
    with (
        RawClient(url) as client,
        RawClient(url) as other,
        RawClient(url, has_session=False) as without,
        client.stream("held", {"gate": gate.port}, request_id=1, token=1) as events,
    ):
        gate.wait_for_arrival()
        for wrong in ("1", 2, "x", 10**30):
            client.cancel(wrong)
        other.cancel(1)
        without.cancel(1)
        for params in ({}, {"requestId": None}, {"requestId": [1]}, {"requestId": True}, {"requestId": 1.5}):
            client.notify("notifications/cancelled", params)
        assert status_of(url, job_of(next(events))) == "executing"
        gate.release_all()
        assert progress_of(events)[1]["result"]["content"][0]["text"] == "done"
        client.cancel(1)  # it has ended
        assert client.call("held", {}, request_id=1)["content"][0]["text"] == "done"


def test_of_two_requests_with_one_id_the_newer_one_is_cancelled(url: str, gate: Gate) -> None:
    with (
        RawClient(url) as client,
        client.stream("held", {"gate": gate.port}, request_id=1, token=1) as older,
        client.stream("held", {"gate": gate.port}, request_id=1, token=2) as newer,
    ):
        jobs = [job_of(next(older)), job_of(next(newer))]
        gate.wait_for_arrival()
        gate.wait_for_arrival()
        client.cancel(1)
        assert end_of(url, jobs[1]) == "cancelled"
        assert status_of(url, jobs[0]) == "executing"
        client.cancel(1)
        assert end_of(url, jobs[0]) == "cancelled"


def test_nobody_cancels_the_request_of_another_principal(service_process: StartService, gate: Gate) -> None:
    service = service_process(FILE, env={"LONG_TOKENS": "1"})
    ann, bob = ({"authorization": f"Bearer {name}-token"} for name in ("ann", "bob"))
    with (
        RawClient(service.url, headers=ann) as client,
        RawClient(service.url, headers=bob, session=client.session) as thief,
        client.stream("held", {"gate": gate.port}, request_id=1, token=1) as events,
    ):
        gate.wait_for_arrival()
        thief.cancel(1)
        gate.release_all()
        assert progress_of(events)[1]["result"]["content"][0]["text"] == "done"


@pytest.mark.parametrize(
    ("version", "end"), [(LATEST, "succeeded"), ("2025-06-18", "succeeded"), (MODERN, "cancelled")]
)
@pytest.mark.parametrize("token", [None, "t"])
def test_to_go_away_is_to_cancel_in_2026_and_not_before(
    url: str, gate: Gate, version: str, end: str, token: str | None
) -> None:
    with RawClient(url, version) as client:
        with client.stream("held", {"gate": gate.port}, token=token) as events:
            next(events)
            held = gate.wait_for_arrival()
        job_id = newest_job(url, "held")
        if end == "succeeded":
            with client.stream("held", {}) as later:  # the server has seen that the other stream is gone, if it looks
                list(later)
            held.release()
        assert end_of(url, job_id) == end


@pytest.mark.parametrize("version", [LATEST, MODERN])
def test_a_poll_that_is_dropped_or_cancelled_cancels_nothing(url: str, gate: Gate, version: str) -> None:
    with RawClient(url, version) as client, client.stream("held", {"gate": gate.port}, token=1) as events:
        next(events)
        held = gate.wait_for_arrival()
        arguments = {"job_id": newest_job(url, "held")}
        with client.stream("job_result", arguments, request_id="poll", token=2) as poll:
            next(poll)
        if version == LATEST:
            with client.stream("job_result", arguments, request_id="poll", token=2) as poll:
                next(poll)
                client.cancel("poll")
                assert not [event for event in poll if event.data and "result" in event.message]
        assert status_of(url, arguments["job_id"]) == "executing"
        held.release()
        assert progress_of(events)[1]["result"]["content"][0]["text"] == "done"


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_a_call_that_the_official_client_gives_up_is_cancelled(url: str, gate: Gate, mode: str) -> None:
    async with Client(f"{url}/mcp", mode=mode) as client:
        heard = Heard()
        call = asyncio.create_task(client.call_tool("held", {"gate": gate.port}, progress_callback=heard))
        await asyncio.to_thread(gate.wait_for_arrival)
        await heard.something_new()
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(end_of, url, newest_job(url, "held")) == "cancelled"
        assert not (await client.call_tool("held", {})).is_error


def test_a_client_that_goes_away_while_its_result_is_sent_harms_nobody(url: str) -> None:
    for version in (LATEST, MODERN):
        with RawClient(url, version) as client:
            for _ in range(20):
                with client.stream("counting", {"values": [1, 2]}, token=1) as events:
                    next(events)
            assert client.call("held", {})["content"][0]["text"] == "done"


def test_a_cancel_tells_nothing_to_the_log(service_process: StartService, gate: Gate) -> None:
    service = service_process(FILE)
    with RawClient(service.url) as client:
        with client.stream("held", {"gate": gate.port}, request_id="secret-id", token="secret-token") as events:
            job_id = job_of(next(events))
            gate.wait_for_arrival()
            client.cancel("secret-id")
            list(events)
        client.cancel("secret-unknown")
        client.notify("notifications/cancelled", {"requestId": {"secret": 1}})
        notice = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%b}}' % (b"9" * 5000)
        fields = {"content-type": "application/json", "mcp-session-id": str(client.session)}
        assert httpx.post(f"{service.url}/mcp", content=notice, headers=fields).status_code == 202
        assert end_of(service.url, job_id) == "cancelled"
    assert "secret" not in service.log
    assert "Traceback" not in service.log
