"""docs/wire.md, Behind a proxy: one prefix everywhere, whoever takes it away or adds it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, asgi
from litestar.testing import TestClient as AppClient
from starlette.applications import Starlette
from starlette.routing import Mount

from lambda_kit import ConfigurationError, JobContext, LambdaTool, RequestInfo, ToolOptions
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server
from tests.support.service_process import ServiceProcess

LATER = {"prefer": "respond-async"}


class Greet(LambdaTool):
    """Say it again"""

    options = ToolOptions(service_id="/greet")

    async def run(self, req: Ask) -> str:
        return req.text


class Svc(Greet):
    """At the path that is the prefix too"""

    name, path = "svc", "/svc"
    options = ToolOptions(service_id="/svc")


class Who(LambdaTool):
    """Say who asks"""

    async def run(self, req: Ask, info: RequestInfo, ctx: JobContext) -> dict[str, Any]:
        return {"url": info.url, "client": info.client and info.client[0]}


TOOLS = (Greet, Svc, Who)


def assert_one_prefix(
    client: httpx.Client, sent: str, prefix: str, tool: str, headers: Mapping[str, str] | None = None
) -> None:
    """Fail unless all places of one tool have the prefix once.

    Args:
        client: Asks.
        sent: What stands before the paths as the service receives them.
        prefix: What should stand before the paths as the client knows them.
        tool: The path of the tool.
        headers: Of the proxy.
    """
    headers = dict(headers or {})
    for slash in ("", "/"):
        later = client.post(f"{sent}{tool}{slash}", json={"text": "hi"}, headers={**headers, **LATER})
        assert later.status_code == 204, later.text
        job_id = later.headers["job-id"].rpartition(":")[2]
        assert later.headers["location"] == f"{prefix}{tool}/jobs/{job_id}"
        collected = client.get(f"{sent}{tool}/jobs/{job_id}", headers={**headers, "prefer": "wait=20"})
        assert (collected.status_code, collected.text) == (200, "hi")
        links = client.get(f"{sent}/jobs/{job_id}/status{slash}", headers=headers).json()["links"]
        assert links["result"] == f"{prefix}{tool}/jobs/{job_id}"
        assert links["self"] == f"{prefix}/jobs/{job_id}/status"
        description = client.get(f"{sent}{tool}{slash}", headers=headers).json()
        assert httpx.URL(description["service-id"]).path == f"{prefix}{tool}"
        servers = client.get(f"{sent}/openapi.json{slash}", headers=headers).json()["servers"]
        assert servers == [{"url": prefix or "/"}]
        page = client.get(f"{sent}/api{slash}", headers=headers)
        assert f'"servers":[{{"url":"{prefix or "/"}"}}]' in page.text.replace(" ", "")
        asset = page.url.join("../api/assets/swagger-ui.css" if slash else "./api/assets/swagger-ui.css")
        assert client.get(asset.path, headers=headers).status_code == 200


@pytest.mark.parametrize("tool", ["/greet", "/svc"])
@pytest.mark.parametrize("sent", ["", "/svc"])
@pytest.mark.parametrize("root_path", ["/svc", "/svc/", "svc"])
def test_a_prefix_that_was_set_stands_once_whether_the_proxy_takes_it_away_or_not(
    root_path: str, sent: str, tool: str
) -> None:
    with TestClient(a_server(*TOOLS, root_path=root_path)) as client:
        assert_one_prefix(client, sent, "/svc", tool)


@pytest.mark.parametrize("tool", ["/greet", "/svc"])
@pytest.mark.parametrize("sent", ["", "/svc"])
def test_a_prefix_that_the_proxy_says_stands_once_whether_it_takes_it_away_or_not(sent: str, tool: str) -> None:
    with TestClient(a_server(*TOOLS)) as client:
        assert_one_prefix(client, sent, "/svc", tool, {"x-forwarded-prefix": "/svc/"})


@pytest.mark.parametrize("root_path", ["/", ""])
def test_no_prefix_is_none(root_path: str) -> None:
    with TestClient(a_server(*TOOLS, root_path=root_path)) as client:
        assert_one_prefix(client, "", "", "/greet")


def test_what_the_proxy_says_wins_over_what_was_set() -> None:
    with TestClient(a_server(*TOOLS, root_path="/set")) as client:
        assert_one_prefix(client, "", "/said", "/greet", {"x-forwarded-prefix": "/said"})


@pytest.mark.parametrize("sent", ["/svc", "/svc/svc"])
def test_an_asgi_server_that_adds_the_prefix_once_more_does_no_harm(sent: str) -> None:
    # as uvicorn --root-path does, before a proxy that takes the prefix away, or does not
    with AppClient(a_server(*TOOLS).app, root_path="/svc") as client:
        assert_one_prefix(client, sent, "/svc", "/greet")
        assert_one_prefix(client, sent, "/svc", "/svc")


@pytest.mark.parametrize("headers", [{}, {"x-forwarded-prefix": "/out"}], ids=["alone", "behind a proxy"])
def test_where_the_app_is_mounted_belongs_to_the_prefix(headers: dict[str, str]) -> None:
    server = a_server(*TOOLS)
    prefix = headers.get("x-forwarded-prefix", "") + "/tools"

    async def started(_app: object) -> None:
        await server.__aenter__()

    async def stopped(_app: object) -> None:
        await server.__aexit__()

    mounted = asgi("/tools", is_mount=True, copy_scope=True)(server)
    apps: list[Any] = [
        Starlette(routes=[Mount("/tools", server)]),
        Litestar(route_handlers=[mounted]),
    ]
    for app in apps:
        with AppClient(app) as client:
            client.blocking_portal.call(started, app)
            assert_one_prefix(client, "/tools", prefix, "/greet", headers)
            client.blocking_portal.call(stopped, app)


def test_a_tool_sees_the_url_and_the_address_of_the_client() -> None:
    said = {
        "x-forwarded-for": "6.6.6.6, 9.9.9.9:4711",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "api.example.com",
        "x-forwarded-prefix": "/tools",
    }
    with TestClient(a_server(Who)) as client:
        seen = client.post("/who?a=1", json={}, headers=said).json()
    assert seen == {"url": "https://api.example.com/tools/who?a=1", "client": "9.9.9.9"}


@pytest.mark.parametrize("bad", ["//evil", "/a//b", "/a b", "/a?b", "http://a"])
def test_a_prefix_that_is_no_path_is_refused(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="root_path"):
        a_server(*TOOLS, root_path=bad)


# --- whose word is taken ---


def test_the_first_ignored_field_is_logged_with_the_remedy(caplog: pytest.LogCaptureFixture) -> None:
    said = {"x-forwarded-prefix": "/evil", "x-forwarded-host": "evil.example", "x-forwarded-for": "6.6.6.6"}
    with TestClient(a_server(*TOOLS, forwarded_allow_ips="10.0.0.0/8")) as client, caplog.at_level(logging.WARNING):
        for _ in range(3):
            later = client.post("/greet", json={}, headers={**said, **LATER})
            assert later.headers["location"].startswith("/greet/jobs/")
        assert client.get("/greet", headers=said).json()["service-id"] == "http://testserver.local/greet"
        assert client.post("/who", json={}, headers=said).json()["client"] == "testclient"
    [line] = [record.getMessage() for record in caplog.records if "trusted proxy" in record.getMessage()]
    assert "--forwarded-allow-ips or $FORWARDED_ALLOW_IPS" in line
    assert "x-forwarded-for" in line
    assert "testclient" in line


def test_the_environment_says_whom_to_trust_and_what_the_prefix_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.0/8")
    monkeypatch.setenv("LAMBDA_KIT_ROOT_PATH", "/svc")
    monkeypatch.setenv("LAMBDA_KIT_ALLOWED_HOSTS", "testserver.local, other.example")
    with TestClient(a_server(*TOOLS)) as client:
        assert_one_prefix(client, "", "/svc", "/greet", {"x-forwarded-prefix": "/evil"})
        assert client.get("/greet", headers={"host": "evil.example"}).status_code == 403


def test_what_is_wrong_in_the_environment_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "nginx")
    server = a_server(*TOOLS)
    with pytest.raises(ConfigurationError, match=r"'nginx' is no IP address.*\$FORWARDED_ALLOW_IPS"):
        server.check_environment()


# --- on a real port ---

FILE = Path(__file__).parents[1] / "wire" / "service.py"


@pytest.mark.processes
@pytest.mark.parametrize("sent", ["", "/svc"])
def test_the_flags_reach_a_service_that_is_run_from_its_file(sent: str) -> None:
    args = ["--root-path", "/svc/", "--forwarded-allow-ips", "127.0.0.0/8", "--allowed-hosts", "127.0.0.1"]
    with ServiceProcess(FILE, args) as process, httpx.Client(base_url=process.url, timeout=60) as client:
        later = client.post(f"{sent}/echo", json={"text": "hi"}, headers=LATER)
        assert later.headers["location"].startswith("/svc/echo/jobs/")
        assert client.get(later.headers["location"].removeprefix("/svc" if not sent else "")).status_code in {200, 204}
        said = {"x-forwarded-proto": "https", "x-forwarded-for": "9.9.9.9", "x-forwarded-host": "127.0.0.1"}
        description = client.get(f"{sent}/greet", headers=said).json()
        assert description["service-id"] == "https://127.0.0.1/svc/greet"
        assert client.get(f"{sent}/echo", headers={"host": "evil.example"}).status_code == 403
        assert client.get("/_livez", headers={"host": "10.0.0.7:8090"}).status_code == 200


@pytest.mark.processes
def test_a_service_that_trusts_nobody_here_shows_the_peer_in_its_access_log() -> None:
    args = ["--forwarded-allow-ips", "10.0.0.0/8", "--access-log"]
    with ServiceProcess(FILE, args) as process:
        httpx.post(process.url + "/echo", json={"text": "a"}, headers={"x-forwarded-for": "6.6.6.6"})
        log = process.wait_for_log("POST /echo")
    assert "6.6.6.6" not in log
    assert "no trusted proxy" in log
