"""docs/wire.md, MCP: which web pages may call ``/mcp``, and what they may read."""

import pytest
from litestar.config.cors import CORSConfig

from lambda_kit import McpOptions
from tests.callers.principals import Tokens
from tests.mcp.visiting import FIELDS, HERE, PING, THERE, calling, mcp_server, ping
from tests.wire.answers import assert_problem

LOCAL_PAGES = ["http://localhost:6274", "http://127.0.0.1:3000", "https://localhost", "http://[::1]:5173"]
FOREIGN_PAGES = [
    "http://evil.example", "null", "NULL", "", "http://localhost.evil.example", "file://", "http://localhost:1@evil.example",
    "chrome-extension://abc", "localhost:8090",
]  # fmt: skip


@pytest.mark.parametrize("origin", LOCAL_PAGES)
async def test_pages_of_the_machine_itself_are_let_in_on_loopback_only(origin: str):
    async with calling(mcp_server(), HERE) as client:
        answer = await ping(client, {"origin": origin, "sec-fetch-site": "cross-site"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        exposed = answer.headers["access-control-expose-headers"]
        assert {"Mcp-Session-Id", "WWW-Authenticate", "Retry-After"} <= set(exposed.split(", "))
        assert "Origin" in answer.headers["vary"]
    async with calling(mcp_server(), THERE) as client:
        refused = await ping(client, {"origin": origin})
        assert assert_problem(refused, 403)["type"] == "cross-site"


@pytest.mark.parametrize("origin", FOREIGN_PAGES)
@pytest.mark.parametrize("at", [HERE, THERE])
async def test_foreign_pages_are_refused_and_the_flag_is_named(origin: str, at: str):
    async with calling(mcp_server(), at) as client:
        for path in ("/mcp", "/mcp/"):
            refused = await ping(client, {"origin": origin, "sec-fetch-site": "same-origin"}, path)
            problem = assert_problem(refused, 403)
            assert problem["type"] == "cross-site"
            assert "--mcp-allowed-origins" in problem["detail"]
            assert "access-control-allow-origin" not in refused.headers


async def test_its_own_public_origin_is_let_in():
    proxied = {"x-forwarded-proto": "https", "x-forwarded-host": "api.example.com"}
    async with calling(mcp_server(), THERE) as client:
        assert (await ping(client, {"origin": THERE})).status_code == 200
        assert (await ping(client, {"origin": "https://api.example.com", **proxied})).status_code == 200
        assert (await ping(client, {"origin": "http://api.example.com", **proxied})).status_code == 403


async def test_pages_that_are_named_are_let_in():
    options = McpOptions(allowed_origins=["https://app.example.com:443", "vscode-webview://abc"])
    async with calling(mcp_server(options), THERE) as client:
        for origin in ("https://app.example.com", "vscode-webview://abc"):
            answer = await ping(client, {"origin": origin})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        assert (await ping(client, {"origin": "http://app.example.com"})).status_code == 403
        elsewhere = await client.post("/echo", json={"text": "a"}, headers={"origin": "https://app.example.com"})
        assert elsewhere.status_code == 403
    async with calling(mcp_server(McpOptions(allowed_origins=["*"])), THERE) as client:
        assert (await ping(client, {"origin": "https://any.example"})).status_code == 200
        assert (await ping(client, {"origin": "null"})).status_code == 403


async def test_pages_of_the_settings_of_cors_are_let_in():
    cors = CORSConfig(allow_origins=["https://app.example"], allow_headers=["x-own"], expose_headers=["X-More"])
    async with calling(mcp_server(cors=cors), THERE) as client:
        answer = await ping(client, {"origin": "https://app.example"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert {"Mcp-Session-Id", "X-More"} <= set(answer.headers["access-control-expose-headers"].split(", "))
        assert (await ping(client, {"origin": "https://other.example"})).status_code == 403
    async with calling(mcp_server(cors=CORSConfig()), THERE) as client:
        assert (await ping(client, {"origin": "https://any.example"})).headers["access-control-allow-origin"] == "*"
        assert (await ping(client, {"origin": "null"})).status_code == 403


BY_BROWSERS = [
    "authorization", "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "last-event-id",
    "content-type", "mcp-param-region", "x-api-key",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_a_preflight_is_answered(method: str, path: str):
    asked = {"access-control-request-method": method, "access-control-request-headers": ",".join(BY_BROWSERS)}
    async with calling(mcp_server(), HERE) as client:
        answer = await client.options(path, headers={"origin": "http://localhost:6274", **asked})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "http://localhost:6274"
        assert method in answer.headers["access-control-allow-methods"]
        assert set(BY_BROWSERS) <= set(answer.headers["access-control-allow-headers"].split(","))
        refused = await client.options(path, headers={"origin": "https://evil.example", **asked})
        assert assert_problem(refused, 403)["type"] == "cross-site"


@pytest.mark.parametrize(
    ("fields", "body", "method", "status"),
    [
        ({}, b"{", "POST", 400),
        ({"authorization": "Bearer no"}, PING, "POST", 401),
        ({}, PING, "PUT", 405),
        ({"accept": "text/html"}, PING, "POST", 406),
        ({}, b" " * 2000, "POST", 413),
        ({"content-type": "text/plain"}, PING, "POST", 415),
        ({"content-encoding": "gzip"}, PING, "POST", 415),
    ],
)
async def test_a_page_may_read_why_it_was_refused(fields: dict[str, str], body: bytes, method: str, status: int):
    page = {"origin": "http://localhost:6274", "authorization": "Bearer ann-token"}
    async with calling(mcp_server(authenticator=Tokens(), max_body_bytes=1000), HERE) as client:
        for path in ("/mcp", "/mcp/"):
            answer = await client.request(method, path, content=body, headers={**FIELDS, **page, **fields})
            assert answer.status_code == status
            assert answer.headers.get_list("access-control-allow-origin") == ["http://localhost:6274"]
            assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
