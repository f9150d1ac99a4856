"""A process of another machine that is paused for longer than its lease can't overwrite what its successor wrote."""

import signal

import pytest

from tests.recovery.caller import Caller
from tests.recovery.site import NEVER_SECONDS, Site
from tests.support.gate import Gate

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("wakes_up", ["while its successor works", "when its successor has ended"])
def test_a_paused_process_does_not_overwrite_its_successors_result(site: Site, gate: Gate, wakes_up: str) -> None:
    paused = site.start(gate=gate, lease_seconds=1.0, machine="far away")
    with Caller(paused) as there, Gate() as second_gate:
        [job] = there.submit("/deaf")
        first = gate.wait_for_arrival()
        wait_there = there.begin_wait(job)
        # the successor's own lease is long: it must not lose the job in its turn where it is slow to renew it
        with Caller(site.start(gate=second_gate, lease_seconds=NEVER_SECONDS)) as here:
            wait_here = here.begin_wait(job)
            site.pause(paused)
            try:
                second = second_gate.wait_for_arrival()  # the lease has run out
                if wakes_up == "when its successor has ended":
                    second.release()
                    assert here.story(job).answer.json()["attempt"] == 2
                first.release()  # it has its result as soon as it goes on
            finally:
                paused.process.send_signal(signal.SIGCONT)
            paused.wait_for_log("lease was lost", seconds=30.0)
            paused.wait_for_log(f"end {job} 1 ", seconds=30.0)
            second.release()
            story = here.story(job)
            assert story.answer.json()["attempt"] == 2
            assert story.statuses == ["pending", "executing", "pending", "executing", "succeeded"]
            for wait in (wait_here, wait_there):
                assert wait.result().content == story.answer.content
            assert there.story(job).answer.content == story.answer.content
    assert site.attempts(job) == [1, 2]
