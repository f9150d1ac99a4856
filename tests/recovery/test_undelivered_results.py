"""Results that wait for a sink outlive the process that has them, and one process alone delivers each of them."""

import signal
import time
from collections.abc import Generator, Iterable

import pytest

from lambda_kit.testing import FakeSidecar, SidecarCall
from tests.recovery.caller import Caller
from tests.recovery.site import NEVER_SECONDS, Site
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LONG_SECONDS = 100.0


@pytest.fixture
def sidecar() -> Generator[FakeSidecar]:
    with FakeSidecar() as one:
        yield one


def delivered(calls: Iterable[SidecarCall]) -> list[SidecarCall]:
    return [call for call in calls if call.kind == "results" and call.status == 200]


def wait_until_delivered(sidecar: FakeSidecar, job_ids: Iterable[str]) -> None:
    wanted = set(job_ids)
    sidecar.wait_for(lambda calls: wanted <= {call.job_id for call in delivered(calls)}, LONG_SECONDS)


def check_order(sidecar: FakeSidecar, job_ids: Iterable[str]) -> None:
    """The event of each job came before its result, and all that was told of it is right."""
    for job_id in job_ids:
        calls = [call for call in sidecar.of(job_id) if call.status == 200]
        kinds = [call.kind for call in calls]
        assert kinds[0] == "events", (job_id, kinds)
        assert kinds[-1] == "results", (job_id, kinds)
        assert calls[-1].json()["job"] == job_id


def by(service: ServiceProcess) -> str:
    return str(service.process.pid)


def test_results_that_wait_when_a_service_is_killed_are_delivered_after_its_next_start(
    site: Site, sidecar: FakeSidecar
) -> None:
    sidecar.vanish()
    dying = site.start(exit_code=None, sink=sidecar.url)
    with Caller(dying) as here:
        jobs = here.submit("/brief", 100)
        deadline = time.monotonic() + LONG_SECONDS
        while {entry.job_id for entry in site.entries("end")} != set(jobs):
            assert time.monotonic() < deadline
            here.client.get("/_livez")
        # each is final in the store, or even gone for clients
        for job_id in jobs:
            assert here.client.get(f"/jobs/{job_id}", headers={"Prefer": "wait=10"}).status_code in (200, 404)
    dying.stop(signal.SIGKILL)
    with Caller(site.start(sink=sidecar.url)) as there:
        while {there.client.get(f"/jobs/{job_id}").status_code for job_id in jobs} != {404}:
            assert time.monotonic() < deadline
        [again] = jobs[:1]  # the id of one whose result still waits
        headers = {"job-id": again, "Prefer": "wait=10"}
        assert there.client.post("/free", json={"text": "new"}, headers=headers).json()["text"] == "new"
        assert sidecar.calls == []
        sidecar.come_back()
        wait_until_delivered(sidecar, jobs)
        sidecar.wait_for(lambda calls: len(delivered(calls)) >= 101, LONG_SECONDS)
    check_order(sidecar, jobs)
    texts = {call.json()["text"] for call in delivered(sidecar.of(again))}
    assert len(texts) == 2
    assert "new" in texts
    assert len(delivered(sidecar.calls)) == 101  # none was delivered twice
    assert len(site.entries("start")) == 101


def test_results_of_a_service_that_is_killed_are_delivered_by_the_other(site: Site, sidecar: FakeSidecar) -> None:
    sidecar.fail(503)
    dying = site.start(exit_code=None, sink=sidecar.url)
    other = site.start(sink=sidecar.url)
    with Caller(dying) as here, Caller(other) as there:
        jobs = here.submit("/free", 30)
        here.wait_for_all(jobs)
        own = there.submit("/free", 10)
        there.wait_for_all(own)
        dying.stop(signal.SIGKILL)
        sidecar.heal()
        wait_until_delivered(sidecar, [*jobs, *own])
        check_order(sidecar, [*jobs, *own])
        assert {call.headers["worker"] for call in delivered(sidecar.calls)} == {by(other)}
        assert len(delivered(sidecar.calls)) == 40


def test_a_process_that_is_stopped_while_it_delivers_sends_no_result_that_another_has_delivered(
    site: Site, sidecar: FakeSidecar
) -> None:
    paused = site.start(lease_seconds=1.0, machine="far away", sink=sidecar.url)
    with Caller(paused) as there:
        sidecar.hang(only=lambda call: call.kind == "results" and call.headers["worker"] == by(paused))
        jobs = there.submit("/free", 20)
        # all hang: one that was stopped between its look at the outbox and its call would send it later
        sidecar.wait_for(
            lambda calls: set(jobs) == {call.job_id for call in calls if call.kind == "results"}, LONG_SECONDS
        )
        other = site.start(lease_seconds=NEVER_SECONDS, sink=sidecar.url)
        site.pause(paused)
        try:
            wait_until_delivered(sidecar, jobs)  # its lease has run out
        finally:
            paused.process.send_signal(signal.SIGCONT)
        # it goes on, has tried again what was not answered, and delivers what is new
        paused.wait_for_log("was not delivered", seconds=LONG_SECONDS)
        sidecar.heal()
        later = there.submit("/free", 3)
        wait_until_delivered(sidecar, later)
    for job_id in jobs:
        calls = [call for call in sidecar.of(job_id) if call.kind == "results"]
        first = next(call for call in calls if call.status == 200)
        assert first.headers["worker"] == by(other)
        assert [call for call in calls if call.time > first.time] == []
        assert len([call for call in sidecar.of(job_id) if call.kind == "events"]) <= 2
    assert {call.headers["worker"] for job_id in later for call in delivered(sidecar.of(job_id))} == {by(paused)}
