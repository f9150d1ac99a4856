"""Telemetry of servers that are not run from their file, and beside what a program has set up itself."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.otlp_receiver import OtlpReceiver
from tests.support.service_process import ROOT, ServiceProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

SUPPORT = Path(__file__).parents[1] / "support"
EXAMPLE = ROOT / "docs_src" / "traced_threads.py"

PLUGGED = """
import argparse
import uvicorn
from litestar import Litestar, get
from tests.support.loaded_modules import server

@get("/mine")
async def mine() -> str:
    return "mine"

app = Litestar([mine], plugins=[server.plugin()], path="/api")
parser = argparse.ArgumentParser()
parser.add_argument("--host")
parser.add_argument("--port", type=int)
args = parser.parse_args()
uvicorn.run(app, host=args.host, port=args.port)
"""

ITS_OWN = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.loaded_modules import Modules, server

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

async def main():
    server.enable(with_telemetry=True)
    with trace.get_tracer("mine").start_as_current_span("mine"):
        await server.run_tool(Modules, {"prefix": "x"})
    await server.run_tool(Modules, {"prefix": "x"})

asyncio.run(main())
assert trace.get_tracer_provider() is provider
for span in exporter.get_finished_spans():
    print(span.name, span.context.span_id, span.parent.span_id if span.parent else 0)
"""

MANY_LIVES = """
import asyncio
import logging
import httpx, httpx2, requests
from tests.support.loaded_modules import Modules, server

def methods():
    return (requests.Session.send, httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request,
            httpx2.HTTPTransport.handle_request, logging.getLogRecordFactory(), tuple(logging.root.handlers))

async def main():
    before = methods()
    for _ in range(50):
        async with server:
            assert methods() != before
            await server.run_tool(Modules, {"prefix": "x"})
        assert methods() == before

asyncio.run(main())
"""


def run(code: str, env: dict[str, str]) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, env=env, capture_output=True, text=True, timeout=150
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_tools_in_another_app_under_another_server_are_traced_by_what_the_environment_says(tmp_path):
    file = tmp_path / "plugged.py"
    file.write_text(PLUGGED)
    with (
        OtlpReceiver() as collector,
        ServiceProcess(file, env=collector.env, ready_path="/api/_healtz", seconds=90, exit_code=None) as service,
    ):
        answer = httpx.post(service.url + "/api/modules", json={"prefix": "x"}, timeout=60)
        assert answer.is_success
        httpx.get(f"{service.url}/api/jobs/{answer.headers['job-id']}/status")
        httpx.get(service.url + "/api/mine")
        httpx.get(service.url + "/api/metrics")
        server = collector.span("POST /api/modules")
        assert collector.span("RUN modules").parent_id == server.span_id
        collector.span("GET /api/jobs/{id}/status")
        names = {span.name for span in collector.spans if span.kind == "server"}
    assert names == {"POST /api/modules", "GET /api/jobs/{id}/status"}  # what is not ours is that app's


def test_a_provider_that_is_set_already_is_used_and_not_doubled():
    lines = run(ITS_OWN, {}).splitlines()
    spans = [line.rsplit(" ", 2) for line in lines]
    (mine,) = [span_id for name, span_id, _ in spans if name == "mine"]
    runs = [(span_id, parent) for name, span_id, parent in spans if name == "RUN modules"]
    steps = {parent for name, _, parent in spans if name == "ivcap.event:look"}
    assert sorted(parent for _, parent in runs) == sorted([mine, "0"])  # the caller's span, where there is one
    assert steps == {span_id for span_id, _ in runs}
    assert len(spans) == 5


def test_fifty_lives_of_a_server_leave_the_client_libraries_and_logging_as_they_were():
    with OtlpReceiver() as collector:
        run(MANY_LIVES, {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
        assert len([span for span in collector.spans if span.name == "RUN modules"]) == 50


def test_calls_from_threads_that_copy_the_context_are_in_the_trace_of_the_job():
    with OtlpReceiver() as collector:
        env = {**collector.env, "OTEL_EXPORTER_SKIP_URLS": "/_livez;*.nobody"}
        with ServiceProcess(EXAMPLE, env=env, seconds=90) as service:
            urls = [f"{service.url}/check", f"{service.url}/openapi.json", f"{service.url}/_livez"]
            answer = httpx.post(service.url + "/check", json={"urls": urls}, timeout=60)
            assert answer.json() == {"statuses": [200, 200, 200]}
            run_span = collector.span("RUN check")
            collector.wait(lambda: len([span for span in collector.spans if span.kind == "client"]) >= 2)
        steps = [span for span in collector.spans if span.name == "ivcap.event:check"]
        clients = [span for span in collector.spans if span.kind == "client"]
        assert [step.parent_id for step in steps] == [run_span.span_id] * 3
        assert {client.attributes["http.url"] for client in clients} == set(urls[:2])  # the third is to be skipped
        assert {client.parent_id for client in clients} <= {step.span_id for step in steps}
