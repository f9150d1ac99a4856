"""Spans, metrics and log lines of a real service, as a real OTLP receiver gets them."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.otlp_receiver import OtlpReceiver, Span
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

SERVICE = Path(__file__).parents[1] / "support" / "traced_service.py"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
TOKEN = "tok-6f1b8d0c4e2a4f0f9d"


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def service(collector) -> Iterator[ServiceProcess]:
    env = {**collector.env, "IVCAP_SERVICE_ID": "urn:ivcap:service:traced", "LAMBDA_KIT_LOG_FORMAT": "json"}
    with ServiceProcess(SERVICE, env=env, seconds=90) as process:
        yield process


def new_trace(last: str) -> tuple[str, dict[str, str]]:
    trace_id = TRACE[:-4] + last
    return trace_id, {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}


def of_trace(collector: OtlpReceiver, trace_id: str, name: str, count: int = 1) -> list[Span]:
    def found() -> list[Span]:
        return [span for span in collector.spans if span.trace_id == trace_id and span.name == name]

    collector.wait(lambda: len(found()) >= count)
    return found()


@pytest.mark.parametrize(
    ("path", "last", "calls"), [("/in-thread", "0001", 3), ("/in-process", "0002", 3), ("/on-loop", "0003", 2)]
)
def test_one_trace_has_the_request_the_job_its_step_and_the_calls_of_its_tool(collector, service, path, last, calls):
    trace_id, headers = new_trace(last)
    url = f"{service.url}/jobs/none-{last}"  # it is answered by 404, which has a span too
    answer = httpx.post(service.url + path, json={"url": url}, headers=headers, timeout=60)
    assert answer.json() == {"statuses": [404] * calls}
    job_id = answer.headers["job-id"].removeprefix("urn:ivcap:job:")
    tool = path[1:].replace("-", "_")

    (server,) = of_trace(collector, trace_id, f"POST {path}")
    (run,) = of_trace(collector, trace_id, f"RUN {tool}")
    (step,) = of_trace(collector, trace_id, "ivcap.event:load")
    clients = of_trace(collector, trace_id, "GET", calls)
    callees = of_trace(collector, trace_id, "GET /jobs/{id}", calls)

    assert (server.kind, server.parent_id) == ("server", "b7ad6b7169203331")
    assert run.parent_id == server.span_id
    assert run.status == "ok"
    expected = {"job.id": job_id, "job.name": tool, "ivcap.service_id": "urn:ivcap:service:traced", "ivcap.ok": True}
    assert expected.items() <= run.attributes.items()
    assert step.parent_id == run.span_id
    expected = {"ivcap.job_id": job_id, "ivcap.event_name": "load", "ivcap.service_id": "urn:ivcap:service:traced"}
    assert expected.items() <= step.attributes.items()
    assert {client.parent_id for client in clients} == {step.span_id}
    assert {client.kind for client in clients} == {"client"}
    assert {callee.parent_id for callee in callees} == {client.span_id for client in clients}
    in_process = run.resource["service.instance.id"] != step.resource["service.instance.id"]
    assert in_process is (tool == "in_process")
    assert {span.resource["service.name"] for span in (server, run, step)} == {"Traced"}
    assert {span.resource["service.version"] for span in (server, run, step)} == {"1.2.3"}


def test_a_job_keeps_the_context_of_the_servers_span_for_what_is_sent_for_it(collector, service):
    trace_id, headers = new_trace("0004")
    answer = httpx.post(service.url + "/shown-request", json={}, headers=headers, timeout=60)
    (server,) = of_trace(collector, trace_id, "POST /shown-request")
    assert answer.json()["traceparent"] == f"00-{trace_id}-{server.span_id}-01"


def test_steps_on_threads_of_the_tools_own_are_in_the_trace_of_the_job(collector, service):
    trace_id, headers = new_trace("0005")
    assert httpx.post(service.url + "/own-threads", json={}, headers=headers, timeout=60).is_success
    (run,) = of_trace(collector, trace_id, "RUN own_threads")
    for name in ("ivcap.event:part-0", "ivcap.event:part-1"):
        (step,) = of_trace(collector, trace_id, name)
        assert step.parent_id == run.span_id


def test_a_malformed_traceparent_is_ignored(collector, service):
    for malformed in ("", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", f"ff-{TRACE}-b7ad6b7169203331-01"):
        headers = {"traceparent": malformed}
        answer = httpx.post(service.url + "/shown-request", json={}, headers=headers, timeout=60)
        version, trace_id, span_id, _ = answer.json()["traceparent"].split("-")
        (server,) = of_trace(collector, trace_id, "POST /shown-request")
        assert (version, server.span_id, server.parent_id) == ("00", span_id, "")


@pytest.mark.parametrize(("path", "last"), [("/in-thread", "0006"), ("/in-process", "0007"), ("/on-loop", "0008")])
def test_a_failure_sets_the_status_of_step_job_and_request_and_shows_no_credential(collector, service, path, last):
    trace_id, headers = new_trace(last)
    body = {"fail": True, "secret": TOKEN}
    answer = httpx.post(
        service.url + path, json=body, headers={**headers, "Authorization": f"Bearer {TOKEN}"}, timeout=60
    )
    assert answer.status_code == 500
    (server,) = of_trace(collector, trace_id, f"POST {path}")
    (run,) = of_trace(collector, trace_id, f"RUN {path[1:].replace('-', '_')}")
    (step,) = of_trace(collector, trace_id, "ivcap.event:load")
    assert [server.status, run.status, step.status] == ["error"] * 3
    assert run.status_text == step.status_text == "no data ***"
    assert {"ivcap.ok": False, "ivcap.error_type": "RuntimeError"}.items() <= run.attributes.items()
    ((name, details),) = run.events
    assert (name, details["exception.type"]) == ("exception", "RuntimeError")
    assert "Traceback" in details["exception.stacktrace"]
    everything = repr([collector.spans, collector.lines, collector.points])
    assert TOKEN not in everything


def test_names_are_templates_and_no_name_or_label_has_an_id(collector, service):
    ids = []
    for _ in range(30):
        answer = httpx.post(service.url + "/on-loop", json={}, timeout=60)
        ids.append(answer.headers["job-id"].removeprefix("urn:ivcap:job:"))
        for rest in ("", "/status", "/events"):
            httpx.get(f"{service.url}/jobs/{ids[-1]}{rest}", params={"token": "hidden"}, timeout=60)
    httpx.get(f"{service.url}/no/such/{ids[0]}")
    httpx.request("PROPFIND", f"{service.url}/on-loop")
    httpx.put(f"{service.url}/jobs/{ids[0]}/status")
    for path in ("/_healtz", "/_livez", "/metrics"):
        httpx.get(service.url + path)
    last = httpx.get(f"{service.url}/jobs/last-one")
    assert last.status_code == 404
    collector.span("GET /jobs/{id}", url__path="/jobs/last-one")
    collector.span("PUT /jobs/{id}/status", http__response__status_code=405)
    unknown = collector.span("GET", url__path=f"/no/such/{ids[0]}")
    assert "http.route" not in unknown.attributes
    assert collector.span("HTTP /on-loop").attributes["http.request.method"] == "_OTHER"
    status = collector.span("GET /jobs/{id}/status", url__path=f"/jobs/{ids[3]}/status")
    assert status.attributes["url.query"] == "token=***"

    spans = collector.spans
    names = {span.name for span in spans}
    assert not [name for name in names if any(job_id in name for job_id in ids)]
    assert not [span for span in spans if span.attributes.get("url.path") in ("/_healtz", "/_livez", "/metrics")]
    assert not [span for span in spans if "send" in span.name or "receive" in span.name]
    collector.wait(lambda: any(point.labels.get("http.route") == "/jobs/{id}/status" for point in collector.points))
    labels = repr({repr(point.labels) for point in collector.points})
    assert not [job_id for job_id in ids if job_id in labels]
    assert "no/such" not in labels


def test_metrics_count_jobs_by_how_they_ended(collector, service):
    for body in ({}, {"fail": True}):
        httpx.post(service.url + "/in-thread", json=body, timeout=60)

    def value(name: str, **labels: object) -> float:
        wanted = {"job.name": "in_thread", **labels}
        points = [point for point in collector.points if point.name == name and point.labels == wanted]
        return max((point.value for point in points), default=0.0)

    for name in ("ivcap.jobs_total", "ivcap.job_duration_seconds"):
        collector.wait(lambda name=name: value(name, ok=True) >= 1)
        collector.wait(lambda name=name: value(name, ok=False, error_type="RuntimeError") >= 1)


def test_log_lines_have_their_trace_in_every_executor_and_come_once(collector, service):
    for path, last in (("/in-thread", "0011"), ("/in-process", "0012"), ("/on-loop", "0013")):
        trace_id, headers = new_trace(last)
        answer = httpx.post(service.url + path, json={}, headers=headers, timeout=60)
        job_id = answer.headers["job-id"].removeprefix("urn:ivcap:job:")
        (step,) = of_trace(collector, trace_id, "ivcap.event:load")
        collector.wait(lambda job_id=job_id: any(line.attributes.get("job.id") == job_id for line in collector.lines))
        tool = path[1:].replace("-", "_")
        (line,) = [line for line in collector.lines if line.body == f"loading for {tool}" and line.trace_id == trace_id]
        assert (line.span_id, line.severity, line.logger) == (step.span_id, "INFO", "traced")
        assert line.attributes["job.id"] == job_id
        shown = [json.loads(text) for text in service.log.splitlines() if job_id in text]
        (mine,) = [record for record in shown if record["message"] == f"loading for {tool}"]
        assert (mine["otelTraceID"], mine["otelSpanID"]) == (trace_id, step.span_id)


def test_exporting_logs_exports_nothing_of_itself(collector, service):
    assert collector.lines
    assert not [line for line in collector.lines if line.logger.startswith(("opentelemetry", "urllib3", "requests"))]
