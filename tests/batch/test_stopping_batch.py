"""A batch service is told to stop: nothing that was promised is lost, or the exit code says so (docs/batch.md)."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lambda_kit.testing import FakeSidecar, SidecarCall
from tests.batch.batch_process import BatchProcess
from tests.batch.test_recorded_batch import queue_recorded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SLOW = "urn:ivcap:job:slow"


def begun(job_id: str = SLOW) -> Callable[[list[SidecarCall]], bool]:
    """The tool of the job has reported its step."""

    def is_there(calls: list[SidecarCall]) -> bool:
        return sum(call.path == f"/events/{job_id}" for call in calls) == 2

    return is_there


def start_slow(sidecar: FakeSidecar, kind: str = "sleep", seconds: float = 300.0) -> None:
    sidecar.queue(SLOW, {"kind": kind, "seconds": seconds}, authorization="Bearer slow")


def test_the_job_that_runs_is_finished_and_no_other_is_asked_for(fake_sidecar: FakeSidecar) -> None:
    start_slow(fake_sidecar, seconds=2.0)
    queue_recorded(fake_sidecar)
    with BatchProcess(fake_sidecar.url) as batch:
        fake_sidecar.wait_for(begun(), within_seconds=90)
        batch.signal(signal.SIGTERM)
        assert batch.end() == 0, batch.log
    assert [call.path for call in fake_sidecar.calls] == ["/next_job", *[f"/events/{SLOW}"] * 2, f"/results/{SLOW}"]
    assert fake_sidecar.calls[-1].headers["Is-Error"] == "False"


@pytest.mark.parametrize(("kind", "executor"), [("sleep", "thread"), ("deaf", "thread"), ("deaf", "process")])
def test_a_job_that_takes_too_long_is_cancelled_and_reported(
    kind: str, executor: str, fake_sidecar: FakeSidecar, tmp_path: Path
) -> None:
    start_slow(fake_sidecar, kind)
    queue_recorded(fake_sidecar)
    env = {"TEST_EXECUTOR": executor, "LAMBDA_KIT_STORE": f"sqlite:///{tmp_path}/jobs.db"}
    with BatchProcess(fake_sidecar.url, "--grace", "8", env=env) as batch:
        fake_sidecar.wait_for(begun(), within_seconds=90)
        batch.signal(signal.SIGTERM)
        assert batch.end() == 0, batch.log
    result = fake_sidecar.calls[-1]
    assert result.path == f"/results/{SLOW}"
    assert result.headers["Is-Error"] == "True"
    assert result.json()["type"] == "job-cancelled"


def test_a_job_that_is_handed_out_after_the_signal_is_reported(fake_sidecar: FakeSidecar) -> None:
    asked, answer_now = threading.Event(), threading.Event()

    def hold(call: SidecarCall) -> bool:
        if call.kind == "next_job":
            asked.set()
            answer_now.wait(60)
        return False

    fake_sidecar.fail(500, only=hold)
    fake_sidecar.queue("urn:ivcap:job:late", {"kind": "x"}, authorization="Bearer late")
    with BatchProcess(fake_sidecar.url) as batch:
        assert asked.wait(90)
        batch.signal(signal.SIGTERM)
        batch.wait_for_log("SIGTERM: stopping")
        answer_now.set()
        assert batch.end() == 0, batch.log
    next_job, result = fake_sidecar.calls
    assert next_job.kind == "next_job"
    assert result.path == "/results/urn:ivcap:job:late"
    assert result.headers["Is-Error"] == "True"
    assert result.headers["Authorization"] == "Bearer late"
    assert result.json()["type"] == "service-stopping"


def test_a_second_signal_ends_it_at_once(fake_sidecar: FakeSidecar) -> None:
    start_slow(fake_sidecar, "deaf")
    with BatchProcess(fake_sidecar.url) as batch:
        fake_sidecar.wait_for(begun(), within_seconds=90)
        batch.signal(signal.SIGTERM)
        batch.wait_for_log("SIGTERM: stopping")
        batch.signal(signal.SIGTERM)
        assert batch.end(20) == 143


def test_a_result_that_nobody_takes_any_more_is_reported_lost(fake_sidecar: FakeSidecar) -> None:
    start_slow(fake_sidecar, seconds=1.0)
    with BatchProcess(fake_sidecar.url, "--grace", "3") as batch:
        fake_sidecar.wait_for(begun(), within_seconds=90)
        fake_sidecar.vanish()
        batch.signal(signal.SIGTERM)
        assert batch.end() == 1
        assert f"1 results were not delivered and are lost: jobs {SLOW}" in batch.log


def test_what_a_durable_store_keeps_is_delivered_after_the_next_start(
    fake_sidecar: FakeSidecar, tmp_path: Path
) -> None:
    env = {"LAMBDA_KIT_STORE": f"sqlite:///{tmp_path}/jobs.db"}
    start_slow(fake_sidecar, seconds=1.0)
    with BatchProcess(fake_sidecar.url, "--grace", "3", env=env) as batch:
        fake_sidecar.wait_for(begun(), within_seconds=90)
        fake_sidecar.vanish()
        batch.signal(signal.SIGTERM)
        assert batch.end() == 1
        assert "left to the store" in batch.log
    fake_sidecar.come_back()
    with BatchProcess(fake_sidecar.url, env=env) as batch:
        assert batch.end() == 0, batch.log
    results = [call for call in fake_sidecar.of(SLOW) if call.kind == "results"]
    assert [call.headers["Is-Error"] for call in results] == ["False"]


def test_the_end_of_the_batch_waits_until_the_last_result_is_delivered(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.fail(503, times=3, only="results")
    fake_sidecar.queue("b1", {"kind": "x"})
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 0, batch.log
    results = [call.status for call in fake_sidecar.calls if call.kind == "results"]
    assert results == [503, 503, 503, 200]


@pytest.mark.parametrize("status", [401, 404])
def test_a_result_that_is_refused_makes_the_exit_code_1(status: int, fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.fail(status, only="results")
    fake_sidecar.queue("b1", {"kind": "x"})
    fake_sidecar.queue("b2", {"kind": "x"})
    with BatchProcess(fake_sidecar.url) as batch:
        assert batch.end() == 1
        assert "lost" in batch.log
    assert {call.job_id for call in fake_sidecar.calls if call.kind == "results"} == {"b1", "b2"}


def test_a_lost_worker_process_is_reported_and_the_next_job_is_run(fake_sidecar: FakeSidecar) -> None:
    fake_sidecar.queue("urn:ivcap:job:d1", {"kind": "die"})
    fake_sidecar.queue("urn:ivcap:job:d2", {"kind": "x"})
    with BatchProcess(fake_sidecar.url, env={"TEST_EXECUTOR": "process"}) as batch:
        assert batch.end() == 0, batch.log
    lost, done = (call for call in fake_sidecar.calls if call.kind == "results")
    assert lost.json()["type"] == "worker-lost"
    assert done.headers["Is-Error"] == "False"
