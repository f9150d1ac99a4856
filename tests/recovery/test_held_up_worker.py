"""A process that is held up for longer than its leases last keeps its jobs: nothing that runs is lost."""

import signal
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from tests.recovery.caller import Caller
from tests.recovery.site import Site
from tests.support.gate import Gate, Held

pytestmark = pytest.mark.timeout(180)

LEASE_SECONDS = 2.0


@contextmanager
def longer_than_a_lease(site: Site) -> Generator[None]:
    """What is held up within the block stays so until a lease has run out that was renewed after that.

    It is that of a process which seems to be on another machine, where nobody sees that it lives. It is paused when the
    block ends, and a neighbour of the process under test is started, which takes its job from it.
    """
    with Gate() as gate, Gate() as there:
        paused = site.start(gate=gate, lease_seconds=LEASE_SECONDS, machine="another one")
        with Caller(paused) as caller:
            caller.submit("/twice")
            gate.wait_for_arrival()
            yield
            try:
                site.pause(paused)
                site.start(gate=there, lease_seconds=LEASE_SECONDS)
                there.wait_for_arrival().release()
            finally:
                paused.process.send_signal(signal.SIGCONT)
                gate.release_all()


def grab_between_writes(site: Site, caller: Caller, gate: Gate) -> tuple[Held, list[Future[list[str]]]]:
    """Hold the interpreter of a process, but not within a write of its own to an SQLite file.

    Nobody could write until it is let go. Returns what holds it, and the calls that were made for it.
    """
    calls = []
    while True:
        calls.append(caller.pool.submit(caller.submit, "/grabs"))
        grabbing = gate.wait_for_arrival()
        if site.can_be_written():
            return grabbing, calls
        grabbing.release()


def assert_all_end_well(caller: Caller, site: Site, job_ids: list[str]) -> None:
    for job_id in job_ids:
        story = caller.story(job_id)
        assert story.statuses == ["pending", "executing", "succeeded"]
        assert site.attempts(job_id) == [1]


@pytest.mark.parametrize("machine", ["", "the blocked one"], ids=["one machine", "two machines"])
def test_a_tool_that_blocks_the_event_loop_for_longer_than_a_lease_loses_no_job(
    site: Site, gate: Gate, machine: str
) -> None:
    blocked = site.start(gate=gate, lease_seconds=LEASE_SECONDS, machine=machine)
    with Caller(blocked) as caller:
        jobs = caller.submit("/deaf", 3) + caller.submit("/once", 3)
        held = [gate.wait_for_arrival() for _ in jobs]
        with longer_than_a_lease(site):
            blocker = caller.pool.submit(caller.submit, "/blocks")
            blocking = gate.wait_for_arrival()
        blocking.release()
        for one in held:
            one.release()
        assert_all_end_well(caller, site, jobs + blocker.result())


def test_a_call_that_holds_the_interpreter_for_longer_than_a_lease_loses_no_job_to_a_neighbour(
    site: Site, gate: Gate
) -> None:
    blocked = site.start(gate=gate, lease_seconds=LEASE_SECONDS)
    with Caller(blocked) as caller:
        jobs = caller.submit("/deaf", 3) + caller.submit("/once", 3)
        held = [gate.wait_for_arrival() for _ in jobs]
        with longer_than_a_lease(site):
            grabbing, grabbers = grab_between_writes(site, caller, gate)
        grabbing.release()
        for one in held:
            one.release()
        assert_all_end_well(caller, site, jobs + [job_id for one in grabbers for job_id in one.result()])


def test_a_process_that_is_stopped_for_longer_than_a_lease_loses_no_job_to_a_neighbour(site: Site, gate: Gate) -> None:
    stopped = site.start(gate=gate, lease_seconds=LEASE_SECONDS)
    with Caller(stopped) as caller:
        jobs = caller.submit("/deaf", 3) + caller.submit("/once", 3)
        held = [gate.wait_for_arrival() for _ in jobs]
        try:
            with longer_than_a_lease(site):
                site.pause(stopped)
        finally:
            stopped.process.send_signal(signal.SIGCONT)
        for one in held:
            one.release()
        assert_all_end_well(caller, site, jobs)
