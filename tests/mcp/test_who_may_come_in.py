"""docs/wire.md, MCP: which hosts may call ``/mcp``, also in other apps, and by which settings."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient as AppClient

from lambda_kit import ConfigurationError, McpOptions, ToolServer
from lambda_kit.adapters.auth import OidcAuthenticator
from lambda_kit.testing import FakeIssuer
from tests.mcp.visiting import HERE, THERE, calling, mcp_server, ping
from tests.wire.answers import assert_problem

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

LOOPBACK_HOSTS = [
    "localhost",
    "localhost:8090",
    "LOCALHOST:1",
    "127.0.0.1",
    "127.0.0.1:8090",
    "127.8.9.1",
    "[::1]:8090",
]
FOREIGN_HOSTS = [
    "evil.example", "evil.example:8090", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.5:8090", "",
    "localhost:8090@evil.example", "notlocalhost", "[::2]", "0.0.0.0:8090",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
async def test_on_loopback_its_names_are_served(host: str):
    async with calling(mcp_server(), HERE) as client:
        assert (await ping(client, {"host": host})).status_code == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_on_loopback_a_foreign_name_is_refused_and_the_flag_is_named(host: str):
    async with calling(mcp_server(), HERE) as client:
        for path in ("/mcp", "/mcp/"):
            problem = assert_problem(await ping(client, {"host": host}, path), 403)
            assert problem["type"] == "host-not-allowed"
            assert "--mcp-allowed-hosts" in problem["detail"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_foreign_name_is_refused_for_every_method(method: str):
    async with calling(mcp_server(), HERE) as client:
        refused = await client.request(method, "/mcp", headers={"host": "evil.example"})
        assert refused.status_code == 403
        refused = await client.request(method, "/mcp", headers={"origin": "http://evil.example"})
        assert refused.status_code == 403


@pytest.mark.parametrize("path", ["//mcp", "/mcp//", "///mcp/", "/./mcp", "/x/../mcp"])
async def test_no_way_to_write_the_path_leads_round_the_rules(path: str):
    async with calling(mcp_server(), HERE) as client:
        for fields in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
            assert (await ping(client, fields, path)).status_code in (403, 404), fields
    async with calling(mcp_server(root_path="/svc"), HERE) as client:
        for before in ("/svc", "/x/svc", "/svc/svc", "/svc/", "//svc"):
            for fields in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
                assert (await ping(client, fields, before + path)).status_code in (403, 404), (before, fields)


async def test_what_proxies_say_of_the_host_opens_nothing():
    async with calling(mcp_server(), HERE) as client:
        for said in ({"x-forwarded-host": "localhost"}, {"forwarded": "host=localhost"}):
            assert (await ping(client, {"host": "evil.example", **said})).status_code == 403
        assert (await ping(client, {"host": "localhost", "x-forwarded-host": "api.example.com"})).status_code == 200


async def test_elsewhere_no_host_is_refused_unless_that_is_set():
    async with calling(mcp_server(), THERE) as client:
        for host in ("api.example.com", "10.0.0.5:8090", "evil.example"):
            assert (await ping(client, {"host": host})).status_code == 200


@pytest.mark.parametrize("at", [HERE, THERE])
async def test_hosts_of_all_routes_hold_at_mcp_and_its_own_come_first(at: str):
    async with calling(mcp_server(allowed_hosts=["api.example.com"]), at) as client:
        assert (await ping(client, {"host": "api.example.com"})).status_code == 200
        assert (await ping(client, {"host": "localhost"})).status_code == 403
    own = McpOptions(allowed_hosts=["mcp.example.com", "localhost"])
    async with calling(mcp_server(own, allowed_hosts=["api.example.com"]), at) as client:
        assert (await ping(client, {"host": "mcp.example.com:443"})).status_code == 200
        assert (await ping(client, {"host": "localhost:8090"})).status_code == 200
        assert (await ping(client, {"host": "api.example.com"})).status_code == 403
        assert (await client.get("/echo", headers={"host": "mcp.example.com"})).status_code == 403


@pytest.mark.parametrize(
    ("address", "is_checked"),
    [
        (("127.0.0.1", 8090), True),
        (("127.0.0.53", 8090), True),
        (("::1", 8090), True),
        (("::ffff:127.0.0.1", 8090), True),
        (("10.0.0.5", 8090), False),
        (("::", 8090), False),
        (("/run/lambda/kit.sock", None), False),  # whoever may open it
        (("testserver", 80), False),  # in process
        (None, False),
    ],
)
async def test_what_counts_is_the_address_of_the_own_end_of_the_connection(address: Any, is_checked: bool):
    server = mcp_server()

    async def connected(scope: Any, receive: Any, send: Any) -> None:
        await server({**scope, "server": address}, receive, send)

    async with calling(server, THERE, connected) as client:
        assert (await ping(client, {"host": "evil.example"})).status_code == (403 if is_checked else 200)
        assert (await ping(client, {"host": "localhost"})).status_code == 200
        page = {"host": "localhost", "origin": "http://localhost:6274"}
        assert (await ping(client, page)).status_code == (200 if is_checked else 403)


async def test_its_metadata_is_read_by_its_hosts_too(fake_issuer: FakeIssuer):
    oidc = OidcAuthenticator(fake_issuer.url, audience="me")
    own = McpOptions(allowed_hosts=["mcp.example.com"])
    metadata = "/.well-known/oauth-protected-resource/mcp"
    async with calling(mcp_server(own, allowed_hosts=["api.example.com"], authenticator=oidc), THERE) as client:
        for host, status in (("mcp.example.com", 200), ("api.example.com", 200), ("evil.example", 403)):
            assert (await client.get(metadata, headers={"host": host})).status_code == status
        assert (await client.get("/echo", headers={"host": "mcp.example.com"})).status_code == 403


# --- in other apps ---


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_the_rules_hold_for_a_plugin_and_behind_a_prefix_too(path: str):
    def plugged() -> tuple[ToolServer, Any]:
        server = mcp_server()
        return server, Litestar(plugins=[server.plugin()])

    def at_base() -> tuple[ToolServer, Any]:
        server = mcp_server()
        return server, Litestar(path="/svc", plugins=[server.plugin()])

    def prefixed() -> tuple[ToolServer, Any]:
        server = mcp_server(root_path="/svc")
        return server, server.app

    for make, before in ((plugged, ""), (at_base, "/svc"), (prefixed, ""), (prefixed, "/svc")):
        server, app = make()
        async with calling(server, HERE, app) as client:
            where = f"{make.__name__} {before}{path}"
            assert (await ping(client, {}, before + path)).status_code == 200, where
            answer = await ping(client, {"origin": "http://localhost:1"}, before + path)
            assert answer.headers.get("access-control-allow-origin") == "http://localhost:1", where
            asked = {"access-control-request-method": "POST", "origin": "http://localhost:1"}
            assert (await client.options(before + path, headers=asked)).status_code == 204, where
            for fields in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
                assert (await ping(client, fields, before + path)).status_code == 403, (where, fields)


async def test_in_an_app_with_settings_of_cors_these_decide():
    server = mcp_server()
    cors = CORSConfig(allow_origins=["https://app.example"])
    app = Litestar(plugins=[server.plugin()], cors_config=cors)
    async with calling(server, THERE, app) as client:
        answer = await ping(client, {"origin": "https://app.example"})
        assert answer.status_code == 200
        assert answer.headers.get_list("access-control-allow-origin") == ["https://app.example"]
        assert (await ping(client, {"origin": "https://evil.example"})).status_code == 403


async def test_other_routes_have_their_own_rules():
    async with calling(mcp_server(), HERE) as client:
        answer = await client.post("/echo", json={"text": "a"}, headers={"host": "any.example"})
        assert answer.status_code == 200
        assert (await client.get("/echo", headers={"origin": "http://evil.example"})).status_code == 200


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_no_page_gets_in_by_a_websocket(path: str, caplog: pytest.LogCaptureFixture):
    with AppClient(mcp_server().app) as client, pytest.raises(WebSocketDisconnect) as closed:
        client.websocket_connect(path, headers={"origin": "http://evil.example"}).__enter__()
    assert closed.value.detail == "Not Found"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# --- settings ---


@pytest.mark.parametrize(
    "options",
    [
        {"allowed_hosts": ["https://api.example.com"]},
        {"allowed_origins": ["app.example.com"]},
        {"allowed_origins": ["https://app.example.com/"]},
        {"allowed_origins": ["null"]},
    ],
)
def test_what_is_no_host_or_origin_is_refused_with_the_right_form(options: dict[str, Any]):
    with pytest.raises(ConfigurationError, match=r"mcp_allowed_.*such as"):
        mcp_server(McpOptions(**options))


async def test_the_environment_names_hosts_and_origins_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAMBDA_KIT_MCP_ALLOWED_HOSTS", "mcp.example.com,localhost")
    monkeypatch.setenv("LAMBDA_KIT_MCP_ALLOWED_ORIGINS", "https://app.example.com")
    async with calling(mcp_server(), HERE) as client:
        fields = {"host": "mcp.example.com", "origin": "https://app.example.com"}
        assert (await ping(client, fields)).status_code == 200
    monkeypatch.setenv("LAMBDA_KIT_MCP_ALLOWED_ORIGINS", "app.example.com")
    with pytest.raises(ConfigurationError, match=r"\$LAMBDA_KIT_MCP_ALLOWED_ORIGINS"):
        mcp_server().check_environment()
