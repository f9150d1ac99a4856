"""docs/wire.md, Routes: HEAD answers what GET answers, without the body, and does nothing else."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess
from tests.wire.jobs import start, wait_for_end

PATHS = (
    "/_healtz", "/_livez", "/greet", "/metrics", "/openapi.json", "/api", "/api/openapi.json",
    "/api/assets/swagger-ui.css", "/api/no-such-page", "/jobs?limit=1", "/jobs?limit=0",
    "/.well-known/oauth-protected-resource", "/jobs/no-such-job", "/no-such-path",
    "/1/services2", "/1/aspects", "/1/artifacts",
)  # fmt: skip
OF_A_JOB = ("/jobs/{}", "/greet/jobs/{}", "/jobs/{}/status", "/jobs/{}/events", "/jobs/{}/events?after=2")
CHANGING = {"/metrics": {"date", "content-length"}}
"""Fields that may be others in the next answer, where it is not the date alone."""


@pytest.fixture(scope="module")
def laptop() -> Iterator[httpx.Client]:
    file = Path(__file__).with_name("service.py")
    with (
        ServiceProcess(file, ["--job-list", "--with-platform-api", "--artifacts", "/dev/null/none"]) as process,
        httpx.Client(base_url=process.url, timeout=20) as client,
    ):
        yield client


def assert_alike(client: httpx.Client, path: str) -> None:
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b""), path
    left_out = CHANGING.get(path, {"date"}) | {"transfer-encoding"}  # which need not be said (RFC 9112, 6.1)
    of_get, of_head = ({n: v for n, v in it.headers.items() if n not in left_out} for it in (get, head))
    assert of_head == of_get, path


def test_a_head_has_status_and_fields_of_the_get(laptop: httpx.Client) -> None:
    for path in PATHS:
        assert_alike(laptop, path)
    job_id = start(laptop, "/greet", name="Ann")
    wait_for_end(laptop, job_id)
    for template in OF_A_JOB:
        assert_alike(laptop, template.format(job_id))


def test_the_next_answer_follows_the_header_fields(service: ServiceProcess, client: httpx.Client) -> None:
    job_id = start(client, "/greet", name="Ann")
    wait_for_end(client, job_id)
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/events", "/greet", "/api", "/no-such-path"):
        head = f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
            connection.sendall(head + b"GET /_livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            _, _, rest = connection.makefile("rb").read().partition(b"\r\n\r\n")
        assert rest.startswith(b"HTTP/1.1 200 OK\r\n"), path


def test_a_head_of_running_events_ends_at_once(client: httpx.Client, gate: Gate) -> None:
    job_id = start(client, "/hold", gate=gate.port)
    held = gate.wait_for_arrival()
    answer = client.head(f"/jobs/{job_id}/events")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert client.get(f"/jobs/{job_id}/status").json()["status"] == "executing"
    held.release()


def test_allow_has_head_where_it_has_get(client: httpx.Client) -> None:
    allow = client.put("/greet", json={}).headers["allow"]
    assert set(allow.split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert client.options("/greet").headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert client.head("/mcp").status_code == 404
