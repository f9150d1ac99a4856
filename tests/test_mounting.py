"""A server within an app of one's own: under a path, behind a proxy's prefix, with hooks and options of routes."""

import asyncio
import contextlib
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.testing import TestClient as AppClient
from starlette.applications import Starlette
from starlette.routing import Mount

from lambda_kit import ConfigurationError, LambdaTool, ToolDefinitionError, ToolOptions, ToolServer
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server

LATER = {"prefer": "respond-async"}


class Echo(LambdaTool):
    """Say it again"""

    async def run(self, req: Ask) -> str:
        return req.text


class AtRoot(Echo):
    """Say it again, at the root"""

    name, path = "at_root", "/"


def with_route(**options: Any) -> type[LambdaTool]:
    return type("Routed", (Echo,), {"options": ToolOptions(post_route_opts=options)})


# --- where it is mounted ---


@pytest.mark.parametrize("root_path", ["", "/proxy", "/a/b"])
@pytest.mark.parametrize("app_path", ["/", "/v1", "/v1/x"])
@pytest.mark.parametrize("tool_path", ["/echo", "/"])
def test_locations_and_links_have_the_prefix_and_can_be_fetched(root_path: str, app_path: str, tool_path: str) -> None:
    base = "" if app_path == "/" else app_path
    tool = AtRoot if tool_path == "/" else Echo
    app = Litestar(path=app_path, plugins=[a_server(tool).plugin()])
    with AppClient(app, root_path=root_path) as client:
        later = client.post(base + tool_path, json={"text": "hi"}, headers={"job-id": "mine", **LATER})
        assert later.status_code == 204
        location = later.headers["location"]
        assert location == f"{root_path}{base}{tool_path.rstrip('/')}/jobs/mine"
        answer = client.get(location.removeprefix(root_path), headers={"prefer": "wait=20"})
        assert (answer.status_code, answer.text) == (200, "hi")
        record = client.get(f"{base}/jobs/mine/status").json()
        assert record["links"]["result"] == location
        assert record["links"]["self"] == f"{root_path}{base}/jobs/mine/status"
        assert record["links"]["events"].startswith(f"{root_path}{base}/jobs/mine/")
        for link in ("self", "result"):
            assert client.get(record["links"][link].removeprefix(root_path)).status_code == 200


def test_the_body_of_a_202_and_a_poll_have_the_prefix_too() -> None:
    class Waits(LambdaTool):
        def __init__(self) -> None:
            self.door = asyncio.Event()

        async def run(self, req: Ask) -> str:
            await self.door.wait()
            return req.text

        async def is_ready(self) -> bool:  # called on the server's loop
            self.door.set()
            return True

    app = Litestar(path="/v1", plugins=[a_server(Waits()).plugin()])
    with AppClient(app) as client:
        wish = {"job-id": "mine", "prefer": "respond-async, return=representation"}
        later = client.post("/v1/waits", json={"text": "hi"}, headers=wish)
        assert (later.status_code, later.json()["location"]) == (202, "/v1/waits/jobs/mine")
        for path in ("/v1/waits/jobs/mine", "/v1/jobs/mine"):
            assert client.get(path).headers["location"] == "/v1/waits/jobs/mine"
        assert client.get("/v1/_healtz").status_code == 200
        assert client.get("/v1/jobs/mine", headers={"prefer": "wait=20"}).text == "hi"


def lifespan_of(server: ToolServer) -> Any:
    """The lifespan of an app that does not pass its own on to what is mounted in it."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        async with server:
            yield

    return lifespan


def test_a_server_is_an_asgi_app_itself() -> None:
    with AppClient(a_server(Echo)) as client:
        assert client.post("/echo", json={"text": "hi"}).text == "hi"


@pytest.mark.parametrize("what", ["server", "app"])
def test_a_server_can_be_mounted_in_a_starlette_app(what: str) -> None:
    server = a_server(Echo)
    mounted: Any = server if what == "server" else server.app
    app: Any = Starlette(routes=[Mount("/tools", mounted)], lifespan=lifespan_of(server))
    with AppClient(app) as client:
        later = client.post("/tools/echo", json={"text": "hi"}, headers={"job-id": "mine", **LATER})
        assert (later.status_code, later.headers["location"]) == (204, "/tools/echo/jobs/mine")
        assert client.get(later.headers["location"], headers={"prefer": "wait=20"}).text == "hi"
        assert client.get("/tools/jobs/mine/status").json()["links"]["self"] == "/tools/jobs/mine/status"
        assert client.get("/tools/openapi.json").json()["servers"] == [{"url": "/tools"}]


def test_without_the_lifespan_the_log_says_once_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    app: Any = Starlette(routes=[Mount("/tools", a_server(Echo))])
    with AppClient(app) as client:
        answers = [client.post("/tools/echo", json={"text": "hi"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert client.get("/tools/_healtz").json()["detail"] == "the service has not been started"
    [line] = [record.getMessage() for record in caplog.records if "has not been started" in record.getMessage()]
    assert "'async with server: yield'" in line


def test_a_server_that_is_starting_or_has_stopped_is_not_called_one_without_lifespan(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = a_server(Echo)
    with TestClient(server):
        pass
    answer = AppClient(server).post("/echo", json={"text": "hi"})
    assert answer.status_code == 503
    assert "has not been started" not in caplog.text


# --- hooks and options ---


def test_an_after_request_hook_of_the_app_can_set_a_header_everywhere() -> None:
    def after(response: Response[Any]) -> Response[Any]:
        response.headers["x-site"] = "lab"
        return response

    app = Litestar(plugins=[a_server(Echo, job_list=True).plugin()], after_request=after)
    with AppClient(app) as client:
        answers = [
            client.post("/echo", json={"text": "hi"}, headers={"job-id": "mine"}),
            client.post("/echo", json={"text": "hi"}, headers=LATER),
            *(
                client.get(path)
                for path in ("/echo", "/_healtz", "/_livez", "/jobs", "/jobs/mine", "/jobs/mine/status")
            ),
        ]
    assert [answer.status_code for answer in answers] == [200, 204, 200, 200, 200, 200, 200, 200]
    assert [answer.headers["x-site"] for answer in answers] == ["lab"] * len(answers)
    assert answers[0].text == "hi"
    assert answers[0].headers["job-id"] == "urn:ivcap:job:mine"


def test_an_after_request_hook_may_be_async_and_change_or_remove_a_header() -> None:
    async def after(response: Response[Any]) -> Response[Any]:
        await asyncio.sleep(0)
        response.headers["job-id"] = "hidden"
        del response.headers["ivcap-ai-tool-version"]
        return response

    app = Litestar(plugins=[a_server(Echo).plugin()], after_request=after)
    with AppClient(app) as client:
        answer = client.post("/echo", json={"text": "hi"})
    assert (answer.status_code, answer.text, answer.headers["job-id"]) == (200, "hi", "hidden")
    assert "ivcap-ai-tool-version" not in answer.headers


def test_a_tools_route_may_have_a_summary_and_guards_of_its_own() -> None:
    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        if connection.headers.get("authorization") != "Bearer key":
            raise NotAuthorizedException("no key")

    with TestClient(a_server(with_route(summary="Say it", guards=[guard]))) as client:
        refused = client.post("/routed", json={"text": "hi"})
        assert (refused.status_code, refused.json()["detail"]) == (401, "no key")
        assert client.post("/routed", json={"text": "hi"}, headers={"authorization": "Bearer key"}).text == "hi"
        assert client.get("/openapi.json").json()["paths"]["/routed"]["post"]["summary"] == "Say it"


@pytest.mark.parametrize(
    "option", [{"path": "/other"}, {"status_code": 201}, {"http_method": "PUT"}, {"media_type": "text/html"}], ids=str
)
def test_what_a_route_may_not_set_is_refused_with_the_class(option: dict[str, Any]) -> None:
    [name] = option
    with pytest.raises(ToolDefinitionError, match=rf"Routed\.options: post_route_opts can't set {name},.*leave it out"):
        _ = a_server(with_route(**option)).app


# --- health ---


@pytest.mark.parametrize("path", ["/_healtz", "/_livez"])
def test_health_can_be_asked_for_without_a_body(path: str) -> None:
    server = a_server(Echo)
    with TestClient(server) as client:
        assert client.head(path).status_code == 200
        server.begin_stop()
        assert client.head(path).status_code == (503 if path == "/_healtz" else 200)


# --- one server, one event loop ---


def test_a_server_that_runs_on_another_event_loop_can_not_be_called_from_here() -> None:
    server = a_server(Echo)
    with TestClient(server) as client:
        with pytest.raises(ConfigurationError, match=r"running on another event loop.*make a ToolServer for each"):
            asyncio.run(server.run_tool(Echo, Ask(text="hi")))
        assert client.post("/echo", json={"text": "hi"}).text == "hi"
        assert client.get("/_healtz").status_code == 200
    assert asyncio.run(server.run_tool(Echo, Ask(text="hi"))) == "hi"


@pytest.mark.processes
def test_of_a_class_that_is_defined_twice_the_newest_is_served() -> None:
    program = """
        import asyncio
        from pydantic import BaseModel
        from lambda_kit import LambdaTool, Service, ToolServer

        class Ask(BaseModel): pass
        kept = []
        for version in ("old", "new"):  # as the cell of a notebook that is run again
            class Cell(LambdaTool):
                version = version
                def run(self, req: Ask) -> str: return self.version
            kept.append(Cell)
        class Other(LambdaTool):
            def run(self, req: Ask) -> str: return "other"
        server = ToolServer(Service(name="x", contact={"name": "x", "email": "x@example.com"}))
        print(list(server.tools), asyncio.run(server.run_tool("cell", Ask())))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.stdout.strip() == "['cell', 'other'] new", ended.stderr
