"""Middleware, guards, compression and the rest reach every route, by the short way and by Litestar's."""

import asyncio
import logging
from typing import Any

import pytest
from litestar import Litestar, Request, Response
from litestar.config.app import AppConfig
from litestar.config.compression import CompressionConfig
from litestar.config.cors import CORSConfig
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.testing import TestClient as AppClient
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from lambda_kit import ConfigurationError, JobContext, LambdaTool, ToolOptions
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server
from tests.http.test_door import ROUTES, TOOLS, Echo, ask

OPEN = {"/_healtz", "/_livez", "/metrics", "/openapi.json"}
"""Besides descriptions, the page and preflights."""


class Marks(ASGIMiddleware):
    """Marks each answer"""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        async def marking(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-mark", b"1")]
            await send(message)

        await next_app(scope, receive, marking)


def needs_key(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    if connection.headers.get("x-my-key") != "open":
        raise NotAuthorizedException("no key")


def is_open(method: str, path: str) -> bool:
    describes = method in {"GET", "HEAD"} and path in {"/echo", "/guarded"}
    return method == "OPTIONS" or describes or path in OPEN or path.startswith(("/api", "/.well-known"))


def test_guards_hold_on_every_route_of_jobs_and_on_no_other() -> None:
    with TestClient(a_server(*TOOLS, job_list=True, guards=[needs_key])) as client:
        for method, path in ROUTES:
            refused = ask(client, method, path)
            assert (refused.status_code == 401) is not is_open(method, path), (method, path)
            assert ask(client, method, path, {"x-my-key": "open"}).status_code != 401, (method, path)


def test_guards_hold_in_an_app_that_exists_too() -> None:
    app = Litestar(plugins=[a_server(*TOOLS, job_list=True, guards=[needs_key]).plugin()])
    with AppClient(app) as client:
        for method, path in ROUTES:
            if not path.startswith(("/api", "/openapi")):
                assert (ask(client, method, path).status_code == 401) is not is_open(method, path), (method, path)


def test_a_guard_of_one_route_is_added_to_those_of_the_server() -> None:
    def needs_more(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        if "x-more" not in connection.headers:
            raise NotAuthorizedException("no more")

    class Routed(Echo):
        """Has a guard of its own"""

        options = ToolOptions(post_route_opts={"guards": [needs_more]})

    with TestClient(a_server(Routed, guards=[needs_key])) as client:
        headers = {"x-my-key": "open", "x-more": "1"}
        assert ask(client, "POST", "/routed", headers).status_code == 200
        for name, value in headers.items():
            assert ask(client, "POST", "/routed", {name: value}).status_code == 401


@pytest.mark.parametrize(("guards", "lines"), [([], 1), ([needs_key], 0)])
def test_a_guard_on_the_post_alone_is_warned_about_once(
    guards: list[Any], lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Routed(Echo):
        """Has a guard of its own"""

        options = ToolOptions(post_route_opts={"guards": [needs_key]})

    server = a_server(Routed, guards=guards)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert server.app.routes
    found = [record.getMessage() for record in caplog.records if "post_route_opts" in record.getMessage()]
    assert len(found) == lines
    assert all("'routed'" in line and "ToolServer(guards=...)" in line for line in found)


def test_middleware_sees_every_route() -> None:
    with TestClient(a_server(*TOOLS, job_list=True, middleware=[Marks()])) as client:
        for method, path in ROUTES:
            assert ask(client, method, path).headers.get("x-mark") == "1", (method, path)


def test_middleware_sees_the_tools_routes_in_an_app_that_exists() -> None:
    with AppClient(Litestar(plugins=[a_server(*TOOLS, middleware=[Marks()]).plugin()])) as client:
        for path in ("/echo", "/guarded"):
            assert ask(client, "POST", path).headers.get("x-mark") == "1"


async def _set_mark(message: Message, _scope: Scope) -> None:
    if message["type"] == "http.response.start":
        message["headers"] = [*message["headers"], (b"x-mark", b"1")]


def _on_error(_request: Request[Any, Any, Any], _error: Exception) -> Response[Any]:
    return Response(None, status_code=418)


def _after_request(response: Any) -> Any:
    response.headers["x-mark"] = "1"
    return response


@pytest.mark.parametrize("path", ["/echo", "/guarded"])
@pytest.mark.parametrize(
    "hook", [{"before_send": [_set_mark]}, {"after_request": _after_request}], ids=["before_send", "after_request"]
)
def test_what_on_app_init_adds_is_not_passed_by(path: str, hook: dict[str, Any]) -> None:
    def add(config: AppConfig) -> AppConfig:
        for name, value in hook.items():
            setattr(config, name, value)
        return config

    with TestClient(a_server(*TOOLS, on_app_init=[add])) as client:
        answer = ask(client, "POST", path)
        assert (answer.text, answer.headers.get("x-mark")) == ("hi", "1")


@pytest.mark.parametrize("path", ["/echo", "/guarded"])
def test_cors_that_on_app_init_adds_is_the_services(path: str) -> None:
    def add(config: AppConfig) -> AppConfig:
        config.cors_config = CORSConfig(allow_origins=["https://app.example"])
        return config

    with TestClient(a_server(*TOOLS, on_app_init=[add])) as client:
        answer = ask(client, "POST", path, {"origin": "https://app.example"})
        assert answer.headers.get_list("access-control-allow-origin") == ["https://app.example"]
        assert "job-id" in answer.headers["access-control-expose-headers"]


def test_an_exception_handler_that_on_app_init_adds_is_asked() -> None:
    def add(config: AppConfig) -> AppConfig:
        config.exception_handlers[ValueError] = _on_error
        return config

    server = a_server(*TOOLS, on_app_init=[add])
    assert server.app.exception_handlers[ValueError] is _on_error
    assert ValueError not in a_server(*TOOLS).app.exception_handlers


@pytest.mark.parametrize("path", ["/echo", "/guarded"])
def test_long_answers_are_compressed_where_that_is_asked_for(path: str) -> None:
    with TestClient(a_server(*TOOLS, compression=CompressionConfig(backend="gzip"))) as client:
        answer = client.post(path, json={"text": "a" * 5000}, headers={"accept-encoding": "gzip"})
        assert (answer.headers["content-encoding"], answer.text) == ("gzip", "a" * 5000)
        assert "Accept-Encoding" in answer.headers["vary"]


def test_events_are_not_held_back_by_compression() -> None:
    class Reports(LambdaTool):
        """Reports, and waits"""

        def __init__(self) -> None:
            self.may_end = asyncio.Event()

        async def run(self, req: Ask, ctx: JobContext) -> str:
            ctx.progress(1, message="begun")
            await self.may_end.wait()
            return req.text

        async def is_ready(self) -> bool:  # called on the server's loop
            self.may_end.set()
            return True

    with TestClient(a_server(Reports(), compression=CompressionConfig(backend="gzip"))) as client:
        client.post("/reports", json={}, headers={"job-id": "mine", "prefer": "respond-async"})
        client.get("/_healtz")
        answer = client.get("/jobs/mine/events", headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in answer.headers
        assert "begun" in answer.text


def test_cors_has_to_be_litestars() -> None:
    with pytest.raises(ConfigurationError, match="CORSConfig"):
        a_server(*TOOLS, cors={"allow_origins": ["*"]})
