"""docs/wire.md, What holds for every answer: header fields, whatever the route and the status."""

import asyncio
from collections.abc import Generator

import httpx
import pytest
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.testing import TestClient as AppClient

from lambda_kit import BinaryResult, JobSettings, LambdaTool, ToolOptions
from lambda_kit.testing import TestClient
from tests.core.running_tools import Ask, a_server
from tests.http.test_door import ROUTES, TOOLS, ask

LASTING = {"/openapi.json", "/api", "/api/openapi.json", "/echo", "/guarded"}
ORIGIN = "https://app.example"
EXPOSED = {
    "location", "retry-after", "retry-later", "job-id", "preference-applied", "www-authenticate", "ratelimit",
    "ratelimit-policy",
}  # fmt: skip


class Returns(LambdaTool):
    """Return a result of the media type that is asked for"""

    def run(self, req: Ask) -> BinaryResult:
        return BinaryResult(content_type=req.text, content=b"<script>1</script>")


class Full(LambdaTool):
    """Has room for one job"""

    options = ToolOptions(max_concurrency=1, max_queue=0)

    async def run(self, req: Ask) -> str:
        await asyncio.Event().wait()
        return req.text


@pytest.fixture(scope="module")
def client() -> Generator[TestClient]:
    cors = CORSConfig(allow_origins=[ORIGIN], allow_credentials=True, expose_headers=["X-Mine"])
    server = a_server(
        *TOOLS, Returns, Full, job_list=True, cors=cors, max_body_bytes=1000, settings=JobSettings(grace_seconds=0)
    )
    with TestClient(server) as session:
        yield session


def answers_of_every_kind(client: httpx.Client, headers: dict[str, str]) -> dict[tuple[str, str], httpx.Response]:
    answers = {route: ask(client, *route, headers) for route in ROUTES}
    for path in ("/echo", "/guarded"):
        mine = {**headers, "job-id": f"a-job-of{path.replace('/', '-')}"}
        answers |= {
            ("200", path): client.post(path, json={"text": "a"}, headers=mine),
            ("204", path): client.post(path, json={"text": "a"}, headers={**headers, "prefer": "respond-async"}),
            ("record", path): client.get(f"/jobs/{mine['job-id']}/status", headers=headers),
            ("result", path): client.get(f"/jobs/{mine['job-id']}", headers=headers),
            ("events", path): client.get(f"/jobs/{mine['job-id']}/events", headers=headers),
            ("400", path): client.post(path, json={"text": "a"}, headers={**headers, "timeout": "x"}),
            ("405", path): client.put(path, json={}, headers=headers),
            ("409", path): client.post(path, json={"text": "b"}, headers=mine),
            ("413", path): client.post(path, content=b"x" * 2000, headers=headers),
            ("415", path): client.post(path, content=b"x", headers={**headers, "content-type": "text/plain"}),
            ("422", path): client.post(path, content=b"x", headers=headers),
        }
    answers["404", "/nope"] = client.get("/nope", headers=headers)
    answers["500", "/returns"] = client.post("/returns", json={"text": "no type"}, headers=headers)
    client.post("/full", json={}, headers={**headers, "prefer": "respond-async"})
    answers["429", "/full"] = client.post("/full", json={}, headers={**headers, "prefer": "respond-async"})
    return answers


@pytest.fixture(scope="module")
def answers(client: TestClient) -> dict[tuple[str, str], httpx.Response]:
    found = answers_of_every_kind(client, {"origin": ORIGIN})
    for (kind, path), answer in found.items():
        if kind.isdigit():
            assert answer.status_code == int(kind), (kind, path)
    return found


def test_no_browser_guesses_what_an_answer_is(answers: dict[tuple[str, str], httpx.Response]) -> None:
    for route, answer in answers.items():
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"], route


def test_no_cache_keeps_what_is_said_of_a_job(answers: dict[tuple[str, str], httpx.Response]) -> None:
    for (method, path), answer in answers.items():
        lasts = path in LASTING and method in {"GET", "HEAD"}
        assert (answer.headers.get("cache-control") == "no-store") is not lasts, (method, path)


def is_for_all_pages(route: tuple[str, str]) -> bool:
    """Whether any page may read what clients are to find before anybody has logged in."""
    return route[0] in ("GET", "HEAD", "OPTIONS") and route[1].startswith("/.well-known/")


def test_pages_of_an_allowed_origin_can_read_every_answer(answers: dict[tuple[str, str], httpx.Response]) -> None:
    for route, answer in answers.items():
        if is_for_all_pages(route):
            assert answer.headers.get_list("access-control-allow-origin") == ["*"], route
            continue
        assert answer.headers.get_list("access-control-allow-origin") == [ORIGIN], route
        assert answer.headers["access-control-allow-credentials"] == "true"
        exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
        assert exposed == EXPOSED | {"x-mine"}
        assert "Origin" in answer.headers["vary"]
        assert len(answer.headers.get_list("vary")) == 1, route


def test_pages_of_other_origins_can_read_none(client: TestClient) -> None:
    for route, answer in answers_of_every_kind(client, {"origin": "https://evil.example"}).items():
        if is_for_all_pages(route):
            continue
        assert not [name for name in answer.headers if name.startswith("access-control-")], route
        assert "Origin" in answer.headers["vary"], route


def test_answers_say_what_their_urls_are_made_of(answers: dict[tuple[str, str], httpx.Response]) -> None:
    def vary(method: str, path: str) -> set[str]:
        return {name.strip() for name in answers[method, path].headers["vary"].split(",")} - {"Origin"}

    whole = {"Host", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"}
    assert vary("GET", "/echo") == whole
    for kind in ("204", "record"):
        assert vary(kind, "/echo") == {"X-Forwarded-Prefix"}
    for path in ("/openapi.json", "/api", "/jobs"):
        assert vary("GET", path) == {"X-Forwarded-Prefix"}
    assert vary("GET", "/metrics") == {"Accept"}
    assert vary("200", "/echo") == vary("GET", "/guarded") == set()


def test_every_method_of_a_path_is_in_allow(answers: dict[tuple[str, str], httpx.Response]) -> None:
    methods: dict[str, set[str]] = {}
    for method, path in ROUTES:
        methods.setdefault(path, set()).add(method)
    for path, known in methods.items():
        assert set(answers["OPTIONS", path].headers["allow"].split(", ")) == known, path
    for path in ("/echo", "/guarded"):
        assert set(answers["405", path].headers["allow"].split(", ")) == methods[path]


# --- preflights ---


def preflight(client: httpx.Client, path: str, origin: str = ORIGIN, **more: str) -> httpx.Response:
    headers = {"origin": origin, "access-control-request-method": "POST", "sec-fetch-site": "cross-site", **more}
    return client.options(path, headers=headers)


@pytest.mark.parametrize("path", ["/echo", "/guarded", "/jobs/a/status", "/nope"])
def test_a_preflight_is_answered_on_every_route(client: TestClient, path: str) -> None:
    answer = preflight(client, path, **{"access-control-request-headers": "authorization, job-id"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-headers"] == "authorization, job-id"
    assert {"POST", "DELETE", "GET"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    assert answer.headers["access-control-max-age"] == "600"


def test_a_preflight_of_another_origin_gets_no_permission(client: TestClient) -> None:
    answer = preflight(client, "/echo", origin="https://evil.example")
    assert answer.status_code == 204
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_an_options_that_is_no_preflight_says_the_methods_to_a_page_too(client: TestClient) -> None:
    answer = client.options("/echo", headers={"origin": ORIGIN})
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_methods_and_fields_are_those_of_the_settings() -> None:
    cors = CORSConfig(allow_methods=["GET", "POST"], allow_headers=["Authorization", "job-id"], max_age=5)
    with TestClient(a_server(*TOOLS, cors=cors)) as client:
        answer = preflight(client, "/echo", **{"access-control-request-headers": "x-other"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "GET, POST"
        assert answer.headers["access-control-allow-headers"] == "authorization, job-id"
        assert answer.headers["access-control-max-age"] == "5"
        assert "Origin" not in answer.headers["vary"]
        assert client.post("/echo", json={}, headers={"origin": "null"}).headers["access-control-allow-origin"] == "*"


def test_an_app_that_exists_has_its_own_origins_or_else_the_servers() -> None:
    server = a_server(*TOOLS, cors=CORSConfig(allow_origins=[ORIGIN]))
    for config in (CORSConfig(allow_origins=[ORIGIN]), None):
        with AppClient(Litestar(plugins=[server.plugin()], cors_config=config)) as client:
            answer = ask(client, "POST", "/echo", {"origin": ORIGIN, "sec-fetch-site": "cross-site"})
            assert answer.headers.get_list("access-control-allow-origin") == [ORIGIN]
            assert preflight(client, "/echo").headers["access-control-allow-origin"] == ORIGIN


# --- results that a browser would run ---


@pytest.mark.parametrize(
    ("content_type", "is_run"),
    [
        ("text/html", True),
        ("TEXT/HTML; charset=utf-8", True),
        ("application/xhtml+xml", True),
        ("image/svg+xml", True),
        ("application/xml", True),
        ("text/xml ;x=y", True),
        ("application/rss+xml", True),
        ("text/plain", False),
        ("image/png", False),
        ("application/json", False),
        ("application/pdf", False),
    ],
)
def test_a_result_that_a_browser_would_run_has_no_rights_there(
    client: TestClient, content_type: str, is_run: bool
) -> None:
    answer = client.post("/returns", json={"text": content_type})
    poll = client.get(f"/jobs/{answer.headers['job-id']}")
    for found in (answer, poll):
        assert found.status_code == 200
        assert found.headers.get("content-security-policy") == ("sandbox" if is_run else None)
    assert "content-security-policy" not in client.get("/api").headers


@pytest.mark.parametrize("bad", ["text/html\r\nx: y", "text/html\n;x=y", "text/\x00html", "text/html; a=\tb", "a", ""])
def test_a_content_type_that_is_none_is_the_tools_fault(client: TestClient, bad: str) -> None:
    assert client.post("/returns", json={"text": bad}).status_code == 500
