"""The events of a job as the platform sends them."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from tests.platform.conftest import Laptop
from tests.support.gate import Gate

SECONDS = 60.0


class Sent(NamedTuple):
    """One event as a client of Server-Sent Events reads it."""

    id: str
    event: str
    data: dict[str, Any]


def events_in(lines: Iterator[str]) -> Iterator[Sent]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Sent(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


def submit(laptop: Laptop, **request: Any) -> str:
    """Submit a job, and do not wait for it; returns where it is."""
    answer = httpx.post(f"{laptop.url}/1/services2/count/jobs", json=request, headers={"Timeout": "0"})
    location: str = answer.json()["location"]
    return location


def read(location: str, *, last: str | None = None, **params: str) -> httpx.Response:
    headers = {} if last is None else {"Last-Event-ID": last}
    return httpx.get(f"{location}/events", headers=headers, params=params, timeout=SECONDS)


def all_events(location: str, **options: Any) -> list[Sent]:
    answer = read(location, **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return list(events_in(iter(answer.text.split("\n"))))


def test_the_result_is_told_of_ahead_of_the_final_status(laptop: Laptop) -> None:
    location = submit(laptop, to=1)
    events = all_events(location)
    urn = location.rpartition("/")[2]
    assert [event.event for event in events[-2:]] == ["ivcap.job.result", "ivcap.job.status"]
    result, final = events[-2].data, events[-1].data
    assert result["schema"] == "urn:ivcap:schema:job.result.1"
    assert result["data"]["content-type"] == "application/json"
    assert result["data"]["job-urn"] == urn
    assert result["data"]["result-urn"].startswith("urn:ivcap:")
    assert final["data"] == {"job-urn": urn, "status": "succeeded"}


def test_each_event_has_a_number_of_its_own_and_both_spellings(laptop: Laptop) -> None:
    events = all_events(submit(laptop, to=3))
    assert [event.id for event in events] == [f"{number:08d}" for number in range(1, len(events) + 1)]
    assert len({event.data["eventID"] for event in events}) == len(events)
    for event in events:
        assert event.data["SeqID"] == event.id
        assert event.data["Type"] == event.data["type"] == event.event
        assert event.data["Data"] == event.data["data"]


def test_a_client_goes_on_behind_any_event_without_loss_or_repeat(laptop: Laptop) -> None:
    location = submit(laptop, to=2)
    events = all_events(location)
    for seen in range(1, len(events)):
        assert all_events(location, last=events[seen - 1].id) == events[seen:]


def test_nothing_new_is_204_after_the_time_that_the_client_waits(laptop: Laptop) -> None:
    location = submit(laptop, to=1)
    last = all_events(location)[-1]
    assert read(location, last=last.id, **{"max-wait-time": "1"}).status_code == 204


@pytest.mark.slow  # it takes 20 s
def test_without_a_time_such_a_request_is_held_for_20_seconds(laptop: Laptop) -> None:
    location = submit(laptop, to=1)
    last = all_events(location)[-1]
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{location}/events", headers={"Last-Event-ID": last.id}, timeout=15)
    assert read(location, last=last.id).status_code == 204


def test_no_more_events_are_sent_than_the_client_wants(laptop: Laptop) -> None:
    location = submit(laptop, to=5)
    every = all_events(location)
    first = all_events(location, **{"max-messages": "3"})
    rest = all_events(location, last=first[-1].id, **{"max-messages": "100"})
    assert len(first) == 3
    assert first + rest == every


def test_a_stream_of_a_job_that_runs_ends_when_the_client_s_time_is_over(laptop: Laptop) -> None:
    with Gate() as gate:
        location = submit(laptop, to=1, gate_port=gate.port)
        gate.wait_for_arrival()
        events = all_events(location, **{"max-wait-time": "1"})
        assert events[0].data["data"]["status"] == "pending"
        assert not any(event.event == "ivcap.job.result" for event in events)
        assert read(location, last=events[-1].id, **{"max-wait-time": "1"}).status_code == 204


def test_events_come_while_the_job_runs(laptop: Laptop) -> None:
    with Gate() as gate:
        location = submit(laptop, to=2, gate_port=gate.port)
        with httpx.stream("GET", f"{location}/events", timeout=SECONDS) as answer:
            events = events_in(answer.iter_lines())
            live = [next(events) for _ in range(5)]
            assert [event.event for event in live[:2]] == ["ivcap.job.status"] * 2
            assert live[-1].data["data"]["options"] == {"done": 2, "total": 2}
            gate.wait_for_arrival().release()
            assert [event.event for event in events][-2:] == ["ivcap.job.result", "ivcap.job.status"]


def test_a_cancelled_job_ends_as_failed(laptop: Laptop) -> None:
    with Gate() as gate:
        location = submit(laptop, to=1, gate_port=gate.port)
        gate.wait_for_arrival()
        httpx.delete(f"{laptop.url}/jobs/{location.rpartition('/')[2]}", timeout=SECONDS)
    events = all_events(location)
    assert [event.event for event in events[-2:]] == ["ivcap.job.result", "ivcap.job.status"]
    assert events[-1].data["Data"]["status"] == "failed"


@pytest.mark.parametrize("bad", [{"last": "x"}, {"max-messages": "-1"}, {"max-wait-time": "soon"}], ids=str)
def test_what_is_no_number_is_refused(laptop: Laptop, bad: dict[str, str]) -> None:
    assert read(submit(laptop), **bad).status_code == 400
