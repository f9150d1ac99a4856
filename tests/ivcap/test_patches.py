"""The patches of client libraries: there while a server runs, and gone without a trace."""

import asyncio
import functools
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import pytest
import requests
from pydantic import BaseModel
from requests.adapters import HTTPAdapter

from lambda_kit import LambdaTool, Service, ToolServer
from tests.ivcap.recorder import Recorder
from tests.support.service_command import ROOT

SERVICE = Service(name="T", contact={"name": "T", "email": "t@example.com"})


class Order(BaseModel):
    url: str


class Fetch(LambdaTool):
    """Calls a URL."""

    def run(self, req: Order) -> int:
        requests.get(req.url)
        return httpx.get(req.url).status_code + httpx2.get(req.url).status_code


def a_server() -> ToolServer:
    return ToolServer(SERVICE, tools=[Fetch])


def patchable() -> list[Any]:
    owners = [
        requests.Session, HTTPAdapter, httpx.Client, httpx.AsyncClient, httpx.HTTPTransport,
        httpx.AsyncHTTPTransport, httpx2.Client, httpx2.AsyncClient, httpx2.HTTPTransport,
    ]  # fmt: skip
    return [*(dict(vars(owner)) for owner in owners), list(sys.meta_path)]


@pytest.fixture
async def marked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recorder]:
    """A recorder that counts as a part of the platform."""
    with Recorder() as recorder:
        monkeypatch.setenv("IVCAP_URL", recorder.url("127.0.0.1"))
        yield recorder


async def marks_of(server: ToolServer, recorder: Recorder) -> list[bool]:
    await server.run_tool(Fetch, Order(url=recorder.url("127.0.0.1")))
    return [call.of("Ivcap-Job-Id") is not None for call in recorder.take()]


async def test_fifty_starts_and_stops_leave_the_originals(marked: Recorder) -> None:
    before = patchable()
    server = a_server()
    for _ in range(49):
        async with server:
            assert patchable() != before
        assert patchable() == before
    async with server:
        assert await marks_of(server, marked) == [True] * 3
    assert patchable() == before


async def test_servers_of_one_process_share_the_patches(marked: Recorder) -> None:
    before = patchable()
    a, b = a_server(), a_server()
    async with a:
        patched = patchable()
        async with b:
            assert patchable() == patched
            assert await marks_of(b, marked) == [True] * 3
        assert patchable() == patched
        assert await marks_of(a, marked) == [True] * 3
    assert patchable() == before


async def test_a_start_that_fails_leaves_the_originals() -> None:
    class Broken(Fetch):
        def setup(self) -> None:
            raise OSError("no model")

    before = patchable()
    with pytest.raises(Exception, match="no model"):
        await ToolServer(SERVICE, tools=[Broken]).run_tool(Broken, Order(url=""))
    assert patchable() == before


async def test_a_patch_of_somebody_else_on_top_stays_and_marks_once(
    marked: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = []
    server = a_server()
    original = HTTPAdapter.send
    async with server:
        inner = HTTPAdapter.send

        @functools.wraps(inner)
        def theirs(self: Any, request: Any, **options: Any) -> Any:
            passed.append(request.url)
            return inner(self, request, **options)

        monkeypatch.setattr(HTTPAdapter, "send", theirs)
    assert HTTPAdapter.send is theirs
    await asyncio.to_thread(requests.get, marked.url("127.0.0.1"))
    assert [call.of("Ivcap-Job-Id") for call in marked.take()] == [None]
    async with server:
        assert await marks_of(server, marked) == [True] * 3
    assert HTTPAdapter.send is theirs
    assert len(passed) == 2
    monkeypatch.undo()
    monkeypatch.setattr(HTTPAdapter, "send", original)


async def test_code_outside_of_jobs_sends_no_marks(marked: Recorder) -> None:
    async with a_server():
        await asyncio.to_thread(requests.get, marked.url("127.0.0.1"))
        async with httpx.AsyncClient() as client:
            await client.get(marked.url("127.0.0.1"))
    assert [call.of("Ivcap-Job-Id") for call in marked.take()] == [None, None]


LATE = """
import asyncio, sys
from lambda_kit import LambdaTool, Service, ToolServer
from pydantic import BaseModel
from requests.adapters import HTTPAdapter

class Order(BaseModel):
    text: str = ""

class Late(LambdaTool):
    "Imports its client in the job."
    def run(self, req: Order) -> str:
        import httpx2
        return f"{httpx2.Client._send_single_request.__module__} {type(httpx2.__loader__).__name__}"

async def main():
    server = ToolServer(Service(name="T", contact={"name": "T", "email": "t@example.com"}), tools=[Late])
    finders = list(sys.meta_path)
    async with server:
        assert "httpx2" not in sys.modules, "the server has imported it"
        print(await server.run_tool(Late, Order()))
        print("_lambda_kit_switch" in vars(sys.modules["httpx2"].Client._send_single_request))
    print("_lambda_kit_switch" in vars(sys.modules["httpx2"].Client._send_single_request), finders == sys.meta_path)

asyncio.run(main())
"""


def test_a_client_library_that_is_imported_in_a_job_is_patched_then_and_left_as_it_was() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LATE], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    assert ended.stdout.split("\n")[:3] == ["httpx2._client SourceFileLoader", "True", "False True"], ended.stderr


@pytest.mark.parametrize("proxy", ["proxy:8080", "ftp://egress.test", "http://[::1"])
async def test_a_proxy_that_is_none_is_left_out_with_a_warning_that_does_not_show_it(
    proxy: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("IVCAP_PROXY_URL", proxy)
    with Recorder() as recorder:
        async with a_server() as server:
            assert await server.run_tool(Fetch, Order(url=recorder.url("127.0.0.1"))) == 400
    warnings = [record.message for record in caplog.records if "IVCAP_PROXY_URL" in record.message]
    assert len(warnings) == 1
    assert proxy not in warnings[0]
