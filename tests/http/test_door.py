"""docs/wire.md, What holds for every request: who may come in, on every route."""

from collections.abc import Generator
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.testing import TestClient as AppClient

from lambda_kit import ConfigurationError, LambdaTool, ToolOptions, ToolServer
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server
from tests.wire.answers import assert_problem

CHANGING = ["POST", "PUT", "PATCH", "DELETE"]
SAFE = ["GET", "HEAD", "OPTIONS"]


class Echo(LambdaTool):
    """Say it again"""

    options = ToolOptions(service_id="/echo")

    async def run(self, req: Ask) -> str:
        return req.text


class Guarded(Echo):
    """By Litestar's way, since its route has an option"""

    name, path = "guarded", "/guarded"
    options = ToolOptions(post_route_opts={"cache": False})


TOOLS = (Echo, Guarded)


def routes_of(server: ToolServer) -> list[tuple[str, str]]:
    """Every method and path that the app knows."""
    routes = []
    for route in server.app.routes:
        path = route.path_format.replace("{job_id}", "a-job").replace("{name}", "x.css").replace("{path}", "x")
        routes += [(method, path) for method in sorted(getattr(route, "methods", ()))]
    return routes


ROUTES = routes_of(a_server(*TOOLS, job_list=True))


@pytest.fixture(scope="module")
def client() -> Generator[TestClient]:
    with TestClient(a_server(*TOOLS, job_list=True)) as session:
        yield session


def ask(client: httpx.Client, method: str, path: str, headers: Any = None) -> httpx.Response:
    content = b'{"text": "hi"}' if method in CHANGING else b""
    return client.request(method, path, content=content, headers=headers)


def test_the_routes_are_those_of_the_contract() -> None:
    assert {("POST", "/echo"), ("GET", "/jobs"), ("DELETE", "/jobs/a-job"), ("GET", "/_livez")} <= set(ROUTES)


# --- pages of other origins ---

FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://testserver.local"},
    {"sec-fetch-site": "nonsense"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "https://testserver.local"},
    {"origin": "http://testserver.local:8080"},
    {"origin": "http://testserver.local.evil.example"},
]
OWN = [
    {},
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
    {"origin": "http://testserver.local"},
    {"origin": "http://testserver.local", "host": "testserver.local:80"},
    {"origin": "https://api.example.com", "x-forwarded-proto": "https", "x-forwarded-host": "api.example.com"},
    {"origin": "http://testserver.local", "x-forwarded-proto": "https", "x-forwarded-host": "api.example.com"},
]


@pytest.mark.parametrize("method", CHANGING)
def test_a_page_of_another_origin_changes_nothing_on_any_route(client: TestClient, method: str) -> None:
    for path in {path for _, path in ROUTES} | {"/no-such-tool"}:
        answer = ask(client, method, path, {"sec-fetch-site": "cross-site", "origin": "http://evil.example"})
        assert assert_problem(answer, 403)["type"] == "cross-site", path


def test_what_only_reads_is_never_refused_to_a_page(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "origin": "http://evil.example"}
    for method, path in ROUTES:
        if method in SAFE:
            assert ask(client, method, path, headers).status_code != 403, (method, path)


@pytest.mark.parametrize("path", ["/echo", "/guarded"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_foreign_is_what_the_browser_calls_so_or_what_has_another_origin(
    client: TestClient, path: str, headers: dict[str, str]
) -> None:
    assert assert_problem(ask(client, "POST", path, headers), 403)["type"] == "cross-site"


@pytest.mark.parametrize("path", ["/echo", "/guarded"])
@pytest.mark.parametrize("headers", OWN, ids=str)
def test_own_pages_and_programs_are_let_in(client: TestClient, path: str, headers: dict[str, str]) -> None:
    assert ask(client, "POST", path, headers).text == "hi"


@pytest.mark.parametrize("path", ["/echo", "/guarded"])
def test_pages_of_the_origins_of_cors_are_let_in(path: str) -> None:
    server = a_server(*TOOLS, cors=CORSConfig(allow_origins=["https://app.example", "https://*.good.example"]))
    with TestClient(server) as client:
        for origin in ("https://app.example", "https://a.good.example"):
            answer = ask(client, "POST", path, {"origin": origin, "sec-fetch-site": "cross-site"})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        refused = ask(client, "POST", path, {"origin": "https://good.example", "sec-fetch-site": "cross-site"})
        assert refused.status_code == 403


# --- hosts ---


def test_a_foreign_host_is_refused_on_all_routes_but_health() -> None:
    with TestClient(a_server(*TOOLS, job_list=True, allowed_hosts=["api.example.com"])) as client:
        for method, path in ROUTES:
            answer = ask(client, method, path, {"host": "evil.example:8090"})
            if path in {"/_healtz", "/_livez"}:
                assert answer.status_code in {200, 204}, (method, path)
            else:
                assert answer.status_code == 403, (method, path)
                assert method == "HEAD" or answer.json()["type"] == "host-not-allowed"


@pytest.mark.parametrize(
    ("allowed", "host", "is_allowed"),
    [
        ("api.example.com", "api.example.com", True),
        ("api.example.com", "API.example.com:8090", True),
        ("api.example.com", "example.com", False),
        ("api.example.com:8090", "api.example.com:8090", True),
        ("api.example.com:8090", "api.example.com", False),
        ("*.example.com", "a.b.example.com:1", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "evilexample.com", False),
        (" a.example , [::1]", "[::1]:8090", True),
        ("a.example,b.example", "b.example", True),
        ("*", "anything", True),
        ("api.example.com", "", False),
    ],
)
def test_hosts_are_compared_by_name_and_by_port_where_one_was_named(allowed: str, host: str, is_allowed: bool) -> None:
    with TestClient(a_server(Echo, allowed_hosts=allowed)) as client:
        assert ask(client, "POST", "/echo", {"host": host}).status_code == (200 if is_allowed else 403)


def test_neither_what_was_sent_nor_what_a_proxy_says_may_be_foreign() -> None:
    with TestClient(a_server(Echo, allowed_hosts=["api.example.com"])) as client:
        for own, said in (("evil.example", "api.example.com"), ("api.example.com", "evil.example")):
            answer = ask(client, "POST", "/echo", {"host": own, "x-forwarded-host": said})
            assert assert_problem(answer, 403)["type"] == "host-not-allowed"
        both = {"host": "api.example.com", "x-forwarded-host": "api.example.com"}
        assert ask(client, "POST", "/echo", both).status_code == 200


@pytest.mark.parametrize("bad", ["http://a.example", "a.example/x", "a b", "*", "exa*mple", ""])
def test_what_is_no_host_is_refused_when_the_server_is_made(bad: str) -> None:
    if bad == "*":
        assert a_server(Echo, allowed_hosts=[bad]).http_settings.allowed_hosts is not None
    else:
        with pytest.raises(ConfigurationError, match="allowed_hosts"):
            a_server(Echo, allowed_hosts=[bad])


# --- what may be sent once, and bodies with a coding ---


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Host", "Origin"])
async def test_a_field_that_may_be_sent_once_is_refused_on_all_routes_when_sent_twice(name: str) -> None:
    # Litestar's TestClient makes one field of two
    transport = httpx.ASGITransport(a_server(*TOOLS, job_list=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver.local") as client:
        for method, path in ROUTES:
            answer = await client.request(method, path, headers=[(name, "a"), (name, "b")])
            assert answer.status_code == 400, (method, path)
            assert method == "HEAD" or f"{name}: it was sent more than once" in answer.text


@pytest.mark.parametrize("path", ["/echo", "/guarded"])
@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x"])
def test_a_body_with_a_coding_is_refused_and_told_what_is_understood(
    client: TestClient, path: str, coding: str
) -> None:
    answer = ask(client, "POST", path, {"content-encoding": coding})
    assert assert_problem(answer, 415)["type"] == "unsupported-encoding"
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("path", ["/echo", "/guarded"])
@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_without_a_coding_may_say_so(client: TestClient, path: str, coding: str) -> None:
    assert ask(client, "POST", path, {"content-encoding": coding}).text == "hi"


# --- in an app that exists ---


@pytest.mark.parametrize("path", ["/echo", "/guarded", "/jobs/a-job"])
def test_the_door_is_there_in_an_app_that_exists_and_takes_that_apps_origins(path: str) -> None:
    server = a_server(*TOOLS, allowed_hosts=["testserver.local"])
    method = "DELETE" if path.startswith("/jobs") else "POST"
    app = Litestar(plugins=[server.plugin()], cors_config=CORSConfig(allow_origins=["https://app.example"]))
    with AppClient(app) as client:
        foreign = {"sec-fetch-site": "cross-site"}
        assert assert_problem(ask(client, method, path, foreign), 403)["type"] == "cross-site"
        good = ask(client, method, path, {**foreign, "origin": "https://app.example"})
        assert good.status_code in {200, 404}
        assert ask(client, method, path, {"host": "evil.example"}).status_code == 403
        assert ask(client, method, path, {"content-encoding": "gzip"}).status_code == 415
