"""What a client is told while a tool runs, if it asked for progress."""

import itertools
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mcp.client.client import Client

from lambda_kit.adapters.mcp.progress import ProgressNotes
from lambda_kit.core.model.events import Event, EventKind
from tests.mcp.heard import Heard
from tests.mcp.streams import LATEST, MODERN, RawClient, SseEvent, progress_of
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.timeout(120)

FILE = Path(__file__).with_name("long_service.py")
ERAS = (LATEST, MODERN)


@pytest.fixture(scope="module")
def url() -> Generator[str]:
    """A service that says after a fifth of a second that it still runs."""
    with ServiceProcess(FILE, env={"LONG_HEARTBEAT": "0.2"}) as service:
        yield service.url


@pytest.fixture(scope="module")
def calm_url() -> Generator[str]:
    """One that never says so."""
    with ServiceProcess(FILE, env={"LONG_HEARTBEAT": "600"}) as service:
        yield service.url


@pytest.mark.parametrize("version", ERAS)
def test_each_step_of_a_tool_is_told_with_its_number_total_and_message(calm_url: str, version: str) -> None:
    say = {"values": [1, 2, 2.5], "total": 3, "pause_seconds": 0.05}
    with RawClient(calm_url, version) as client, client.stream("counting", say, token="t") as events:
        told, answer = progress_of(events)
    assert told == [
        {"progressToken": "t", "progress": value, "total": 3, "message": f"at {value:g}"} for value in (1, 2, 2.5)
    ]
    assert answer["result"]["content"][0]["text"] == "said 3"


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_the_official_client_hears_of_progress_in_both_eras(calm_url: str, mode: str) -> None:
    heard = Heard()
    async with Client(f"{calm_url}/mcp", mode=mode) as client:
        say = {"values": [1, 2], "total": 2, "pause_seconds": 0.1}
        result = await client.call_tool("counting", say, progress_callback=heard)
    assert heard.all == [(1, 2, "at 1"), (2, 2, "at 2")]
    assert not result.is_error


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("pause_seconds", [0.0, 0.0004])
def test_thousands_of_steps_are_told_by_some_notifications_and_the_last_is_among_them(
    calm_url: str, version: str, pause_seconds: float
) -> None:
    say = {"values": list(range(1, 5001)), "total": 5000, "pause_seconds": pause_seconds}
    with RawClient(calm_url, version) as client, client.stream("counting", say, token=1) as events:
        told, _ = progress_of(events)
    numbers = [one["progress"] for one in told]
    assert 2 <= len(numbers) <= 300
    assert numbers[-1] == 5000
    assert all(before < after for before, after in itertools.pairwise(numbers))


def test_numbers_that_fall_or_stand_still_are_held_back(calm_url: str) -> None:
    say = {"values": [5, 5, 3, 6, -1, 6, 7], "pause_seconds": 0.03}
    with RawClient(calm_url) as client, client.stream("counting", say, token=1) as events:
        told, _ = progress_of(events)
    assert [one["progress"] for one in told] == [5, 6, 7]
    assert not any("total" in one for one in told)


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("values", [[], [3], [0.25]])
def test_a_silent_tool_is_said_to_be_running_by_numbers_that_never_reach_its_next_step(
    url: str, version: str, values: list[float]
) -> None:
    last = values[-1] if values else 0
    with Gate() as gate, RawClient(url, version) as client:
        say = {"values": values, "total": 1 if last == 0.25 else None, "gate": gate.port}
        with client.stream("counting", say, token="t") as events:
            notes = [event.message["params"] for event in _with_data(events, 4 + len(values))]
            gate.wait_for_arrival().release()
            later, answer = progress_of(events)
    numbers = [note["progress"] for note in [*notes, *later]]
    assert all(before < after for before, after in itertools.pairwise(numbers))
    assert all(last < number < last + 1 for number in numbers[len(values) :])
    assert all(note["message"].startswith("still running, ") for note in notes[len(values) :])
    assert answer["result"]["content"][0]["text"] == f"said {len(values)}"


def _with_data(events: Iterator[SseEvent], count: int) -> list[SseEvent]:
    return list(itertools.islice((event for event in events if event.data), count))


def test_the_next_step_is_told_behind_what_was_said_while_the_tool_was_silent(url: str) -> None:
    say = {"values": [1, 2, 3], "total": 3, "pause_seconds": 0.7}
    with RawClient(url) as client, client.stream("counting", say, token="t") as events:
        told, _ = progress_of(events)
    numbers = [one["progress"] for one in told]
    assert {1, 2, 3} <= set(numbers)
    assert len(numbers) > 3
    assert all(before < after for before, after in itertools.pairwise(numbers))


@pytest.mark.parametrize("token", [0, "", "0", 7, 2**53, "ü"], ids=ascii)
def test_a_token_comes_back_as_it_was_sent(calm_url: str, token: str | int) -> None:
    for version in ERAS:
        with (
            RawClient(calm_url, version) as client,
            client.stream("counting", {"values": [1]}, token=token) as events,
        ):
            told, _ = progress_of(events)
        assert [(type(one["progressToken"]), one["progressToken"]) for one in told] == [(type(token), token)]


def test_a_client_of_the_first_version_gets_no_messages(calm_url: str) -> None:
    with (
        RawClient(calm_url, "2024-11-05") as client,
        client.stream("counting", {"values": [1], "total": 2}, token=1) as events,
    ):
        told, _ = progress_of(events)
    assert told == [{"progressToken": 1, "progress": 1, "total": 2}]


@pytest.mark.parametrize("version", ERAS)
def test_what_a_tool_reports_is_told_in_words_but_not_what_an_exception_says(calm_url: str, version: str) -> None:
    with RawClient(calm_url, version) as client, client.stream("reporting", {}, token=1) as events:
        told, answer = progress_of(events)
    assert [one["message"] for one in told] == [
        "Loading the data",
        "half of it",
        "load: finished",
        "clean: finished",
        "read: no more rows",
        "guess: started",
        "guess: failed",
    ]
    numbers = [one["progress"] for one in told]
    assert all(before < after for before, after in itertools.pairwise(numbers))
    assert "hunter2" not in str((told, answer))


@pytest.mark.parametrize("version", ERAS)
def test_a_call_that_waits_for_its_turn_is_told_its_place(calm_url: str, version: str) -> None:
    with Gate() as gate, ExitStack() as stack:
        client = stack.enter_context(RawClient(calm_url, version))
        ask = {"gate": gate.port}
        streams = [stack.enter_context(client.stream("one_by_one", ask, token="first"))]
        first = gate.wait_for_arrival()
        streams += [stack.enter_context(client.stream("one_by_one", ask, token=token)) for token in range(2)]
        for place, stream in enumerate(streams[1:], start=1):
            note = next(event.message["params"] for event in stream if event.data)
            assert note["message"] == f"queued, position {place}"
        first.release()
        gate.wait_for_arrival().release()
        gate.wait_for_arrival().release()
        for stream in streams:
            assert progress_of(stream)[1]["result"]["content"][0]["text"] == "done"


@pytest.mark.parametrize("version", ERAS)
def test_without_a_token_nothing_is_told_and_the_stream_is_kept_alive(url: str, version: str) -> None:
    with Gate() as gate, RawClient(url, version) as client, client.stream("held", {"gate": gate.port}) as events:
        held = gate.wait_for_arrival()
        first = next(events)
        assert not first.data
        held.release()
        told, answer = progress_of(events)
    assert told == []
    assert answer["result"]["content"][0]["text"] == "done"


def test_a_quick_call_without_a_token_is_answered_by_plain_json(url: str) -> None:
    with RawClient(url) as client:
        response = client.post("tools/call", {"name": "held", "arguments": {}})
    assert response.headers["content-type"] == "application/json"
    assert response.json()["result"]["content"][0]["text"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("version", ERAS)
def test_a_stream_without_progress_has_a_comment_at_least_every_15_s(calm_url: str, version: str) -> None:
    with RawClient(calm_url, version) as client, client.stream("held", {"seconds": 20.0}) as events:
        told = list(events)
    assert len([event for event in told if not event.data]) >= 2  # with that at its beginning
    assert told[-1].message["result"]["content"][0]["text"] == "done"


def test_what_is_read_a_little_late_goes_on_behind_still_running_in_a_stream_that_is_resumed() -> None:
    began_at = time.time() - 100.0
    before, after = (
        ProgressNotes(b"1", has_text=True, began_at=began_at, heartbeat_seconds=10.0, is_resumed=is_resumed)
        for is_resumed in (False, True)
    )
    body = b'{"name":"fit","options":{}}'
    late = Event(
        seq=4, kind=EventKind.REPORT, timestamp=time.time() - 0.5, schema="urn:ivcap:schema:step.start.1", body=body
    )
    heard = before.heartbeat("still running, 100 s")
    told = after.of(late)
    assert told is not None
    assert 0 < heard.value < told.value
