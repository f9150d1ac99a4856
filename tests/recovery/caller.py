"""A client with many hands: makes hundreds of jobs, waits for them, and looks at them from every side."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Self, TypeVar

import httpx

from tests.support.service_process import ServiceProcess
from tests.wire.answers import new_id

__all__ = ["Caller", "Story", "whatever_breaks"]

T = TypeVar("T")

_POLL_SECONDS = 25.0
_BOUND_SECONDS = 100.0  # of each wait: other tests, or other people, may have the processor
_HANDS = 24
_FINAL = {"succeeded", "failed", "error", "cancelled"}
_HTTP_STATUS = {"succeeded": 200, "error": 500, "cancelled": 410}
_STATUS_EVENT = re.compile(r"event: ivcap\.job\.status\ndata: (.+)")


class Story(NamedTuple):
    """What record, events and poll say of a job that has ended: they agree."""

    status: str
    statuses: list[str]
    """As its events tell them."""
    answer: httpx.Response
    record: dict[str, Any]


class Caller:
    """Calls one service."""

    def __init__(self, service: ServiceProcess, hands: int = _HANDS) -> None:
        limits = httpx.Limits(max_connections=hands + 1, max_keepalive_connections=hands + 1)  # and the test's thread
        self.client = httpx.Client(base_url=service.url, timeout=_BOUND_SECONDS, limits=limits)
        self.pool = ThreadPoolExecutor(hands)
        self._is_leaving = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_leaving = True
        self.pool.shutdown(cancel_futures=True)
        self.client.close()

    def submit(self, path: str, count: int = 1) -> list[str]:
        """Have jobs made, in any order; each is acknowledged. Returns their ids."""
        return list(self.pool.map(lambda n: self._submit(path, n), range(count)))

    def _submit(self, path: str, n: int) -> str:
        job_id = new_id()
        headers = {"job-id": job_id, "Prefer": "respond-async"}
        answer = self.client.post(path, json={"text": f"text {n}"}, headers=headers)
        assert answer.status_code == 204, answer.text
        return job_id

    def wait(self, job_id: str, *, seconds: float = _BOUND_SECONDS) -> httpx.Response:
        """Long polls, one after the other, until there is an end."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self.client.get(f"/jobs/{job_id}", headers={"Prefer": f"wait={_POLL_SECONDS:g}"})
            if answer.status_code != 204:
                return answer
            if self._is_leaving or time.monotonic() > deadline:
                raise AssertionError(f"job {job_id} has no end: {self.client.get(f'/jobs/{job_id}/status').text}")

    def begin_wait(self, job_id: str) -> Future[httpx.Response]:
        """`wait`, on a thread."""
        return self.pool.submit(self.wait, job_id)

    def begin_post(self, path: str, wait: float) -> Future[httpx.Response]:
        """Have a job made and wait for its end so long, on a thread."""
        headers = {"Prefer": f"wait={wait:g}"}
        return self.pool.submit(self.client.post, path, json={"text": "waits"}, headers=headers, timeout=2 * wait)

    def final_status(self, job_id: str, opened: threading.Event) -> str:
        """Follow the events of a job to their end; returns the last status. `opened` is set when the first has come."""
        status = ""
        with self.client.stream("GET", f"/jobs/{job_id}/events") as stream:
            assert stream.status_code == 200
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    opened.set()
                    status = json.loads(line.removeprefix("data: "))["data"].get("status", status)
        return status

    def wait_for_all(self, job_ids: Iterable[str]) -> dict[str, httpx.Response]:
        """The answers, by job."""
        job_ids = list(job_ids)
        return dict(zip(job_ids, self.pool.map(self.wait, job_ids), strict=True))

    def record(self, job_id: str) -> dict[str, Any]:
        """The record of a job."""
        answer = self.client.get(f"/jobs/{job_id}/status")
        assert answer.status_code == 200, answer.text
        record: dict[str, Any] = answer.json()
        return record

    def story(self, job_id: str) -> Story:
        """Wait for the end of a job, and look at it from every side; fails unless all say the same."""
        answer = self.wait(job_id)
        record = self.record(job_id)
        events = self.client.get(f"/jobs/{job_id}/events")
        assert events.status_code == 200, events.text
        statuses = [json.loads(data)["data"]["status"] for data in _STATUS_EVENT.findall(events.text)]
        status: str = record["status"]
        assert answer.status_code == _HTTP_STATUS[status], (status, answer.text)
        assert [word for word in statuses if word in _FINAL] == [status], (job_id, statuses)
        assert statuses[-1] == status, (job_id, statuses)
        if status == "succeeded":
            assert answer.json()["job"] == job_id
        return Story(status, statuses, answer, record)

    def stories(self, job_ids: Sequence[str]) -> dict[str, Story]:
        """The stories of jobs, by id."""
        return dict(zip(job_ids, self.pool.map(self.story, job_ids), strict=True))


def whatever_breaks(call: Callable[[], T]) -> T:
    """Call again while connections break, since the process at their other end is killed.

    The port stays open, so each call waits for a process that answers it.
    """
    deadline = time.monotonic() + _BOUND_SECONDS
    while True:
        try:
            return call()
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the service does not come back"
