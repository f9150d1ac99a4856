"""Calls that take longer than their clients wait: none is lost."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client.client import Client
from mcp_types import CallToolResult

from tests.conftest import StartService
from tests.mcp.heard import Heard
from tests.mcp.streams import LATEST, MODERN, RawClient, progress_of
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.timeout(120)

FILE = Path(__file__).with_name("long_service.py")
MODES = ("legacy", MODERN)


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    """A service whose calls wait for a second, and so do polls."""
    with ServiceProcess(FILE, env={"LONG_WAIT": "1", "LONG_HEARTBEAT": "0.2"}) as service:
        yield service.url


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert block.type == "text"
    return block.text


def job_in(text: str) -> str:
    return text.partition("job_id: ")[2].split()[0]


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_takes_too_long_names_its_job_and_job_result_gets_the_result(url: str, mode: str) -> None:
    with Gate() as gate:
        async with Client(f"{url}/mcp", mode=mode) as client:
            answer = await client.call_tool("held", {"gate": gate.port, "text": "found"})
            text = text_of(answer)
            assert not answer.is_error
            assert text.startswith("still running")
            arguments = {"job_id": job_in(text)}
            assert f'job_result with {{"job_id": "{job_in(text)}"}}' in text
            again = await client.call_tool("job_result", {**arguments, "wait_seconds": 0.2})
            assert not again.is_error
            assert job_in(text_of(again)) == job_in(text)
            gate.release_all()
            result = await client.call_tool("job_result", arguments)
            direct = await client.call_tool("held", {"text": "found"})
    assert result.model_dump() == direct.model_dump()


@pytest.mark.parametrize("mode", MODES)
async def test_the_official_client_takes_the_answer_of_a_tool_with_an_output_schema(url: str, mode: str) -> None:
    with Gate() as gate:
        async with Client(f"{url}/mcp", mode=mode) as client:
            answer = await client.call_tool("held_typed", {"gate": gate.port, "text": "found"})
            assert "This is no failure" in text_of(answer)
            gate.release_all()
            result = await client.call_tool("job_result", {"job_id": job_in(text_of(answer))})
    assert not result.is_error
    assert result.structured_content == {"text": "found"}


@pytest.mark.parametrize("mode", MODES)
async def test_with_no_wait_each_call_is_a_job_at_once_and_job_result_still_waits(
    service_process: StartService, mode: str
) -> None:
    service = service_process(FILE, env={"LONG_WAIT": "0"})
    async with Client(f"{service.url}/mcp", mode=mode) as client:
        answer = await client.call_tool("held", {"seconds": 0.3, "text": "found"})
        result = await client.call_tool("job_result", {"job_id": job_in(text_of(answer))})
    assert text_of(result) == "found"


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_gives_up_after_a_while_is_answered_before_that(
    service_process: StartService, mode: str
) -> None:
    service = service_process(FILE, env={"LONG_WAIT": "2"})
    async with Client(f"{service.url}/mcp", mode=mode, read_timeout_seconds=6.0) as client:
        answer = await client.call_tool("held", {"seconds": 9.0, "text": "found"})
        polls = 0
        while text_of(answer).startswith("still running"):
            answer = await client.call_tool("job_result", {"job_id": job_in(text_of(answer))})
            polls += 1
    assert text_of(answer) == "found"
    assert polls > 1


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", MODES)
async def test_a_tool_that_is_silent_for_100_s_is_seen_through_a_client_with_a_clock_of_60_s(
    service_process: StartService, mode: str
) -> None:
    service = service_process(FILE, env={"LONG_WAIT": "45"})
    heard = Heard()
    async with Client(f"{service.url}/mcp", mode=mode, read_timeout_seconds=60.0) as client:
        answer = await client.call_tool("held", {"seconds": 100.0, "text": "found"}, progress_callback=heard)
        while text_of(answer).startswith("still running"):
            answer = await client.call_tool("job_result", {"job_id": job_in(text_of(answer))}, progress_callback=heard)
    assert text_of(answer) == "found"
    assert len(heard.numbers) >= 6


@pytest.mark.parametrize("name", ["{id}", "urn:ivcap:job:{id}"])
def test_job_result_finds_a_job_that_was_made_over_http_by_its_id_or_urn(url: str, name: str) -> None:
    answer = httpx.post(f"{url}/held", json={"text": "by HTTP"})
    job_id = answer.headers["job-id"].removeprefix("urn:ivcap:job:")
    with RawClient(url) as client:
        result = client.call("job_result", {"job_id": name.format(id=job_id)})
    assert result["content"] == [{"type": "text", "text": "by HTTP"}]


@pytest.mark.parametrize("tool", ["job_result", "job_cancel"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"job_id": "nowhere"}, "nowhere"),
        ({"job_id": "not an id"}, "job_id"),
        ({"job_id": 3}, "job_id"),
        ({}, "job_id"),
    ],
)
def test_a_job_that_is_not_there_is_said_so_in_words(url: str, tool: str, arguments: dict[str, Any], said: str) -> None:
    for version in (LATEST, MODERN):
        with RawClient(url, version) as client:
            result = client.call(tool, arguments)
        assert result["isError"]
        assert said in result["content"][0]["text"]


def test_the_jobs_of_tools_that_are_not_for_agents_are_not_there(url: str) -> None:
    job_id = httpx.post(f"{url}/hidden", json={}).headers["job-id"]
    with RawClient(url) as client:
        for tool in ("job_result", "job_cancel"):
            assert "can't be found" in client.call(tool, {"job_id": job_id})["content"][0]["text"]


def test_a_wait_below_zero_is_refused_and_a_long_one_is_cut(url: str) -> None:
    with Gate() as gate, RawClient(url) as client:
        job_id = job_in(client.call("held", {"gate": gate.port})["content"][0]["text"])
        assert client.call("job_result", {"job_id": job_id, "wait_seconds": -1})["isError"]
        waited = client.call("job_result", {"job_id": job_id, "wait_seconds": 1e6})
    assert waited["content"][0]["text"].startswith("still running")


@pytest.mark.parametrize("version", [LATEST, MODERN])
def test_job_cancel_ends_a_job_and_job_result_says_so(url: str, version: str) -> None:
    with Gate() as gate, RawClient(url, version) as client:
        job_id = job_in(client.call("held", {"gate": gate.port})["content"][0]["text"])
        gate.wait_for_arrival()
        cancelled = client.call("job_cancel", {"job_id": job_id})
        assert "cancelled" in cancelled["content"][0]["text"]
        assert not cancelled.get("isError")
        result = client.call("job_result", {"job_id": job_id})
        assert result["isError"]
        assert "cancelled" in result["content"][0]["text"]
        again = client.call("job_cancel", {"job_id": job_id})
    assert "cancelled" in again["content"][0]["text"]


def test_a_job_that_has_ended_is_not_cancelled(url: str) -> None:
    with RawClient(url) as client:
        job_id = httpx.post(f"{url}/held", json={}).headers["job-id"]
        answer = client.call("job_cancel", {"job_id": job_id})
        assert "ended already" in answer["content"][0]["text"]
        assert client.call("job_result", {"job_id": job_id})["content"][0]["text"] == "done"


def test_anothers_job_can_be_neither_read_nor_cancelled(service_process: StartService) -> None:
    service = service_process(FILE, env={"LONG_WAIT": "0.3", "LONG_TOKENS": "1"})
    with (
        Gate() as gate,
        RawClient(service.url, headers={"authorization": "Bearer ann-token"}) as ann,
        RawClient(service.url, headers={"authorization": "Bearer bob-token"}) as bob,
    ):
        job_id = job_in(ann.call("held", {"gate": gate.port})["content"][0]["text"])
        gate.wait_for_arrival()
        for tool in ("job_result", "job_cancel"):
            refused = bob.call(tool, {"job_id": job_id})
            assert refused["isError"]
            assert "can't be found" in refused["content"][0]["text"]
        gate.release_all()
        assert ann.call("job_result", {"job_id": job_id})["content"][0]["text"] == "done"


def test_job_result_tells_of_progress_with_the_token_of_the_poll(url: str) -> None:
    with Gate() as gate, RawClient(url) as client:
        job_id = job_in(
            client.call("counting", {"values": [1, 2, 3], "total": 5, "gate": gate.port})["content"][0]["text"]
        )
        with client.stream("job_result", {"job_id": job_id}, token="poll") as events:
            told, _ = progress_of(events)
    assert told[0] == {"progressToken": "poll", "progress": 3, "total": 5, "message": "at 3"}
    assert all(one["progressToken"] == "poll" and 3 < one["progress"] < 4 for one in told[1:])


@pytest.mark.parametrize("has_session", [True, False])
def test_an_id_that_comes_again_is_a_new_call_and_answers_do_not_cross(url: str, has_session: bool) -> None:
    with Gate() as gate, RawClient(url, has_session=has_session) as client:
        with (
            client.stream("held", {"gate": gate.port, "text": "A"}, request_id=1, token="a") as first,
            client.stream("held", {"gate": gate.port, "text": "B"}, request_id=1, token="b") as second,
        ):
            next(first)
            next(second)
            gate.wait_for_arrival()
            gate.wait_for_arrival()
            gate.release_all()
            answers = [progress_of(events)[1] for events in (first, second)]
        again = client.call("held", {"text": "C"}, request_id=1)
        client.cancel(1)
    assert [answer["id"] for answer in answers] == [1, 1]
    assert [answer["result"]["content"][0]["text"] for answer in answers] == ["A", "B"]
    assert again["content"][0]["text"] == "C"
