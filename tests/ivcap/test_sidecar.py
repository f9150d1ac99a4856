"""What the sidecar of the platform is told of jobs, by a real service, over real connections."""

import json
from collections.abc import Callable

import httpx
import pytest

from lambda_kit.testing import FakeSidecar
from tests.ivcap.conftest import SERVICE, post, told
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

Start = Callable[..., ServiceProcess]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_it_gets_the_events_in_order_and_then_the_result(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    assert post(service, "a", events=5).status_code == 200
    sidecar.wait_for_result("a", 60)
    calls = sidecar.of("a")
    assert told(calls) == ["0", "1", "2", "3", "4", "end"]
    assert [call.path for call in calls] == ["/events/a"] * 5 + ["/results/a"]
    event = {"name": "progress", "options": {"done": 3}, "$schema": "urn:ivcap:schema:service.event.generic.1"}
    assert list(calls[3].json().items()) == list(event.items())  # in the model's order
    assert calls[5].body.startswith(b'{"ok":true,"seconds":')
    for call in calls:
        assert call.headers["Content-Type"] == "application/json"
        assert call.headers["Authorization"] == "Bearer token-of-a"
        assert call.headers["Ivcap-Job-Id"] == "a"
        assert call.headers["traceparent"] is None
    assert [call.headers["Is-Error"] for call in calls] == [None] * 5 + ["False"]


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        ("text", "text/plain", "plain é".encode()),
        ("bytes", "application/octet-stream", b"\xff\x00"),
        ("csv", "text/csv", b"a,b\n"),
        ("large", "application/x-large", b"x" * 3_000_000),
        ("falsy", "application/json", b"{}"),
    ],
)
def test_each_kind_of_result_has_its_type(
    service: ServiceProcess, sidecar: FakeSidecar, kind: str, content_type: str, body: bytes
) -> None:
    post(service, f"kind-{kind}", kind=kind)
    result = sidecar.wait_for_result(f"kind-{kind}", 60)
    assert (result.headers["Content-Type"], result.headers["Is-Error"]) == (content_type, "False")
    assert result.body == body


def test_it_is_told_of_each_way_to_fail(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    expected = {
        "fails": ("RuntimeError", "boom in step"),
        "value": ("ValueError", "bad value"),
        "exit": ("SystemExit", "3"),
        "limited": ("time-limit", "the job ran over its time limit of 0.2 s"),
        "dies": ("worker-lost", "worker lost: the process that ran the job ended by itself with exit code 9"),
        "cancelled": ("job-cancelled", "job 'cancelled' was cancelled"),
    }
    for kind in ("fails", "value", "exit"):
        post(service, kind, kind=kind)
    for tool in ("limited", "dies"):
        post(service, tool, path=f"/{tool}")
    post(service, "cancelled", seconds=3600, wait=False)
    httpx.delete(f"{service.url}/jobs/cancelled", timeout=30)
    for job_id, (kind, message) in expected.items():
        result = sidecar.wait_for_result(job_id, 60)
        assert (result.headers["Is-Error"], result.headers["Content-Type"]) == ("True", "application/json")
        error = result.json()
        assert list(error) == ["$schema", "error", "type", "traceback"]
        assert error["$schema"] == "urn:ivcap:schema.service.error.1"
        assert (error["type"], error["error"][: len(message)]) == (kind, message)
    assert sidecar.wait_for_result("fails", 60).json()["traceback"].endswith("RuntimeError: boom in step\n")
    step = [call.json() for call in sidecar.of("fails") if call.kind == "events"]
    assert [event["$schema"].rpartition("event.")[2] for event in step] == ["step.start.1", "step.error.1"]
    assert list(step[1]) == ["error", "context", "stacktrace", "$schema"]


def test_the_trace_goes_on_with_every_call(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    headers = {"job-id": "traced", "traceparent": TRACE, "tracestate": "v=1"}
    httpx.post(service.url, json={"events": 1}, headers=headers, timeout=30)
    httpx.post(service.url, json={}, headers={"job-id": "not-traced", "traceparent": "no trace"}, timeout=30)
    sidecar.wait_for_result("not-traced", 60)
    sidecar.wait_for_result("traced", 60)
    assert [(call.headers["traceparent"], call.headers["tracestate"]) for call in sidecar.of("traced")] == [
        (TRACE, "v=1")
    ] * 2
    assert [call.headers["traceparent"] for call in sidecar.of("not-traced")] == [None]
    assert [call.headers["Authorization"] for call in sidecar.of("traced")] == [None] * 2


def test_jobs_at_once_do_not_mix_their_tokens(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        for n in range(60):
            headers = {"job-id": f"j{n}", "Authorization": f"Bearer secret-{n}", "Timeout": "0"}
            client.post("/", json={"events": 3}, headers=headers)
    for n in range(60):
        sidecar.wait_for_result(f"j{n}", 60)
        assert told(sidecar.of(f"j{n}")) == ["0", "1", "2", "end"]
        for call in sidecar.of(f"j{n}"):
            assert call.headers["Authorization"] == f"Bearer secret-{n}"


def test_an_id_stays_one_part_of_the_path(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    post(service, "a.b:c-d_e")
    call = sidecar.wait_for_result("a.b:c-d_e", 60)
    assert (call.path, call.headers["Ivcap-Job-Id"]) == ("/results/a.b:c-d_e", "a.b:c-d_e")


def test_a_redirect_is_not_followed_and_its_cookie_not_kept(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    elsewhere = {"Location": "/elsewhere", "Set-Cookie": "token=of-a-job; Path=/"}
    sidecar.fail(302, 2, only=lambda call: call.job_id == "redirected", headers=elsewhere)
    post(service, "redirected")
    sidecar.wait_for_result("redirected", 60)
    assert [(call.path, call.status) for call in sidecar.of("redirected")] == [
        ("/results/redirected", 302),
        ("/results/redirected", 302),
        ("/results/redirected", 200),
    ]
    assert {call.headers["Cookie"] for call in sidecar.calls} == {None}
    assert sidecar.of("elsewhere") == []


def test_no_token_is_in_the_log_whatever_the_sidecar_says(service: ServiceProcess, sidecar: FakeSidecar) -> None:
    text = "not with Bearer token-of-leaky, token-of-leaky"
    sidecar.fail(400, only=lambda call: call.job_id == "leaky", body=text)
    post(service, "leaky")
    log = service.wait_for_log("job leaky: its end refused, and dropped: the result: it answered 400", seconds=60)
    assert "token-of-leaky" not in log


def test_without_the_variable_nobody_is_told(start: Start, fake_sidecar: FakeSidecar) -> None:
    post(start(quick=False, IVCAP_BASE_URL=""), "a", events=1)
    assert fake_sidecar.calls == []


def test_a_variable_that_is_no_url_stops_the_start_with_the_remedy(service_process, tmp_path) -> None:
    with pytest.raises(AssertionError) as refused:
        service_process(SERVICE, env={"IVCAP_BASE_URL": "ivcap.local"}, seconds=60)
    assert "$IVCAP_BASE_URL: 'ivcap.local' is not the URL of a sidecar: it must be like" in str(refused.value)


def test_a_durable_store_delivers_after_a_restart(start: Start, fake_sidecar: FakeSidecar, tmp_path) -> None:
    fake_sidecar.vanish()
    store = f"sqlite:///{tmp_path}/jobs.db"
    service = start("--store", store, "--grace", "1")
    assert post(service, "a", events=3).json()["ok"] is True
    assert service.stop() == 0
    assert "not everything was delivered before the stop: the rest is left to the store" in service.log
    fake_sidecar.come_back()
    start("--store", store)
    fake_sidecar.wait_for_result("a", 60)
    assert told(fake_sidecar.of("a")) == ["0", "1", "2", "end"]
    assert json.loads(fake_sidecar.of("a")[-1].body)["ok"] is True


def test_a_killed_service_delivers_after_a_restart_with_the_token_where_it_has_a_key(
    service_process, fake_sidecar: FakeSidecar, tmp_path
) -> None:
    fake_sidecar.vanish()
    args = ["--store", f"sqlite:///{tmp_path}/jobs.db"]
    key = "8Tn3PcVw0Yl5o3yqk1m2Q7m0xQy2m1rZr4z8vI0c3tE="
    env = {"IVCAP_BASE_URL": fake_sidecar.url, "LAMBDA_KIT_ENCRYPTION_KEY": key}
    service = service_process(SERVICE, args, env=env, seconds=60, exit_code=None)
    post(service, "a", events=2)
    service.process.kill()
    service.process.wait(30)
    fake_sidecar.come_back()
    service_process(SERVICE, args, env=env, seconds=60)
    fake_sidecar.wait_for_result("a", 90)
    assert told(fake_sidecar.of("a")) == ["0", "1", "end"]
    assert {call.headers["Authorization"] for call in fake_sidecar.of("a")} == {"Bearer token-of-a"}
