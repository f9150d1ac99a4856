"""The official client, given nothing but the URL of ``/mcp``, logs its user in at a certified provider, and gets in."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_types import CallToolResult, TextContent
from pydantic import AnyUrl

from tests.auth.identity_provider import CALLBACK, IdentityProvider, identity_provider
from tests.support.service_process import ServiceProcess

FILE = Path(__file__).with_name("oauth_service.py")

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture(scope="module", params=["/mcp", "/mcp/", "/svc/mcp"])
def url(request: pytest.FixtureRequest, provider: IdentityProvider) -> Iterator[str]:
    """That of the service, whose tokens are made for it; below ``/svc`` it is reached through a proxy only."""
    service = ServiceProcess(FILE, env={"ISSUER": provider.issuer})
    is_behind_proxy = request.param.startswith("/svc/")
    with stripping_proxy(service.url) if is_behind_proxy else contextlib.nullcontext(service.url) as outside:
        url = f"{outside}{request.param}"
        service.env["AUDIENCE"] = url
        with service:
            yield url


@contextlib.contextmanager
def stripping_proxy(inside: str) -> Iterator[str]:
    """A proxy that has the service at ``/svc``, and nothing at its root."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith("/svc/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            fields = {**kept, "X-Forwarded-Host": self.headers["Host"], "X-Forwarded-Prefix": "/svc"}
            path = self.path.removeprefix("/svc")
            answer = httpx.request(self.command, inside + path, content=body, headers=fields, timeout=60.0)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_POST = do_DELETE = do_GET  # noqa: N815 - names of the base class

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}"
        finally:
            proxy.shutdown()
            thread.join()


class Login:
    """What a client keeps, and its user, who logs in wherever the client leads.

    Args:
        provider: Where that is.
        user: The user's name.
        tokens: What the client has already.
    """

    def __init__(self, provider: IdentityProvider, user: str, tokens: OAuthToken | None = None) -> None:
        self._provider = provider
        self._user = user
        self._client: OAuthClientInformationFull | None = None
        self._place = ""
        self.tokens = tokens
        self.visits: list[str] = []

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info

    async def visit(self, url: str) -> None:
        self.visits.append(url)
        self._place = await asyncio.to_thread(self._provider.visit, url, self._user)

    async def come_back(self) -> AuthorizationCodeResult:
        said = {name: values[0] for name, values in parse_qs(urlsplit(self._place).query).items()}
        return AuthorizationCodeResult(code=said["code"], state=said.get("state"), iss=said.get("iss"))


@asynccontextmanager
async def client_of(url: str, login: Login, mode: str) -> AsyncIterator[Client]:
    about = OAuthClientMetadata(client_name="tests", redirect_uris=[AnyUrl(CALLBACK)])
    auth = OAuthClientProvider(url, about, login, redirect_handler=login.visit, callback_handler=login.come_back)
    async with (
        httpx2.AsyncClient(auth=auth, timeout=60.0) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_it_finds_the_issuer_and_gets_in(provider: IdentityProvider, url: str, mode: str):
    login = Login(provider, "alice")
    async with client_of(url, login, mode) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} >= {"who_am_i", "write"}
        result = await client.call_tool("who_am_i", {"text": "me"})
    assert text_of(result) == f"me: oidc:{provider.issuer}#alice"
    (visited,) = login.visits
    asked = parse_qs(urlsplit(visited).query)
    assert asked["resource"] == [url]
    assert {"read", "write"} <= set(asked["scope"][0].split())


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_where_a_scope_is_missing_it_logs_in_once_more(provider: IdentityProvider, url: str, mode: str):
    weak = OAuthToken(access_token=provider.robot_token(url, "read"), scope="read")
    login = Login(provider, "bob", weak)
    async with client_of(url, login, mode) as client:
        result = await client.call_tool("who_am_i", {"text": "me"})
        assert text_of(result) == f"me: oidc:{provider.issuer}#robot"
        assert login.visits == []
        assert text_of(await client.call_tool("write", {"text": "a"})) == "written: a"
        (visited,) = login.visits
        assert {"read", "write"} <= set(parse_qs(urlsplit(visited).query)["scope"][0].split())
