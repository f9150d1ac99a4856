"""The functions by which ivcap-service lets a service take part in what is reported: they work as it documents them."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from typing import Any

import ivcap_service
import ivcap_service.events
import ivcap_service.ivcap
import pytest
from ivcap_service import BaseEvent, EventReporter, ExecutionError, IvcapResult, SidecarReporter
from pydantic import BaseModel

from lambda_kit import Job, JobContext, LambdaTool, Service, ToolServer
from lambda_kit.adapters.ivcap.result_callback import ResultCallback
from lambda_kit.core.model.job import Payload
from lambda_kit.testing import FakeSidecar, TestClient

pytestmark = pytest.mark.timeout(120)


class Ask(BaseModel):
    kind: str = "model"


class Answer(BaseModel):
    ok: bool = True
    reporter: str = ""


class Work(LambdaTool):
    path = "/"

    def run(self, req: Ask, ctx: JobContext) -> Any:
        with ctx.report.step("load", "loading"):
            if req.kind == "fails":
                raise RuntimeError("boom")
        results = {"text": "é", "bytes": b"\xff", "plain": {"a": 1}}
        return results.get(req.kind, Answer(reporter=type(ctx.report).__name__))


@pytest.fixture
def server() -> ToolServer:
    return ToolServer(Service(name="Hooks", contact={"name": "T", "email": "t@example.com"}), tools=[Work])


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What is set is the process's, and ends with the test."""
    yield
    ivcap_service.set_event_reporter_factory(None)
    ivcap_service.ivcap.result_callback = None
    ivcap_service.set_sidecar_delivery_disabled(False)


@pytest.fixture
def sidecar(fake_sidecar: FakeSidecar, monkeypatch: pytest.MonkeyPatch) -> FakeSidecar:
    monkeypatch.setenv("IVCAP_BASE_URL", fake_sidecar.url)
    return fake_sidecar


def run(client: TestClient, job_id: str, kind: str = "model") -> Any:
    headers = {"job-id": job_id, "Authorization": f"Bearer token-of-{job_id}"}
    return client.post("/", json={"kind": kind}, headers=headers)


class Noted(EventReporter):
    """Notes what it gets."""

    events: list[tuple[str, str | None, dict[str, Any]]]

    def _send(self, event: BaseEvent) -> None:
        self.events.append((self.job_id, self.job_authorization, event.model_dump()))


class NotedAndSent(SidecarReporter):
    """Would also send to the sidecar by itself."""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reporter_of_the_service_gets_the_events_and_so_does_the_sidecar(
    server: ToolServer, sidecar: FakeSidecar, when: str
) -> None:
    Noted.events = []
    if when == "before":
        ivcap_service.set_event_reporter_factory(Noted)
    with TestClient(server) as client:
        if when == "after":
            ivcap_service.set_event_reporter_factory(Noted)
        assert run(client, "a").json()["reporter"] == "Noted"
        sidecar.wait_for_result("a", 60)
    assert [(job_id, token) for job_id, token, _ in Noted.events] == [("a", "Bearer token-of-a")] * 2
    assert [event for _, _, event in Noted.events] == [call.json() for call in sidecar.of("a")[:-1]]


@pytest.mark.parametrize("factory", [SidecarReporter, EventReporter, NotedAndSent])
def test_a_reporter_that_sends_by_itself_sends_nothing_twice(
    server: ToolServer, sidecar: FakeSidecar, factory: type[EventReporter]
) -> None:
    ivcap_service.set_event_reporter_factory(factory)
    with TestClient(server) as client:
        run(client, "a", "fails")
        sidecar.wait_for_result("a", 60)
    assert [call.kind for call in sidecar.of("a")] == ["events", "events", "results"]


def test_a_factory_that_makes_no_reporter_fails_the_job_and_says_so(server: ToolServer) -> None:
    ivcap_service.set_event_reporter_factory(lambda _job_id, _authorization: "reporter")  # type: ignore[arg-type,return-value]
    with TestClient(server) as client:
        answer = run(client, "a")
    assert answer.status_code == 500
    assert answer.json()["message"] == (
        "the factory of set_event_reporter_factory has to return an EventReporter, not a str"
    )


@pytest.mark.parametrize("is_disabled", [False, True])
def test_the_result_callback_gets_result_job_and_authorization(
    server: ToolServer, sidecar: FakeSidecar, is_disabled: bool
) -> None:
    told: queue.Queue[tuple[Any, str, str | None]] = queue.Queue()
    ivcap_service.set_result_callback(lambda *what: told.put(what))
    ivcap_service.set_sidecar_delivery_disabled(is_disabled)
    with TestClient(server) as client:
        for kind in ("model", "text", "bytes", "plain", "fails"):
            run(client, kind, kind)
        got = {job_id: (result, token) for result, job_id, token in (told.get(timeout=60) for _ in range(5))}
    assert {token for _, token in got.values()} == {f"Bearer token-of-{job_id}" for job_id in got}
    results = {job_id: result for job_id, (result, _) in got.items()}
    error = results.pop("fails")
    assert isinstance(error, ExecutionError)
    assert (error.type, error.error) == ("RuntimeError", "boom")
    assert all(isinstance(result, IvcapResult) for result in results.values())
    shown = {job_id: (result.content_type, result.content) for job_id, result in results.items()}
    assert shown == {
        "model": ("application/json", '{"ok":true,"reporter":"_Reporter"}'),
        "text": ("text/plain", "é"),
        "bytes": ("application/octet-stream", b"\xff"),
        "plain": ("application/json", '{"a":1}'),
    }
    assert (results["text"].raw, results["bytes"].raw, results["plain"].raw) == ("é", b"\xff", {"a": 1})
    assert bool(sidecar.calls) is not is_disabled


def test_a_callback_that_fails_harms_nothing(server: ToolServer, caplog: pytest.LogCaptureFixture) -> None:
    called: queue.Queue[str] = queue.Queue()

    def fails(_result: object, job_id: str, _authorization: str | None) -> None:
        called.put(job_id)
        raise OSError(f"no room for token-of-{job_id}")

    ivcap_service.set_result_callback(fails)
    with TestClient(server) as client:
        for job_id in ("first", "second"):
            assert run(client, job_id).status_code == 200
            assert called.get(timeout=60) == job_id
    assert "job first: the callback of set_result_callback failed" in caplog.text
    assert "token-of-first" not in caplog.text


async def test_its_thread_ends_though_more_results_wait_than_it_keeps() -> None:
    may_go_on, told = threading.Event(), 0

    def slow(_result: Any, _job_id: str, _authorization: str | None) -> None:
        nonlocal told
        assert may_go_on.wait(60)
        told += 1

    ivcap_service.set_result_callback(slow)
    callback = ResultCallback({})
    job = Job(id="a", tool="work", requested_at=0.0)
    for _ in range(1100):
        callback.ended(job, Payload(b"{}", "application/json"), None)
    thread = callback.stop()
    assert thread is not None
    may_go_on.set()
    await asyncio.to_thread(thread.join, 60)
    assert not thread.is_alive()
    assert told >= 1000


async def test_run_tool_is_the_services_own_business(server: ToolServer, sidecar: FakeSidecar) -> None:
    told: queue.Queue[str] = queue.Queue()
    ivcap_service.set_result_callback(lambda _result, job_id, _authorization: told.put(job_id))
    async with server:
        assert (await server.run_tool(Work, Ask()))["ok"]
    assert sidecar.calls == []
    assert told.empty()


async def test_the_trace_of_a_job_that_came_by_no_request_goes_on_too(server: ToolServer, sidecar: FakeSidecar) -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "v=1"}
    async with server:
        body = Payload(b"{}", "application/json")
        await server.jobs.submit_and_wait("work", body, wait_seconds=60, job_id="traced", **trace)
    [result] = [call for call in sidecar.of("traced") if call.kind == "results"]
    assert {name: result.headers[name] for name in trace} == trace


def test_a_server_can_be_run_again_with_another_sidecar(server: ToolServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        with FakeSidecar() as sidecar:
            monkeypatch.setenv("IVCAP_BASE_URL", sidecar.url)
            with TestClient(server) as client:
                run(client, f"a{n}")
                sidecar.wait_for_result(f"a{n}", 60)
            assert {call.job_id for call in sidecar.calls} == {f"a{n}"}
    monkeypatch.delenv("IVCAP_BASE_URL")
    with TestClient(server) as client:
        assert run(client, "last").status_code == 200
    assert server._engine.relays == []
