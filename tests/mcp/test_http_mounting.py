"""MCP in an app of one's own: as a plugin, mounted, below a proxy's prefix, added later, with hooks around it."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.config.compression import CompressionConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.testing import TestClient as AppClient
from starlette.applications import Starlette
from starlette.routing import Mount

from lambda_kit import ConfigurationError, LambdaTool, McpOptions, ToolServer
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server
from tests.mcp.http_client import HTTP_SERVICE, envelope, modern_fields, post, request
from tests.support.service_process import ServiceProcess

CALL = {"name": "echo", "arguments": {"text": "hi"}}
LOCAL = "http://127.0.0.1:8090"


class Echo(LambdaTool):
    """Say it again"""

    async def run(self, req: Ask) -> str:
        return req.text


def calls(client: Any, path: str) -> None:
    """Call the tool in both eras, with a slash at the end of the path and without."""
    for where in (path, f"{path}/"):
        for fields, meta in ((None, {}), (modern_fields("tools/call", "echo"), {"_meta": envelope()})):
            answer = post(client, request("tools/call", {**CALL, **meta}), fields, where)
            assert (answer.status_code, len(answer.history)) == (200, 0), answer.text
            assert answer.json()["result"]["content"][0]["text"] == "hi"


@pytest.mark.parametrize("root_path", ["", "/proxy"])
@pytest.mark.parametrize("app_path", ["/", "/v1/x"])
def test_as_a_plugin_it_is_below_the_path_of_the_app(root_path: str, app_path: str) -> None:
    app = Litestar(path=app_path, plugins=[a_server(Echo, mcp=True).plugin()])
    with AppClient(app, root_path=root_path, base_url=LOCAL) as client:
        calls(client, "/mcp" if app_path == "/" else f"{app_path}/mcp")


def lifespan_of(server: ToolServer) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with server:
            yield

    return lifespan


def test_it_can_be_mounted_in_a_starlette_app() -> None:
    server = a_server(Echo, mcp=True)
    app: Any = Starlette(routes=[Mount("/tools", server)], lifespan=lifespan_of(server))
    with AppClient(app, base_url=LOCAL) as client:
        calls(client, "/tools/mcp")


@pytest.mark.parametrize("strips", [True, False])
def test_a_proxy_may_take_its_prefix_away_or_leave_it(strips: bool) -> None:
    server = a_server(Echo, mcp=True, root_path="/svc", allowed_hosts=["*"])
    with TestClient(server, base_url=LOCAL) as client:
        calls(client, "/mcp" if strips else "/svc/mcp")


def test_it_can_be_added_after_the_app_was_made() -> None:
    server = a_server(Echo)
    app = server.app
    assert AppClient(app, base_url=LOCAL).post("/mcp").status_code == 404
    server.add_mcp()
    server.add_mcp()
    with TestClient(server, base_url=LOCAL) as client:
        calls(client, "/mcp")


def test_it_can_not_be_added_while_the_server_runs() -> None:
    server = a_server(Echo)
    with TestClient(server), pytest.raises(ConfigurationError, match="the server is running"):
        server.add_mcp()


def test_without_it_the_path_is_not_found() -> None:
    with TestClient(a_server(Echo), base_url=LOCAL) as client:
        assert post(client, request("ping")).status_code == 404


@pytest.mark.parametrize("mcp", [None, 1, "yes", {}, McpOptions])
def test_what_is_no_setting_of_mcp_is_refused(mcp: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"ToolServer\(mcp="):
        a_server(Echo, mcp=mcp)


def forbid(_connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    raise NotAuthorizedException(detail="not you")


def test_guards_of_the_server_hold_for_it() -> None:
    with TestClient(a_server(Echo, mcp=True, guards=[forbid]), base_url=LOCAL) as client:
        assert post(client, request("tools/call", CALL)).status_code == 401


def test_middleware_of_the_server_sees_its_requests() -> None:
    seen: list[str] = []

    def noting(app: Any) -> Any:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            await app(scope, receive, send)

        return middleware

    with TestClient(a_server(Echo, mcp=True, middleware=[noting]), base_url=LOCAL) as client:
        calls(client, "/mcp")
    assert len(seen) == 4


def test_streams_are_not_compressed_which_would_hold_them_back() -> None:
    server = a_server(Echo, mcp=True, compression=CompressionConfig("gzip", minimum_size=1))
    with TestClient(server, base_url=LOCAL) as client:
        assert client.get("/openapi.json").headers["content-encoding"] == "gzip"
        for where in ("/mcp", "/mcp/"):
            answer = post(client, request("tools/call", CALL), {"accept": "text/event-stream"}, where)
            assert answer.headers["content-type"] == "text/event-stream"
            assert "content-encoding" not in answer.headers


def test_a_body_that_a_hook_has_read_is_still_answered() -> None:
    async def reading(asked: Any) -> None:
        await asked.body()

    def read_it(config: Any) -> Any:
        config.before_request = reading
        return config

    with TestClient(a_server(Echo, mcp=True, on_app_init=[read_it]), base_url=LOCAL) as client:
        calls(client, "/mcp")


@pytest.mark.parametrize("middleware", [[], [lambda app: app]], ids=["beside Litestar", "through Litestar"])
def test_a_service_that_does_not_run_says_so(middleware: list[Any]) -> None:
    server = a_server(Echo, mcp=True, middleware=middleware)
    answer = post(AppClient(server.app, base_url=LOCAL), request("tools/call", CALL))
    result = answer.json()["result"]
    assert result["isError"] is True
    assert "the service is starting or stopping" in result["content"][0]["text"]


def test_workers_share_it(tmp_path: Path) -> None:
    args = ["--with-mcp", "--workers", "2", "--store", f"sqlite:///{tmp_path / 'jobs.db'}"]
    with ServiceProcess(HTTP_SERVICE, args, seconds=90.0) as service:

        async def call(client: httpx.AsyncClient, number: int) -> None:
            params = {"name": "echo", "arguments": {"text": str(number)}}
            answer = await client.post(f"{service.url}/mcp", json=request("tools/call", params, number))
            assert answer.json()["id"] == number
            assert f'"text":"{number}"' in answer.json()["result"]["content"][0]["text"].replace(" ", "")

        async def many() -> None:
            async with httpx.AsyncClient(timeout=60) as client:
                await asyncio.gather(*[call(client, number) for number in range(60)])

        asyncio.run(many())


def test_a_service_without_it_does_not_load_its_packages() -> None:
    code = (
        "import sys; from tests.mcp.http_service import server; from lambda_kit.testing import TestClient\n"
        "with TestClient(server) as client: assert client.post('/echo', json={}).status_code == 200\n"
        "assert not {'mcp', 'mcp_types'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def test_a_server_that_is_started_again_has_standing_streams_again() -> None:
    server = a_server(Echo, mcp=True)
    fields = modern_fields("subscriptions/listen")
    message = request("subscriptions/listen", {"notifications": {}, "_meta": envelope()})
    for _ in range(2):
        async with server, httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url=LOCAL) as client:
            asking = asyncio.create_task(client.post("/mcp", json=message, headers=fields))
            done, _ = await asyncio.wait([asking], timeout=0.3)
            assert not done, asking.result().text
            await server.drain()
            async with asyncio.timeout(60):
                answer = await asking
            assert '"resultType":"complete"' in answer.text
