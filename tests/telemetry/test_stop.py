"""The stop of a service whose collector takes nothing, and the spans of what does not end by itself."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.support.otlp_receiver import OtlpReceiver, black_hole
from tests.support.service_process import ServiceProcess, free_port

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(240)]

SERVICE = Path(__file__).parents[1] / "support" / "traced_service.py"
GRACE_SECONDS = 5.0
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}


@pytest.mark.parametrize("kind", ["refused port", "black hole"])
def test_a_dead_collector_delays_no_stop_past_the_grace_and_5_seconds(kind):
    with black_hole() as hole:
        endpoint = hole if kind == "black hole" else f"http://127.0.0.1:{free_port()}"
        env = {**QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        with ServiceProcess(SERVICE, ["--grace", f"{GRACE_SECONDS:g}"], env=env, seconds=90) as service:
            for path in ("/in-thread", "/in-process", "/on-loop"):
                assert httpx.post(service.url + path, json={}, timeout=60).is_success
            headers = {"Prefer": "respond-async"}
            for path in ("/in-thread", "/in-process"):
                httpx.post(service.url + path, json={"seconds": 60}, headers=headers, timeout=60)
            begin = time.monotonic()
            service.stop()
            # the bound that docs/telemetry.md states, and what this machine needs to end so many processes
            assert time.monotonic() - begin < GRACE_SECONDS + 5 + 5
        assert "telemetry: the collector does not take" in service.log


def test_a_second_signal_ends_a_service_at_once_whose_collector_is_a_black_hole():
    with (
        black_hole() as hole,
        ServiceProcess(
            SERVICE, env={**QUICK, "OTEL_EXPORTER_OTLP_ENDPOINT": hole}, seconds=90, exit_code=128 + signal.SIGTERM
        ) as service,
    ):
        headers = {"Prefer": "respond-async"}
        httpx.post(service.url + "/in-thread", json={"seconds": 60}, headers=headers, timeout=60)
        service.process.send_signal(signal.SIGTERM)
        service.wait_for_log("SIGTERM: stopping")
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 128 + signal.SIGTERM


def test_jobs_of_worker_processes_that_are_killed_have_their_span_with_its_error():
    with (
        OtlpReceiver() as collector,
        ServiceProcess(SERVICE, env={**collector.env, "LIMIT": "1"}, seconds=90) as service,
    ):
        answer = httpx.post(service.url + "/in-process", json={"seconds": 60}, timeout=60)
        assert answer.status_code == 504
        run = collector.span("RUN in_process")
        assert (run.status, run.attributes["ivcap.error_type"]) == ("error", "time-limit")
        httpx.post(service.url + "/dies", json={}, timeout=60)
        run = collector.span("RUN dies")
        assert (run.status, run.attributes["ivcap.error_type"]) == ("error", "worker-lost")


def test_a_cancelled_job_has_a_span_that_says_so():
    with OtlpReceiver() as collector, ServiceProcess(SERVICE, env=collector.env, seconds=90) as service:
        headers = {"Prefer": "respond-async"}
        answer = httpx.post(service.url + "/in-thread", json={"seconds": 3}, headers=headers, timeout=60)
        job_id = answer.headers["job-id"]
        httpx.delete(f"{service.url}/jobs/{job_id}", timeout=60)
        run = collector.span("RUN in_thread")
        assert (run.status, run.status_text) == ("error", "the job was cancelled")
        assert run.attributes["ivcap.error_type"] == "cancelled"


def test_a_job_that_is_taken_up_after_a_restart_continues_its_trace(tmp_path):
    trace_id = "5af7651916cd43dd8448eb211c80319c"
    args = ["--store", f"sqlite:///{tmp_path / 'jobs.db'}"]
    with OtlpReceiver() as collector:
        with ServiceProcess(SERVICE, args, env=collector.env, seconds=90, exit_code=-signal.SIGKILL) as service:
            headers = {"Prefer": "respond-async", "traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
            httpx.post(service.url + "/again", json={}, headers=headers, timeout=60)
            server = collector.span("POST /again")
            service.wait_for_log("first attempt")
            os.kill(service.process.pid, signal.SIGKILL)
        with ServiceProcess(SERVICE, args, env=collector.env, seconds=90):
            run = collector.span("RUN again", ivcap__ok=True)
            assert (run.trace_id, run.parent_id) == (trace_id, server.span_id)
            assert run.attributes["job.attempt"] == 2
            assert run.resource["service.instance.id"] != server.resource["service.instance.id"]


def test_each_of_several_workers_is_an_instance_of_its_own(tmp_path):
    args = ["--store", f"sqlite:///{tmp_path / 'jobs.db'}", "--workers", "2"]
    with OtlpReceiver() as collector, ServiceProcess(SERVICE, args, env=collector.env, seconds=120) as service:
        httpx.post(service.url + "/on-loop", json={}, timeout=60)
        run = collector.span("RUN on_loop")

        def instances() -> set[str]:
            ready = [line for line in collector.lines if line.body == "ready: jobs are taken"]
            return {line.resource["service.instance.id"] for line in ready}

        collector.wait(lambda: len(instances()) == 2, seconds=60)
        assert run.resource["service.instance.id"] in instances()
