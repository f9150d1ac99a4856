"""Telemetry on the platform: batch mode, the sidecar, and whom baggage is told."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from lambda_kit.testing import FakeSidecar
from tests.support.otlp_receiver import OtlpReceiver, black_hole
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SERVICE = Path(__file__).parents[1] / "support" / "traced_service.py"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_batch_jobs_have_the_platforms_span_around_their_run_and_their_metrics():
    with OtlpReceiver() as collector, FakeSidecar() as sidecar:
        for number, body in enumerate(({}, {"fail": True})):
            sidecar.queue({"id": f"b{number}", "in-content-type": "application/json", "in-content": body})
        env = {**collector.env, "IVCAP_BASE_URL": sidecar.url, "IVCAP_SERVICE_ID": "urn:ivcap:service:s"}
        service = ServiceProcess(SERVICE, ["--batch", "--tool", "in_thread"], env=env)
        ended = subprocess.run(
            service.command, env=service.env, capture_output=True, text=True, timeout=150, check=False
        )
        assert ended.returncode == 0, ended.stderr
        fine = collector.span("ivcap.job", ivcap__job_id="b0")
        failed = collector.span("ivcap.job", ivcap__job_id="b1")
        assert fine.attributes == {"ivcap.job_id": "b0", "ivcap.service_id": "urn:ivcap:service:s", "ivcap.ok": True}
        assert (fine.status, failed.status, failed.status_text) == ("ok", "error", "no data ")
        assert {"ivcap.ok": False, "ivcap.error_type": "RuntimeError"}.items() <= failed.attributes.items()
        run = collector.span("RUN in_thread", job__id="b0")
        assert (run.trace_id, run.parent_id) == (fine.trace_id, fine.span_id)
        assert fine.trace_id != failed.trace_id
        for name in ("ivcap.jobs_total", "ivcap.job_duration_seconds"):
            points = [(point.labels["ok"], point.value) for point in collector.points if point.name == name]
            assert {(True, 1), (False, 1)} <= set(points)
        assert not [span for span in collector.spans if span.kind == "client"]  # no calls of ours


@pytest.mark.parametrize("path", ["/in-thread", "/in-process", "/on-loop"])
def test_baggage_goes_to_hosts_of_the_platform_only_and_the_trace_everywhere(path):
    with (
        OtlpReceiver() as collector,
        FakeSidecar() as platform,
        FakeSidecar() as stranger,
        ServiceProcess(SERVICE, env={**collector.env, "IVCAP_URL": platform.url}, seconds=90) as service,
    ):
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "baggage": "user=alice"}
        foreign = stranger.url.replace("127.0.0.1", "localhost")
        for url in (platform.url, foreign):
            httpx.post(service.url + path, json={"url": f"{url}/events/x"}, headers=headers, timeout=60)
        run = collector.span(f"RUN {path[1:].replace('-', '_')}")
        assert platform.calls
        assert len(platform.calls) == len(stranger.calls)
        assert {call.headers["baggage"] for call in platform.calls} == {"user=alice"}
        assert {call.headers["baggage"] for call in stranger.calls} == {None}
        told = [call.headers["traceparent"].split("-") for call in (*platform.calls, *stranger.calls)]
        assert {trace_id for _, trace_id, _, _ in told} == {TRACE} == {run.trace_id}
        callers = {span_id for _, _, span_id, _ in told}
        collector.wait(lambda: callers <= {span.span_id for span in collector.spans if span.kind == "client"})


def test_what_the_sidecar_is_told_continues_the_span_of_the_request_and_makes_none():
    with (
        OtlpReceiver() as collector,
        FakeSidecar() as sidecar,
        ServiceProcess(SERVICE, env={**collector.env, "IVCAP_BASE_URL": sidecar.url}, seconds=90) as service,
    ):
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        answer = httpx.post(service.url + "/in-process", json={}, headers=headers, timeout=60)
        server = collector.span("POST /in-process")
        collector.span("RUN in_process")
        sidecar.wait_for_result(answer.headers["job-id"])
        assert {call.headers["traceparent"] for call in sidecar.calls} == {f"00-{TRACE}-{server.span_id}-01"}
        assert {call.kind for call in sidecar.calls} == {"events", "results"}
    assert not [span for span in collector.spans if span.kind == "client"]


def test_a_result_reaches_the_sidecar_though_the_collector_is_a_black_hole():
    with black_hole() as hole, FakeSidecar() as sidecar:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": hole, "IVCAP_BASE_URL": sidecar.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with ServiceProcess(SERVICE, ["--grace", "10"], env=env, seconds=90) as service:
            answer = httpx.post(
                service.url + "/in-thread", json={"seconds": 1}, headers={"Prefer": "respond-async"}, timeout=60
            )
        job_id = answer.headers["job-id"]
        assert [call.kind for call in sidecar.of(job_id)].count("results") == 1
        lines = service.log.splitlines()
        assert any("the collector does not take" in line for line in lines)


def test_without_telemetry_the_platform_gets_the_trace_of_the_request():
    with FakeSidecar() as platform, ServiceProcess(SERVICE, env={"IVCAP_URL": platform.url}, seconds=90) as service:
        traceparent = f"00-{TRACE}-b7ad6b7169203331-01"
        body = {"url": f"{platform.url}/events/x"}
        httpx.post(service.url + "/in-thread", json=body, headers={"traceparent": traceparent}, timeout=60)
        assert {call.headers["traceparent"] for call in platform.calls} == {traceparent}
        assert json.dumps([call.path for call in platform.calls]).count("/events/x") == 3
