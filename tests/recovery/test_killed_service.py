"""kill -9 of a service in the middle of its work, and another start: each job has one end, and none is lost."""

import contextlib
import random
import signal
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import httpx
import pytest

from tests.recovery.caller import Caller, Story, whatever_breaks
from tests.recovery.site import STORES, Site, site_on
from tests.support.gate import Gate
from tests.wire.answers import new_id

pytestmark = pytest.mark.timeout(180)

RUNNING = 20
JOBS = 220
ROUNDS = 20


def test_a_killed_service_loses_nothing(site: Site) -> None:
    kill_and_restart(site, random.Random(1))


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(ROUNDS))
@pytest.mark.parametrize("store", STORES)
def test_whenever_it_is_killed_a_service_loses_nothing(store: str, moment: int, tmp_path: Path) -> None:
    with site_on(store, tmp_path) as site:
        kill_and_restart(site, random.Random(moment))


def kill_and_restart(site: Site, chance: random.Random) -> None:
    """Kill a service with 20 running and 200 waiting jobs when some have ended, start another, and look at them all."""
    with Gate() as gate:
        service = site.start(gate=gate, exit_code=None)
        with Caller(service) as caller:
            once, twice = caller.submit("/once", JOBS // 2), caller.submit("/twice", JOBS // 2)
            waits = {job_id: caller.begin_wait(job_id) for job_id in (*once[:10], *twice[:10])}
            held = [gate.wait_for_arrival() for _ in range(RUNNING)]
            for n in range(chance.randrange(40)):
                held[n].release()
                held.append(gate.wait_for_arrival())
            ending = chance.randrange(1, RUNNING)
            for later in held[-ending:]:  # while these end and others begin, the end comes
                later.release()
            for _ in range(chance.randrange(min(ending, 4))):
                gate.wait_for_arrival()
            service.stop(signal.SIGKILL)
            acknowledged = {job_id: answer for job_id, wait in waits.items() if (answer := answer_of(wait))}
    begun = {job_id: site.attempts(job_id) for job_id in (*once, *twice)}
    with Caller(site.start()) as caller:
        stories = caller.stories([*once, *twice])
    for job_id, answer in acknowledged.items():
        assert (answer.status_code, begun[job_id]) == (200, [1])
        assert stories[job_id].answer.content == answer.content
        assert site.attempts(job_id) == [1]
    lost = [job_id for job_id in once if not is_done_once(stories[job_id])]
    assert len(lost) <= RUNNING // 2
    for job_id in lost:
        assert_lost(stories[job_id])
        assert site.attempts(job_id) == begun[job_id]
    for job_id in set(once) - set(lost):
        assert site.attempts(job_id) == [1]
    again = [job_id for job_id in twice if not is_done_once(stories[job_id])]
    assert len(again) <= RUNNING // 2
    for job_id in again:
        assert stories[job_id].statuses == ["pending", "executing", "pending", "executing", "succeeded"]
        assert site.attempts(job_id) in ([1, 2], [2])  # the process may have been killed between claim and start
    for job_id in set(twice) - set(again):
        assert site.attempts(job_id) == [1]


def answer_of(wait: "Future[httpx.Response]") -> httpx.Response | None:
    """The answer, if one came before the service was killed."""
    with contextlib.suppress(httpx.TransportError):
        return wait.result()
    return None


def is_done_once(story: Story) -> bool:
    return story.statuses == ["pending", "executing", "succeeded"]


def assert_lost(story: Story) -> None:
    assert story.statuses == ["pending", "executing", "error"]
    problem = story.answer.json()
    assert problem["type"] == "worker-lost"
    assert "worker lost" in problem["detail"]


def test_a_job_that_kills_its_process_is_run_no_more_often_than_it_may(site: Site) -> None:
    with Caller(site.start("--workers", "2"), hands=4) as caller:
        poison = new_id()
        with contextlib.suppress(httpx.TransportError):  # it may begin before its POST is answered
            caller.client.post("/poison", json={}, headers={"job-id": poison})
        story = whatever_breaks(lambda: caller.story(poison))
        assert story.status == "error"
        assert "worker lost" in story.answer.json()["detail"]
        assert story.statuses == ["pending", *["executing", "pending"] * 2, "executing", "error"]
        assert site.attempts(poison) == [1, 2, 3]
        [other] = whatever_breaks(lambda: caller.submit("/sturdy"))
        assert whatever_breaks(lambda: caller.story(other)).status == "succeeded"
    assert Counter(entry.job_id for entry in site.entries("start"))[poison] == 3
