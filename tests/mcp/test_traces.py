"""The trace of an MCP call: that of ``_meta``, else that of the header (SEP-414), as a real OTLP receiver gets it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lambda_kit.testing import FakeSidecar
from tests.support.otlp_receiver import OtlpReceiver, Span
from tests.support.service_command import ROOT
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

SERVICE = Path(__file__).parents[1] / "support" / "traced_service.py"
NAMES = "io.modelcontextprotocol"


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def service(collector: OtlpReceiver) -> Iterator[ServiceProcess]:
    with ServiceProcess(SERVICE, ["--with-mcp"], env=collector.env, seconds=90) as process:
        yield process


def traceparent(number: int, span: int = 7) -> str:
    return f"00-{trace_id(number)}-{span:016x}-01"


def trace_id(number: int) -> str:
    return f"5c9a{number:028x}"


def call(
    service: ServiceProcess,
    version: str,
    meta: dict[str, Any],
    headers: dict[str, str],
    tool: str = "on_loop",
    **arguments: Any,
) -> None:
    fields = {"MCP-Protocol-Version": version, "Accept": "application/json, text/event-stream", **headers}
    if version == "2026-07-28":
        fields |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        meta = {
            f"{NAMES}/protocolVersion": version,
            f"{NAMES}/clientInfo": {"name": "test", "version": "1"},
            f"{NAMES}/clientCapabilities": {},
            **meta,
        }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    answer = httpx.post(f"{service.url}/mcp", json=body, headers=fields, timeout=60)
    assert answer.status_code == 200, answer.text
    assert '"isError":true' not in answer.text


def find(collector: OtlpReceiver, trace: str, name: str) -> Span:
    def found() -> list[Span]:
        return [span for span in collector.spans if span.trace_id == trace and span.name == name]

    collector.wait(lambda: bool(found()))
    return found()[0]


VERSIONS = pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])


@VERSIONS
def test_without_meta_the_job_belongs_to_the_request(collector, service, version):
    number = 1 if version == "2025-11-25" else 2
    call(service, version, {}, {"traceparent": traceparent(number)})
    request = find(collector, trace_id(number), "POST /mcp")
    run = find(collector, trace_id(number), "RUN on_loop")
    assert request.parent_id == f"{7:016x}"
    assert (run.parent_id, run.links) == (request.span_id, [])
    expected = {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": version,
        "jsonrpc.request.id": "7",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "on_loop",
    }
    assert expected.items() <= request.attributes.items()


@VERSIONS
def test_the_job_continues_the_trace_of_meta_and_links_to_the_request(collector, service, version):
    number = 10 if version == "2025-11-25" else 20
    meta = {"traceparent": traceparent(number, 11), "tracestate": "vendor=1"}
    call(service, version, meta, {"traceparent": traceparent(number + 1), "tracestate": "other=2"})
    request = find(collector, trace_id(number + 1), "POST /mcp")
    run = find(collector, trace_id(number), "RUN on_loop")
    step = find(collector, trace_id(number), "ivcap.event:load")
    assert run.parent_id == f"{11:016x}"
    assert run.links == [(trace_id(number + 1), request.span_id)]
    assert step.parent_id == run.span_id


def test_meta_alone_is_enough(collector, service):
    call(service, "2026-07-28", {"traceparent": traceparent(30, 12)}, {})
    run = find(collector, trace_id(30), "RUN on_loop")
    ((linked, request_id),) = run.links
    request = find(collector, linked, "POST /mcp")
    assert (run.parent_id, request.span_id) == (f"{12:016x}", request_id)


@pytest.mark.parametrize(
    ("number", "malformed"),
    [
        (40, "not a traceparent"),
        (41, f"00-{0:032x}-{11:016x}-01"),
        (42, f"00-{trace_id(99)}-{0:016x}-01"),
        (43, f"ff-{trace_id(99)}-{11:016x}-01"),
        (44, f"00-{trace_id(99)}-{11:016x}-01-more"),
        (45, 17),
        (46, None),
        (47, {"a": 1}),
    ],
)
def test_a_malformed_meta_is_ignored(collector, service, number, malformed):
    meta = {"traceparent": malformed, "tracestate": 3, "baggage": ["a"]}
    call(service, "2025-11-25", meta, {"traceparent": traceparent(number)})
    request = find(collector, trace_id(number), "POST /mcp")
    run = find(collector, trace_id(number), "RUN on_loop")
    assert (run.parent_id, run.links) == (request.span_id, [])


def test_baggage_of_meta_goes_to_hosts_of_the_platform_only():
    with (
        OtlpReceiver() as collector,
        FakeSidecar() as platform,
        FakeSidecar() as stranger,
        ServiceProcess(
            SERVICE, ["--with-mcp"], env={**collector.env, "IVCAP_URL": platform.url}, seconds=90
        ) as service,
    ):
        foreign = stranger.url.replace("127.0.0.1", "localhost")
        for url in (platform.url, foreign):
            meta = {"traceparent": traceparent(60), "baggage": "user=alice"}
            call(service, "2026-07-28", meta, {"baggage": "user=bob"}, url=f"{url}/events/x")
        assert {call.headers["baggage"] for call in platform.calls} == {"user=alice"}
        assert {call.headers["baggage"] for call in stranger.calls} == {None}
        assert {call.headers["traceparent"].split("-")[1] for call in stranger.calls} == {trace_id(60)}


@VERSIONS
def test_on_standard_input_meta_is_the_only_channel(collector, version):
    number = 70 if version == "2025-11-25" else 80
    meta: dict[str, Any] = {"traceparent": traceparent(number, 13)}
    messages: list[dict[str, Any]] = []
    if version == "2025-11-25":
        hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        messages.append({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
        messages.append({"jsonrpc": "2.0", "method": "notifications/initialized"})
    else:
        meta |= {
            f"{NAMES}/protocolVersion": version,
            f"{NAMES}/clientInfo": {"name": "test", "version": "1"},
            f"{NAMES}/clientCapabilities": {},
        }
    params = {"name": "on_loop", "arguments": {}, "_meta": meta}
    messages.append({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params})
    process = subprocess.Popen(
        [sys.executable, str(SERVICE), "--with-mcp-stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **collector.env, "PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        for message in messages[:-1]:
            process.stdin.write(json.dumps(message) + "\n")
        answer: dict[str, Any] = {}
        while answer.get("id") != 2 or "still starting" in str(answer):  # a busy machine takes its time to start
            process.stdin.write(json.dumps(messages[-1]) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            while answer.get("id") != 2:
                answer = json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(60) == 0
    assert not answer["result"].get("isError")
    run = find(collector, trace_id(number), "RUN on_loop")
    assert (run.parent_id, run.links) == (f"{13:016x}", [])


def test_jobs_and_refusals_are_counted_by_tool(service):
    call(service, "2026-07-28", {}, {}, tool="in_thread")
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "in_thread", "arguments": {"url": 1}}}
    fields = {"MCP-Protocol-Version": "2025-11-25", "Accept": "application/json, text/event-stream"}
    refused = httpx.post(f"{service.url}/mcp", json=body, headers=fields, timeout=60).json()
    assert refused["result"]["isError"]
    metrics = httpx.get(f"{service.url}/metrics", timeout=60).text
    assert 'lambda_kit_jobs_submitted_total{tool="in_thread"} 1.0' in metrics
    assert 'tool="in_thread"' in next(line for line in metrics.splitlines() if "requests_refused_total{" in line)
