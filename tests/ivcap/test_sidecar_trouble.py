"""A sidecar that is away, refuses, or does not answer: results arrive all the same, in order, and tools do not wait."""

from collections.abc import Callable

import httpx
import pytest

from lambda_kit.testing import FakeSidecar, SidecarCall
from tests.ivcap.conftest import post, told
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(240)]

Start = Callable[..., ServiceProcess]


def dropped(service: ServiceProcess, what: str, reason: str) -> float:
    """What the metrics say was dropped so far."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        text = client.get(f"{service.url}/metrics").text
    labels = f'{{reason="{reason}",sink="ivcap-sidecar",what="{what}"}} '
    found = [line for line in text.splitlines() if line.startswith("lambda_kit_delivery_dropped_total{")]
    values = [line.rpartition(" ")[2] for line in found if all(part in line for part in labels.strip("{} ").split(","))]
    return float(values[0]) if values else 0.0


def of(job_id: str, kind: str | None = None) -> Callable[[SidecarCall], bool]:
    """The calls of one job."""
    return lambda call: call.job_id == job_id and kind in (None, call.kind)


def test_a_sidecar_that_is_away_gets_everything_when_it_is_back(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    sidecar.vanish()
    for n in range(20):
        answer = post(service, f"away-{n}", events=3)
        assert answer.status_code == 200
        assert answer.json()["seconds"] < 2.0  # three events to a sidecar that is away
    sidecar.come_back()
    for n in range(20):
        sidecar.wait_for_result(f"away-{n}", 60)
        assert told(sidecar.of(f"away-{n}")) == ["0", "1", "2", "end"]
    # one warning for the outage, not one for each job
    assert service.log.count("sink ivcap-sidecar can't be reached") <= 2
    service.wait_for_log("sink ivcap-sidecar is back", seconds=60)


@pytest.mark.parametrize("status", [500, 503, 408, 429, 301])
def test_an_answer_that_may_change_is_asked_for_again(
    service: ServiceProcess, sidecar: FakeSidecar, status: int
) -> None:
    job_id = f"again-{status}"
    sidecar.fail(status, 2, only=of(job_id, "events"))
    sidecar.fail(status, 3, only=of(job_id, "results"))
    post(service, job_id, events=2)
    sidecar.wait_for_result(job_id, 60)
    calls = sidecar.of(job_id)
    assert told(calls) == ["0", "1", "end"]
    assert [call.status for call in calls] == [status, status, 200, 200, status, status, status, 200]


def test_one_event_that_is_always_answered_503_holds_up_nothing_for_long(
    service: ServiceProcess, sidecar: FakeSidecar
) -> None:
    before = dropped(service, "event", "given-up")
    bad = b'"done":1}'
    sidecar.fail(503, only=lambda call: call.job_id == "stuck" and bad in call.body)
    post(service, "stuck", events=4)
    post(service, "other", events=1)
    sidecar.wait_for_result("other", 60)
    sidecar.wait_for_result("stuck", 60)
    # the job has ended, so that all events that waited had one second together
    assert told(sidecar.of("stuck"))[0] == "0"
    assert told(sidecar.of("stuck"))[-1] == "end"
    assert sum(bad in call.body for call in sidecar.of("stuck")) > 2
    assert dropped(service, "event", "given-up") > before
    service.wait_for_log("job stuck: the events that wait are refused, and dropped: event", seconds=60)


def test_an_event_that_is_given_up_while_the_job_runs_does_not_take_the_others_with_it(
    service: ServiceProcess, sidecar: FakeSidecar
) -> None:
    sidecar.fail(503, only=lambda call: call.job_id == "running" and b'"done":1}' in call.body)
    post(service, "running", events=3, seconds=600, wait=False)
    sidecar.wait_for(lambda calls: told([call for call in calls if call.job_id == "running"]) == ["0", "2"], 60)
    with httpx.Client(trust_env=False, timeout=60) as client:
        client.delete(f"{service.url}/jobs/running")
    assert sidecar.wait_for_result("running", 60).json()["type"] == "job-cancelled"


@pytest.mark.parametrize("status", [400, 404, 410, 413, 422])
def test_what_is_refused_is_given_up_at_once_with_the_reason_in_the_log(
    service: ServiceProcess, sidecar: FakeSidecar, status: int
) -> None:
    job_id, events, ends = f"refused-{status}", dropped(service, "event", "refused"), dropped(service, "end", "refused")
    sidecar.fail(status, only=lambda call: call.job_id == job_id and b'"done":0}' in call.body, body="bad\nevent")
    sidecar.fail(status, only=of(job_id, "results"), body="bad result")
    post(service, job_id, events=2)
    service.wait_for_log(f"job {job_id}: its end refused, and dropped: the result: it answered {status}", seconds=60)
    assert f"job {job_id}: 1 events refused, and dropped: event 3: it answered {status}: bad event" in service.log
    assert [call.status for call in sidecar.of(job_id)] == [status, 200, status]
    assert (dropped(service, "event", "refused"), dropped(service, "end", "refused")) == (events + 1, ends + 1)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_taken_for_delivered_whatever_its_body(
    service: ServiceProcess, sidecar: FakeSidecar, status: int
) -> None:
    job_id = f"taken-{status}"
    sidecar.fail(status, only=of(job_id), body="<html>" + "x" * 100_000, headers={"Content-Type": "text/html"})
    post(service, job_id, events=1)
    sidecar.wait_for_result(job_id, 60)
    post(service, f"after-{status}")
    sidecar.wait_for_result(f"after-{status}", 60)
    assert [call.status for call in sidecar.of(job_id)] == [status, status]


@pytest.mark.parametrize("status", [401, 403])
def test_a_result_with_a_token_that_has_expired_is_kept_with_one_warning(
    service: ServiceProcess, sidecar: FakeSidecar, status: int
) -> None:
    job_id = f"token-{status}"
    sidecar.fail(status, only=of(job_id, "results"), body="expired")
    post(service, job_id)
    sidecar.wait_for(lambda calls: len([call for call in calls if call.job_id == job_id]) > 3, 60)
    sidecar.heal()
    sidecar.wait_for_result(job_id, 60)
    assert service.log.count(f"job {job_id} was not delivered (DeliveryError: the result: it answered {status}") == 1


@pytest.mark.parametrize("told_to_wait", ["nonsense", "-5", "", "Thu, 32 Foo 2026 99:99:99 GMT", "9" * 400, "1e400"])
def test_a_retry_after_that_is_nonsense_is_ignored_and_one_that_is_long_is_capped(
    service: ServiceProcess, sidecar: FakeSidecar, told_to_wait: str
) -> None:
    job_id = f"retry-{abs(hash(told_to_wait))}"
    sidecar.fail(503, 2, only=of(job_id), retry_after=told_to_wait)
    post(service, job_id)
    sidecar.wait_for_result(job_id, 60)
    assert [call.status for call in sidecar.of(job_id)] == [503, 503, 200]


def test_a_sidecar_that_hangs_slows_no_tool_and_gets_the_results_when_it_answers(
    start: Start, fake_sidecar: FakeSidecar
) -> None:
    fake_sidecar.hang()
    service = start(ANSWER_SECONDS="1.5")
    for n in range(12):  # more than are delivered at once
        answer = post(service, f"hung-{n}", events=3)
        assert answer.json()["seconds"] < 2.0
    fake_sidecar.wait_for(12, 60)
    fake_sidecar.heal()
    for n in range(12):
        fake_sidecar.wait_for_result(f"hung-{n}", 120)
        assert told(fake_sidecar.of(f"hung-{n}"))[-1] == "end"


def test_one_job_that_hangs_holds_up_no_other(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    hanging = {f"slow-{n}" for n in range(10)}  # more than are delivered at once
    sidecar.hang(only=lambda call: call.job_id in hanging)
    for job_id in sorted(hanging):
        post(service, job_id)
    sidecar.wait_for(lambda calls: hanging <= {call.job_id for call in calls}, 60)
    for n in range(5):
        post(service, f"quick-{n}", events=1)
        sidecar.wait_for_result(f"quick-{n}", 60)
    assert not [call for call in sidecar.calls if call.job_id in hanging and call.status is not None]


def test_a_stop_waits_until_the_sidecar_has_the_results_and_no_longer(start: Start, fake_sidecar: FakeSidecar) -> None:
    service = start("--grace", "200")
    fake_sidecar.fail(503, 3, only="results")
    post(service, "a", events=2, seconds=1.0, wait=False)
    assert service.stop() == 0  # nobody has fetched the result
    assert told(fake_sidecar.of("a")) == ["0", "1", "end"]
    assert "not all results have been fetched" not in service.log


def test_a_stop_does_not_wait_for_results_whose_token_is_refused(start: Start, fake_sidecar: FakeSidecar) -> None:
    service = start("--grace", "200")
    fake_sidecar.fail(401, only="results")
    post(service, "a")
    fake_sidecar.wait_for(1, 60)
    assert service.stop() == 0  # within 60 s, by `ServiceProcess`
    assert "not everything was delivered" not in service.log


@pytest.mark.timeout(400)
def test_a_minute_without_a_sidecar_loses_nothing(start: Start, fake_sidecar: FakeSidecar) -> None:
    service = start(quick=False)
    fake_sidecar.vanish()
    for n in range(10):
        assert post(service, f"j{n}", events=5).status_code == 200
    with pytest.raises(AssertionError):
        fake_sidecar.wait_for(1, within_seconds=60)
    fake_sidecar.come_back()
    for n in range(10):
        fake_sidecar.wait_for_result(f"j{n}", 120)
        assert told(fake_sidecar.of(f"j{n}")) == ["0", "1", "2", "3", "4", "end"]
