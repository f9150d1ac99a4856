"""The code that the documentation shows, run."""

import ast
import asyncio
import gzip
import re
import tomllib
from pathlib import Path

import pytest
from litestar.testing import TestClient as LitestarTestClient

from docs_src import (
    any_file,
    async_tool,
    bootstrap,
    existing_app,
    fair_shares,
    fit_line,
    greet,
    in_processes,
    injection,
    model_setup,
    other_models,
    results,
    shout,
    simulation,
    tool_options,
    uploads,
)
from docs_src.test_behind_oidc import test_who_has_a_token_gets_in  # noqa: F401 - shown as an example of a test
from docs_src.test_fit_line import (  # noqa: F401 - shown as an example of a test, and run as one
    test_it_is_a_service,
    test_it_runs_as_a_job,
    test_one_point_makes_no_line,
    test_two_points_make_a_line,
)
from docs_src.test_mcp_behind_oidc import (  # noqa: F401 - likewise
    test_clients_find_the_issuer_and_get_in_with_its_token,
)
from docs_src.test_sidecar import test_the_platform_gets_the_result  # noqa: F401 - likewise
from docs_src.test_uploads import (  # noqa: F401 - likewise
    test_a_table_is_summarised,
    test_a_table_is_uploaded,
)
from lambda_kit import JobContext, JobFailedError, JobStatus, MemoryJobStore, ToolServer
from lambda_kit.core.ports.store import Change
from lambda_kit.testing import TestClient

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
POINTS = {"x": list(range(20)), "y": [2 * x + x * 7 % 5 for x in range(20)]}


def shown_files() -> set[str]:
    return {name for page in PAGES for name in re.findall(r'--8<-- "docs_src/([\w.]+)', page.read_text())}


def test_every_file_is_shown_on_a_page() -> None:
    files = {path.name for path in (ROOT / "docs_src").iterdir() if path.is_file()}
    assert files - {"__init__.py"} == shown_files()


def test_every_python_block_on_a_page_can_be_read() -> None:
    blocks = [
        block for page in PAGES for block in re.findall(r"^```python.*?\n(.*?)^```", page.read_text(), re.S | re.M)
    ]
    assert blocks
    for block in blocks:
        ast.parse(re.sub(r"--8<-- .*", "", block))


def test_a_file_of_any_type_is_compressed() -> None:
    with TestClient(any_file.server) as client:
        answer = client.post("/compress", content=b"a,b", headers={"Content-Type": "text/csv"})
    assert (answer.headers["content-type"], gzip.decompress(answer.content)) == ("application/gzip", b"a,b")


def test_files_are_summarised() -> None:
    photos = [("photos", ("a.jpg", b"123")), ("photos", ("b.jpg", b"45"))]
    with TestClient(uploads.server) as client:
        answer = client.post(
            "/summarise", data={"scale": "2", "taken_on": ""}, files=[("table", ("t.txt", b"1\n2\n6\n")), *photos]
        )
        assert answer.json() == {"name": "t.txt", "count": 3, "mean": 6.0, "photo_bytes": 5}
        in_json = client.post("/summarise", json={"table": {"filename": "t.txt", "content": "MQoyCjYK"}, "scale": 2})
    assert in_json.json() == {**answer.json(), "photo_bytes": 0}


def test_shout_answers_in_capitals() -> None:
    with TestClient(shout.server) as client:
        assert client.post("/shout", json={"text": "hello"}).text == "HELLO!"


def test_a_line_is_fitted_and_described() -> None:
    with TestClient(fit_line.server) as client:
        fitted = client.post("/fit-line", json={"x": [0, 1, 2], "y": [1, 3, 5]})
        described = client.get("/fit-line").json()
        refused = client.post("/fit-line", json={"x": [0], "y": [1]})
    assert fitted.text == '{"$schema":"urn:example:schema:fit-line.1","slope":2.0,"intercept":1.0}'
    assert fitted.headers["job-id"].startswith("urn:ivcap:job:")
    assert described["description"].startswith("Fit a straight line\n")
    assert refused.status_code == 400
    assert refused.json()["type"] == "ValueError"
    assert refused.json()["detail"] == "a line needs as many y as x, and at least two different x"


def test_a_slow_job_is_collected_later() -> None:
    with TestClient(bootstrap.server) as client:
        headers = {"Prefer": "respond-async", "job-id": "my-first"}
        later = client.post("/bootstrap", json={**POINTS, "rounds": 3000}, headers=headers)
        result = client.get(later.headers["location"], headers={"Prefer": "wait=60"})
        again = client.post("/bootstrap", json={**POINTS, "rounds": 3000}, headers={"job-id": "my-first"})
        record = client.get("/jobs/my-first/status").json()
    assert later.status_code == 204
    assert later.headers["location"] == "/bootstrap/jobs/my-first"
    assert later.headers["retry-later"] == "3"
    assert later.headers["preference-applied"] == "respond-async"
    assert result.status_code == 200
    assert result.json()["low"] < result.json()["slope"] < result.json()["high"]
    assert again.json() == result.json()
    assert record["progress"] == {"done": 3000, "total": 3000, "message": "samples drawn"}


async def test_the_reports_of_a_job_are_in_its_log_in_order() -> None:
    store = MemoryJobStore()
    server = ToolServer(bootstrap.service, tools=[bootstrap.Bootstrap], store=store)
    await server.run_tool(bootstrap.Bootstrap, {**POINTS, "rounds": 1000})
    job = (await store.list_jobs()).jobs[0]
    page = await store.read_events(job.id)
    assert page is not None
    assert [event.status or event.schema.rpartition("schema:")[2] for event in page.events] == [
        "pending",
        "executing",
        "service.event.step.start.1",
        "slope.event.1",
        "service.event.step.finish.1",
        "service.event.step.start.1",
        "service.event.generic.1",
        "service.event.generic.1",
        "service.event.step.finish.1",
        "succeeded",
    ]


def test_a_tool_runs_with_a_context_that_reports_to_nobody() -> None:
    request = bootstrap.BootstrapRequest.model_validate({**POINTS, "rounds": 10})
    result = bootstrap.Bootstrap().run(request, JobContext(job_id="a-test"))
    assert result.low <= result.high


def test_a_model_is_loaded_before_the_service_is_ready() -> None:
    with TestClient(model_setup.server) as client:
        assert client.get("/_healtz").status_code == 200
        assert client.post("/predict", json={"x": [1, 2]}).json() == [3, 5]


async def test_a_walk_stops_when_it_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryJobStore()
    server = ToolServer(simulation.service, tools=[simulation.RandomWalk], store=store)
    running: asyncio.Queue[str] = asyncio.Queue()

    def on_change(change: Change) -> None:
        if change.status is JobStatus.EXECUTING and change.job_id is not None:
            running.put_nowait(change.job_id)

    async with server:
        stop_watching = store.subscribe(on_change)
        walk = asyncio.create_task(server.run_tool(simulation.RandomWalk, {"steps": 10**9}))
        async with asyncio.timeout(60):
            await server.cancel(await running.get())
            with pytest.raises(JobFailedError, match="cancelled"):
                await walk
        stop_watching()
    assert "abandoned" not in caplog.text


def test_a_caller_gets_no_more_than_its_share() -> None:
    with TestClient(fair_shares.server) as client:
        for address in ("10.0.0.1", "10.0.0.2"):
            answers = [client.post("/wait", json={}, headers={"X-Forwarded-For": address}) for _ in range(6)]
            assert [answer.status_code for answer in answers] == [200] * 5 + [429]
            policy = '"caller";q=5;w=10, "caller-unfinished";q=20;qu="concurrent-requests"'
            assert answers[-1].headers["ratelimit-policy"] == policy


def test_a_walk_has_limits() -> None:
    with TestClient(simulation.server) as client:
        walked = client.post("/random-walk", json={"steps": 100}, headers={"Job-Time-Limit": "600"})
        refused = client.post("/random-walk", json={"steps": 100}, headers={"Job-Time-Limit": "601"})
    assert (walked.status_code, refused.status_code) == (200, 400)
    assert float(walked.text) >= 0


def test_a_process_computes_and_is_killed_if_it_does_not_listen() -> None:
    with TestClient(in_processes.server) as client:
        factors = client.post("/factorise", json={"number": 2 * 2 * 1009 * 1013}, headers={"Prefer": "wait=50"})
        endless = {"number": (2**61 - 1) * (2**89 - 1)}
        client.post("/factorise", json=endless, headers={"Prefer": "respond-async", "job-id": "endless"})
        cancelled = client.delete("/jobs/endless")
        end = client.get("/jobs/endless", headers={"Prefer": "wait=50"})
        again = client.post("/factorise", json={"number": 6}, headers={"Prefer": "wait=50"})
    assert factors.json() == [2, 2, 1009, 1013]
    assert cancelled.status_code in {200, 202}
    assert end.status_code == 410
    assert again.json() == [2, 3]


def test_the_manifest_gives_the_service_its_grace_and_asks_for_its_health() -> None:
    manifest = (ROOT / "docs_src" / "kubernetes.yaml").read_text()
    [killed_after] = re.findall(r"terminationGracePeriodSeconds: (\d+)", manifest)
    [grace] = re.findall(r'"--grace", "(\d+)"', manifest)
    paths = re.findall(r"(\w+)Probe:.*\n +httpGet: \{ path: (\S+),", manifest)
    assert int(killed_after) >= int(grace) + 15
    assert paths == [("startup", "/_livez"), ("liveness", "/_livez"), ("readiness", "/_healtz")]


def test_an_async_tool_waits_for_all_its_sensors() -> None:
    with TestClient(async_tool.server) as client:
        assert client.post("/mean-of-sensors", json={"sensors": ["a", "bcd"]}).json() == 2


def test_structs_and_dataclasses_are_requests() -> None:
    with TestClient(other_models.server) as client:
        assert client.post("/scale", json={"values": [1, 2], "factor": 3}).json() == {"values": [3, 6]}
        assert client.post("/scale", json={"values": [1, 2], "factor": -3}).status_code == 422
        assert client.post("/shift", json={"values": [1, 2], "by": 3}).json() == [4, 5]
        assert client.post("/shift", json={"$schema": "urn:other", "values": []}).status_code == 422


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        ("model", "application/json", b'{"kind":"model"}'),
        ("dict", "application/json", b'{"mean":2.5}'),
        ("empty", "application/json", b"{}"),
        ("number", "application/json", b"0"),
        ("text", "text/plain; charset=utf-8", b"in words"),
        ("bytes", "application/octet-stream", b"\x00\x01"),
        ("image", "image/png", results.PIXEL),
        ("none", "application/json", b"null"),
    ],
)
def test_the_value_decides_how_a_result_is_sent(kind: str, content_type: str, body: bytes) -> None:
    with TestClient(results.server) as client:
        answer = client.post("/results", json={"kind": kind})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == content_type
    assert answer.content == body


def test_what_run_takes_is_supplied_by_type() -> None:
    with TestClient(injection.server) as client:
        headers = {"Authorization": "Bearer of-news", "job-id": "me", "User-Agent": "a test"}
        told = client.post("/who-am-i", json={}, headers=headers).json()
        in_process = client.post("/in-process", json={}).text
    assert told.pop("url").endswith("/who-am-i")
    assert told == {"greeting": "Hello", "job": "urn:ivcap:job:me", "is-authorized": True, "agent": "a test"}
    assert in_process == "Hello, Who"


def test_options_are_seen_from_outside() -> None:
    with TestClient(tool_options.server) as client:
        headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.com"}
        described = client.get("/scenes/render", headers=headers).json()
        operation = client.get("/openapi.json").json()["paths"]["/scenes/render"]["post"]
        listed = client.get("/jobs").json()
    assert described["service-id"] == "https://api.example.com/scenes/render"
    assert described["name"] == "render"
    assert operation["summary"] == "Render a scene"
    assert operation["tags"] == ["Graphics"]
    assert listed == {"items": []}


def test_an_app_that_exists_gets_the_tools() -> None:
    with LitestarTestClient(existing_app.app) as client:
        assert client.get("/").text == "The tool is at /fit-line"
        assert client.post("/fit-line", json={"x": [0, 1], "y": [1, 3]}).json()["slope"] == 2
        assert client.get("/_healtz").status_code == 200
        assert client.get("/api").status_code == 404


def test_the_moved_greeter_greets() -> None:
    with TestClient(greet.server) as client:
        answer = client.post("/greet", json={"name": "Ada", "count": 2})
    assert answer.json() == {"$schema": "urn:example:schema:my-tool.1", "greeting": "Hello, Ada! Hello, Ada!"}


def test_the_home_page_names_the_version_that_is_built() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"| Version | {version}," in (ROOT / "docs" / "index.md").read_text()
