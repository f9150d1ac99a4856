"""A client that goes away while it waits leaves nothing behind but its job."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambda_kit import JobSettings, JobStatus, MemoryJobStore
from lambda_kit.core.jobs.settings import Pauses
from lambda_kit.server import ToolServer
from tests.core.running_tools import LONG_SECONDS, AsyncDoor, a_server, until


@dataclass
class Client:
    """Asks by the server's side of a connection (ASGI), and may close it."""

    server: ToolServer
    sent: list[Any] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    has_read_body: bool = False

    async def ask(self, method: str, path: str, **fields: str) -> None:
        headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "extensions": {},
        }
        await self.server.app(scope, self._receive, self._send)  # type: ignore[arg-type]

    async def _receive(self) -> Any:
        if not self.has_read_body:
            self.has_read_body = True
            return {"type": "http.request", "body": b"{}", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("seconds", ["300", "2"])
async def test_clients_that_go_away_while_they_wait_are_not_waited_for_and_their_jobs_go_on(seconds: str) -> None:
    tool, store = AsyncDoor(), MemoryJobStore()
    async with a_server(tool, store=store) as server, asyncio.timeout(LONG_SECONDS):
        before = asyncio.all_tasks()
        clients = [Client(server) for _ in range(20)]
        asking = [
            asyncio.create_task(client.ask("POST", "/async-door", prefer=f"wait={seconds}", job_id=f"job-{n}"))
            for n, client in enumerate(clients)
        ]
        pollers = [Client(server) for _ in range(5)]
        await until(lambda: tool.begun == 20)
        asking += [
            asyncio.create_task(client.ask("GET", "/jobs/job-0", prefer=f"wait={seconds}")) for client in pollers
        ]
        for client in [*clients, *pollers]:
            client.left.set()
        await asyncio.gather(*asking)
        assert tool.cleaned == 0
        assert await store.counts() == {("async_door", JobStatus.EXECUTING): 20}
        tool.door.set()
        await until(lambda: asyncio.all_tasks() <= before)
        assert await store.counts() == {("async_door", JobStatus.SUCCEEDED): 20}
        assert server._engine.waiters._by_job == {}


async def test_one_who_goes_away_does_not_end_the_wait_of_another() -> None:
    tool = AsyncDoor()
    async with a_server(tool) as server, asyncio.timeout(LONG_SECONDS):
        leaving, staying = Client(server), Client(server)
        asking = [
            asyncio.create_task(client.ask("POST", "/async-door", prefer="wait=300", job_id="job"))
            for client in (leaving, staying)
        ]
        leaving.left.set()
        await asking[0]
        assert not asking[1].done()
        tool.door.set()
        await asking[1]
    assert [message.get("status") for message in staying.sent] == [200, None]


async def test_a_client_that_goes_away_within_its_body_makes_no_job() -> None:
    tool, store = AsyncDoor(), MemoryJobStore()
    async with a_server(tool, store=store) as server, asyncio.timeout(LONG_SECONDS):
        client = Client(server, has_read_body=True)  # nothing of it ever comes
        client.left.set()
        await client.ask("POST", "/async-door", content_length="2")
        assert await store.counts() == {}


async def test_a_stop_goes_on_waiting_for_who_fetches_a_result_of_which_only_the_head_was_asked() -> None:
    tool, pauses = AsyncDoor(), Pauses(linger_seconds=600.0)
    server = a_server(tool, pauses=pauses, settings=JobSettings(grace_seconds=600.0))
    async with server, asyncio.timeout(LONG_SECONDS):
        await Client(server).ask("POST", "/async-door", prefer="respond-async", job_id="job-0")
        await until(lambda: tool.begun)
        server.begin_stop()
        stop = asyncio.create_task(server.drain())
        tool.door.set()
        for path in ("/jobs/job-0", "/async-door/jobs/job-0"):
            head = Client(server)
            await head.ask("HEAD", path, prefer="wait=60")
            assert head.sent[0]["status"] == 200
        for _ in range(100):
            await asyncio.sleep(0)
        assert not stop.done()
        await Client(server).ask("GET", "/jobs/job-0", prefer="wait=60")
        await stop
