"""A service that is told to stop while calls are open: each of them is answered."""

import asyncio
import signal
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from mcp.client.client import Client

from tests.conftest import StartService
from tests.mcp.heard import Heard
from tests.mcp.modern import ModernClient
from tests.mcp.streams import LATEST, MODERN, RawClient, SseEvent, progress_of, result_of
from tests.mcp.test_long_calls import job_in
from tests.support.gate import Gate
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.timeout(180), pytest.mark.processes]

FILE = Path(__file__).with_name("long_service.py")


@pytest.fixture
def gate() -> Generator[Gate]:
    with Gate() as a_gate:
        yield a_gate


class OpenCalls:
    """Calls that wait for their answers, each in a thread of its own."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._pool = self._stack.enter_context(ThreadPoolExecutor(32))
        self.answers: list[Future[dict[str, Any]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self, client: RawClient, tool: str, arguments: dict[str, Any], token: int | None = None) -> None:
        """Call a tool; what was told of progress is seen to be right, and dropped."""

        def call() -> dict[str, Any]:
            with client.stream(tool, arguments, token=token) as events:
                return progress_of(events)[1]

        self.answers.append(self._pool.submit(call))

    def resume(self, client: RawClient, event_id: str) -> Future[list[SseEvent]]:
        """Go on with a stream, to its end."""

        def follow() -> list[SseEvent]:
            with client.resumed(event_id) as events:
                return list(events)

        return self._pool.submit(follow)

    def texts(self) -> list[str]:
        """What the answers say."""
        return [answer.result(60)["result"]["content"][0]["text"] for answer in self.answers]


def begin_stop(service: ServiceProcess) -> None:
    service.process.send_signal(signal.SIGTERM)
    service.wait_for_log("stopping when the jobs that were accepted have ended")


def all_kinds(url: str, stack: ExitStack) -> list[tuple[RawClient, int | None]]:
    """Twenty clients, of both eras, with and without a token."""
    clients = [stack.enter_context(RawClient(url, version)) for version in (LATEST, "2025-06-18", MODERN, MODERN) * 5]
    return [(client, None if n % 8 < 4 else n) for n, client in enumerate(clients)]


@pytest.mark.parametrize("store", ["memory://", "sqlite:///{}/jobs.db"], ids=["memory", "sqlite"])
def test_calls_that_end_in_time_are_answered_and_then_the_process_is_gone(
    service_process: StartService, gate: Gate, tmp_path: Path, store: str
) -> None:
    service = service_process(FILE, ["--store", store.format(tmp_path)])
    with ExitStack() as stack, OpenCalls() as calls:
        for client, token in all_kinds(service.url, stack):
            calls.begin(client, "held", {"gate": gate.port}, token)
            gate.wait_for_arrival()
        resumer = stack.enter_context(RawClient(service.url))
        with resumer.stream("held", {"gate": gate.port}) as events:
            known = next(events).id
            gate.wait_for_arrival()
        assert known is not None
        resumed = calls.resume(resumer, known)
        listeners = [stack.enter_context(ModernClient(service.url)) for _ in range(4)]
        streams = [stack.enter_context(one.stream("subscriptions/listen", notifications={})) for one in listeners]
        for stream in streams:
            next(stream)
        begin_stop(service)
        late = stack.enter_context(RawClient(service.url, MODERN)).call("held", {})
        gate.release_all()
        assert calls.texts() == ["done"] * 20
        assert result_of(resumed.result(60)[-1])["content"][0]["text"] == "done"
        for stream in streams:
            list(stream)
        assert service.process.wait(60) == 0
    assert late["isError"]


def test_calls_that_end_elsewhere_are_answered_by_the_names_of_their_jobs_or_as_tasks(
    service_process: StartService, gate: Gate, tmp_path: Path
) -> None:
    store = ["--store", f"sqlite:///{tmp_path}/jobs.db"]
    service = service_process(FILE, store, env={"LONG_GRACE": "3"})
    with ExitStack() as stack, OpenCalls() as calls:
        for client, token in all_kinds(service.url, stack):
            calls.begin(client, "once_more", {"gate": gate.port}, token)
            gate.wait_for_arrival()
        with_tasks = stack.enter_context(RawClient(service.url, MODERN, takes_tasks=True))
        calls.begin(with_tasks, "once_more", {"gate": gate.port})
        gate.wait_for_arrival()
        begin_stop(service)
        task = calls.answers.pop().result(60)["result"]
        texts = calls.texts()
        assert service.process.wait(60) == 0
    assert task["resultType"] == "task"
    jobs = [job_in(text) for text in texts]
    assert len(set(jobs)) == 20
    gate.release_all()
    after = service_process(FILE, store)
    with RawClient(after.url, MODERN) as client:
        for _ in range(21):
            gate.wait_for_arrival().release()
        for job_id in [*jobs, task["taskId"]]:
            assert client.call("job_result", {"job_id": job_id})["content"][0]["text"] == "done"


@pytest.mark.parametrize(
    ("store", "tool"), [("memory://", "held"), ("memory://", "once_more"), ("sqlite:///{}/j", "held")]
)
def test_calls_whose_jobs_end_with_the_process_are_told_so(
    service_process: StartService, gate: Gate, tmp_path: Path, store: str, tool: str
) -> None:
    service = service_process(FILE, ["--store", store.format(tmp_path)], env={"LONG_GRACE": "1"})
    with ExitStack() as stack, OpenCalls() as calls:
        for version in (LATEST, MODERN):
            for token in (None, 0):
                calls.begin(stack.enter_context(RawClient(service.url, version)), tool, {"gate": gate.port}, token)
                gate.wait_for_arrival()
        begin_stop(service)
        answers = [answer.result(60)["result"] for answer in calls.answers]
        assert service.process.wait(60) == 0
    assert all(answer["isError"] for answer in answers)
    assert all("cancelled" in answer["content"][0]["text"] for answer in answers)


def test_a_resumed_stream_is_told_to_come_again_and_goes_on_at_the_next_process(
    service_process: StartService, gate: Gate, tmp_path: Path
) -> None:
    store = ["--store", f"sqlite:///{tmp_path}/jobs.db"]
    service = service_process(FILE, store, env={"LONG_GRACE": "2"})
    with RawClient(service.url) as client, OpenCalls() as calls:
        with client.stream("once_more", {"gate": gate.port}, request_id="mine") as events:
            known = next(events).id
            gate.wait_for_arrival()
        assert known is not None
        rest = calls.resume(client, known)
        begin_stop(service)
        events_at_stop = rest.result(60)
        assert service.process.wait(60) == 0
    assert [event.retry for event in events_at_stop if event.retry] == [1000]
    assert not [event for event in events_at_stop if event.data]
    after = service_process(FILE, store)
    with RawClient(after.url, session=client.session) as client, client.resumed(known) as events:
        gate.wait_for_arrival().release()
        answer = progress_of(events)[1]
    assert (answer["id"], answer["result"]["content"][0]["text"]) == ("mine", "done")


def test_polls_for_a_job_that_goes_on_elsewhere_are_answered(
    service_process: StartService, gate: Gate, tmp_path: Path
) -> None:
    store = ["--store", f"sqlite:///{tmp_path}/jobs.db"]
    service = service_process(FILE, store, env={"LONG_GRACE": "2", "LONG_WAIT": "0.3"})
    with ExitStack() as stack, OpenCalls() as calls:
        clients = [stack.enter_context(RawClient(service.url, version)) for version in (LATEST, MODERN)]
        for client in clients:
            text = client.call("once_more", {"gate": gate.port})["content"][0]["text"]
            gate.wait_for_arrival()
            calls.begin(client, "job_result", {"job_id": job_in(text), "wait_seconds": 40})
        begin_stop(service)
        assert all(text.startswith("still running") for text in calls.texts())
        assert service.process.wait(60) == 0


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_the_official_client_gets_its_answer_from_a_service_that_stops(
    service_process: StartService, gate: Gate, mode: str
) -> None:
    service = service_process(FILE)
    async with Client(f"{service.url}/mcp", mode=mode) as client:
        await client.list_tools()  # else it lists behind its call, and meets a closed port
        call = asyncio.create_task(client.call_tool("held", {"gate": gate.port}, progress_callback=Heard()))
        await asyncio.to_thread(gate.wait_for_arrival)
        await asyncio.to_thread(begin_stop, service)
        gate.release_all()
        result = await call
    assert result.content[0].model_dump()["text"] == "done"
    assert await asyncio.to_thread(service.process.wait, 60) == 0
