"""docs/metrics.md: what `GET /metrics` says of a service's jobs."""

from collections.abc import Callable, Generator
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import lambda_kit
from tests.conftest import StartService
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file
from tests.wire.answers import assert_problem, bare_id, eventually, new_id

FILE = Path(__file__).with_name("metrics_service.py")

Value = Callable[..., float]


@pytest.fixture(scope="module")
def client() -> Generator[httpx.Client]:
    with ServiceProcess(FILE) as process, httpx.Client(base_url=process.url, timeout=60) as session:
        yield session
        process.assert_alive()


def value_of(answer: httpx.Response, name: str, **labels: str) -> float:
    """The value of a sample of ours, named without the prefix that all have."""
    assert answer.status_code == 200, answer.text
    families = parse_text(answer.text)
    values = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == f"lambda_kit_{name}" and sample.labels == labels
    ]
    assert len(values) == 1, f"{name} {labels}: {values} in\n{answer.text}"
    return values[0]


def finished(answer: httpx.Response, tool: str) -> dict[str, float]:
    """How many jobs of the tool have ended, by status."""
    statuses = ("succeeded", "failed", "error", "cancelled")
    return {status: value_of(answer, "jobs_finished_total", tool=tool, status=status) for status in statuses}


@pytest.mark.parametrize("tool", ["divide", "divide_async"])
def test_ended_jobs_are_counted_by_status(client: httpx.Client, tool: str):
    path = "/" + tool.replace("_", "-")
    answers = [client.post(path, json={"text": text}) for text in ("1", "2", "4", "0", "one")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 500, 400]
    client.post(path, json={})  # fits
    client.post(path, json={"text": 7})  # doesn't: no job
    metrics = client.get("/metrics")
    assert finished(metrics, tool) == {"succeeded": 3, "failed": 3, "error": 0, "cancelled": 0}
    assert value_of(metrics, "jobs_submitted_total", tool=tool) == 6
    assert value_of(metrics, "jobs_queued", tool=tool) == value_of(metrics, "jobs_running", tool=tool) == 0
    for name in ("job_duration_seconds", "job_queue_seconds"):
        assert value_of(metrics, f"{name}_count", tool=tool) == 6
        assert value_of(metrics, f"{name}_bucket", tool=tool, le="+Inf") == 6
        assert value_of(metrics, f"{name}_bucket", tool=tool, le="3600.0") == 6
        assert value_of(metrics, f"{name}_sum", tool=tool) >= 0


def test_a_request_that_attaches_is_no_other_job(client: httpx.Client):
    headers = {"job-id": new_id()}
    for _ in range(3):
        assert client.post("/attach", json={"text": "a"}, headers=headers).status_code == 200
    metrics = client.get("/metrics")
    assert value_of(metrics, "jobs_submitted_total", tool="attach") == 1
    assert finished(metrics, "attach")["succeeded"] == 1


def test_running_waiting_refused_and_cancelled_jobs_are_counted(client: httpx.Client, gate: Gate):
    running = client.post("/tight", json={"gate": gate.port})
    held = gate.wait_for_arrival()
    waiting = client.post("/tight", json={"gate": gate.port})
    refused = client.post("/tight", json={"gate": gate.port})
    assert [answer.status_code for answer in (running, waiting, refused)] == [204, 204, 429]
    metrics = client.get("/metrics")
    assert value_of(metrics, "jobs_running", tool="tight") == 1
    assert value_of(metrics, "jobs_queued", tool="tight") == 1
    assert value_of(metrics, "jobs_rejected_total", tool="tight") == 1
    assert value_of(metrics, "jobs_submitted_total", tool="tight") == 2
    assert value_of(metrics, "executor_running", executor="asyncio") == 1

    assert client.delete(f"/jobs/{bare_id(waiting)}").status_code == 200
    held.release()
    assert client.get(f"/jobs/{bare_id(running)}", headers={"Prefer": "wait=15"}).status_code == 200
    metrics = client.get("/metrics")
    assert finished(metrics, "tight") == {"succeeded": 1, "failed": 0, "error": 0, "cancelled": 1}
    assert value_of(metrics, "jobs_running", tool="tight") == value_of(metrics, "jobs_queued", tool="tight") == 0
    assert value_of(metrics, "job_duration_seconds_count", tool="tight") == 1


def test_a_thread_that_can_not_be_ended_is_shown_until_it_ends(client: httpx.Client, gate: Gate):
    answer = client.post("/deaf", json={"gate": gate.port}, headers={"Timeout": "15"})
    assert answer.status_code == 504
    held = gate.wait_for_arrival()
    metrics = eventually(
        lambda: client.get("/metrics"), lambda it: value_of(it, "executor_abandoned_runs", executor="thread") == 1
    )
    assert value_of(metrics, "executor_abandoned_total", executor="thread") == 1
    assert value_of(metrics, "executor_capacity", executor="thread") == 32
    assert finished(metrics, "deaf")["error"] == 1
    held.release()
    metrics = eventually(
        lambda: client.get("/metrics"), lambda it: value_of(it, "executor_abandoned_runs", executor="thread") == 0
    )
    assert value_of(metrics, "executor_abandoned_total", executor="thread") == 1
    assert finished(metrics, "deaf") == {"succeeded": 0, "failed": 0, "error": 1, "cancelled": 0}


def test_dropped_events_are_counted(client: httpx.Client):
    assert client.post("/chatty", json={}, headers={"Timeout": "15"}).status_code == 200
    assert value_of(client.get("/metrics"), "events_dropped_total", tool="chatty") >= 100


def test_the_service_tells_its_version_and_that_it_is_ready(client: httpx.Client):
    metrics = client.get("/metrics")
    assert value_of(metrics, "info", version=lambda_kit.__version__) == 1
    assert value_of(metrics, "ready") == 1
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert metrics.headers["ivcap-ai-tool-version"] == lambda_kit.__version__


def test_openmetrics_is_answered_where_it_is_asked_for(client: httpx.Client):
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert {family.name for family in parse_openmetrics(answer.text)} >= {"lambda_kit", "lambda_kit_jobs_finished"}


def test_without_the_extra_the_answer_says_what_to_install(service_process: StartService, tmp_path: Path):
    file = service_file(tmp_path, body='sys.modules["prometheus_client"] = None  # as if it were not installed')
    url = service_process(file).url
    assert httpx.post(url + "/shout", json={"text": "a"}).text == "A"
    for _ in range(2):
        problem = assert_problem(httpx.get(url + "/metrics"), 404)
        assert "pip install 'lambda-kit[metrics]'" in problem["detail"]
        assert problem["type"] == "missing-extra"
