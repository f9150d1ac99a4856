"""Two services on one store: any of them answers for any job, and the one that stays takes what the other leaves."""

import json
import signal
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.recovery.caller import Caller
from tests.recovery.site import NEVER_SECONDS, Entry, Site
from tests.support.gate import Gate

pytestmark = pytest.mark.timeout(180)

RARELY_SECONDS = NEVER_SECONDS / 3
"""A heartbeat that does not come while a test runs, nor while a `Caller` waits: what is heard all the same was told by
the store."""


def test_jobs_of_one_service_are_polled_streamed_and_cancelled_at_another(site: Site, gate: Gate) -> None:
    with (
        Caller(site.start(gate=gate, heartbeat_seconds=RARELY_SECONDS)) as here,
        Caller(site.start(gate=gate, heartbeat_seconds=RARELY_SECONDS)) as there,
    ):
        running = here.submit("/once", 10)
        for _ in running:
            gate.wait_for_arrival()
        waiting = here.submit("/once", 20)
        streams = [there.pool.submit(there.client.get, f"/jobs/{job_id}/events") for job_id in running[:5]]
        waits = [there.begin_wait(job_id) for job_id in running[:5]]
        for job_id in (*waiting[:10], *running[5:]):
            assert there.client.delete(f"/jobs/{job_id}").status_code in (200, 202)
            assert there.story(job_id).status == "cancelled"
        for _ in range(5):  # the places of those that ran are free
            gate.wait_for_arrival()
        free = here.submit("/free", 470)
        assert {answer.status_code for answer in there.wait_for_all(free).values()} == {200}
        for job_id in free[:50]:
            assert there.story(job_id).statuses == ["pending", "executing", "succeeded"]
        gate.release_all()
        for wait in waits:
            assert wait.result().status_code == 200
        for job_id, stream in zip(running[:5], streams, strict=True):
            assert last_status(stream.result().text) == "succeeded"
            assert there.story(job_id).status == "succeeded"
        for _ in range(5):
            gate.wait_for_arrival().release()
        assert {story.status for story in there.stories(waiting[10:]).values()} == {"succeeded"}
    assert max(Counter(entry.job_id for entry in site.entries("start")).values()) == 1


def last_status(events: str) -> str:
    data = [line for line in events.splitlines() if line.startswith("data: ")]
    status: str = json.loads(data[-1].removeprefix("data: "))["data"]["status"]
    return status


def test_no_more_jobs_of_a_tool_run_at_once_than_may_in_both_services_together(site: Site, gate: Gate) -> None:
    with Caller(site.start(gate=gate)) as here, Caller(site.start(gate=gate)) as there:
        jobs = here.submit("/five", 20) + there.submit("/five", 20)
        held = [gate.wait_for_arrival() for _ in range(5)]
        assert most_at_once(site.entries()) == 5
        for _ in range(len(jobs) - 5):
            held.pop(0).release()
            held.append(gate.wait_for_arrival())
        gate.release_all()
        assert {answer.status_code for answer in there.wait_for_all(jobs).values()} == {200}
    assert most_at_once(site.entries()) == 5
    assert len({entry.process for entry in site.entries()}) == 2


def most_at_once(entries: Iterable[Entry]) -> int:
    """How many jobs ran at once, at most."""
    most = now = 0
    for entry in entries:
        now += 1 if entry.what == "start" else -1
        most = max(most, now)
    return most


def test_a_service_that_is_told_to_stop_runs_what_waits_in_it(site: Site, gate: Gate) -> None:
    leaving = site.start(gate=gate)
    with Caller(leaving, hands=40) as here, Caller(site.start(gate=gate), hands=40) as there:
        jobs = here.submit("/once", 30)
        held = [gate.wait_for_arrival() for _ in range(10)]
        waits = [caller.begin_wait(job_id) for job_id in jobs for caller in (here, there)]
        leaving.process.send_signal(signal.SIGTERM)
        for _ in range(20):
            held.pop(0).release()
            held.append(gate.wait_for_arrival())
        gate.release_all()
        assert {wait.result().status_code for wait in waits} == {200}
        assert {story.status for story in there.stories(jobs).values()} == {"succeeded"}
        assert leaving.process.wait(60) == 0
    assert {entry.process for entry in site.entries()} == {leaving.process.pid}
    assert sorted(entry.job_id for entry in site.entries("start")) == sorted(jobs)


def test_what_waits_in_a_service_that_is_killed_is_run_by_the_other(site: Site, gate: Gate) -> None:
    dying = site.start(gate=gate, exit_code=None)
    with Caller(dying) as here, Caller(site.start()) as there:
        once, twice = here.submit("/once", 15), here.submit("/twice", 15)
        for _ in range(20):
            gate.wait_for_arrival()
        waits = [there.begin_wait(job_id) for job_id in once[:10]]
        begun = {entry.job_id for entry in site.entries("start")}
        dying.stop(signal.SIGKILL)
        stories = there.stories([*once, *twice])
        assert {wait.result().status_code for wait in waits} <= {200, 500}
    for job_id in once:
        is_lost = job_id in begun
        assert stories[job_id].status == ("error" if is_lost else "succeeded")
        assert site.attempts(job_id) == [1]
    for job_id in twice:
        assert stories[job_id].status == "succeeded"
        assert site.attempts(job_id) == ([1, 2] if job_id in begun else [1])
