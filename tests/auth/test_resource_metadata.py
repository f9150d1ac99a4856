"""``GET /.well-known/oauth-protected-resource`` (RFC 9728): whose tokens a service takes."""

from collections.abc import Iterator
from typing import Any

import pytest
from litestar.config.cors import CORSConfig

from lambda_kit import Authenticator, Credentials, JobContext, LambdaTool, ToolOptions
from lambda_kit.adapters.auth import OidcAuthenticator
from lambda_kit.testing import FakeIssuer, TestClient
from tests.auth.oidc import AUDIENCE
from tests.core.running_tools import Ask, a_server

METADATA = "/.well-known/oauth-protected-resource"
PROXY = {"host": "10.0.0.7", "x-forwarded-proto": "https", "x-forwarded-host": "api.example.org"}


class Greet(LambdaTool):
    """Greet"""

    path = "/greet"
    options = ToolOptions(scopes=["greet", "basic"])

    async def run(self, req: Ask) -> str:
        return req.text


class Plain(LambdaTool):
    """Needs no scope"""

    path = "/tools/plain"

    async def run(self, req: Ask) -> str:
        return req.text


class HandedOn(LambdaTool):
    """Say whether there is an authorization"""

    path = "/handed-on"

    async def run(self, req: Ask, ctx: JobContext) -> bool:
        return ctx.job_authorization is not None


@pytest.fixture(scope="module")
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer(path="/realms/staff/") as issuer:
        yield issuer


def make_client(issuer: FakeIssuer, **options: Any) -> TestClient:
    return TestClient(a_server(Greet, Plain, authenticator=OidcAuthenticator(issuer.url, audience=AUDIENCE), **options))


@pytest.fixture(scope="module")
def client(issuer: FakeIssuer) -> Iterator[TestClient]:
    with make_client(issuer, cors=CORSConfig(allow_origins=["https://app.example.org"])) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "scopes"), [("", ["basic", "greet"]), ("/greet", ["basic", "greet"]), ("/tools/plain", [])]
)
def test_it_is_open_and_says_whose_tokens_are_taken(
    client: TestClient, issuer: FakeIssuer, path: str, scopes: list[str]
):
    answer = client.get(METADATA + path, headers={"host": "api.example.org"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "resource": f"http://api.example.org{path}",
        "authorization_servers": [issuer.url],
        "bearer_methods_supported": ["header"],
        **({"scopes_supported": scopes} if scopes else {}),
    }
    assert "Host" in answer.headers["vary"]


@pytest.mark.parametrize("prefix", ["", "/svc"])
def test_behind_a_proxy_its_urls_are_those_of_the_client(client: TestClient, issuer: FakeIssuer, prefix: str):
    fields = {**PROXY, "x-forwarded-prefix": prefix or "/"}
    outside = f"https://api.example.org{prefix}"
    assert client.get(METADATA, headers=fields).json()["resource"] == outside
    assert client.get(f"{prefix}{METADATA}/greet", headers=fields).json()["resource"] == f"{outside}/greet"
    for method, path in (("POST", "/greet"), ("GET", "/jobs/x"), ("DELETE", "/jobs/x")):
        refused = client.request(method, path, headers=fields)
        assert refused.status_code == 401
        expected = f'Bearer realm="lambda_kit", resource_metadata="{outside}{METADATA}"'
        assert refused.headers["www-authenticate"] == expected


def test_what_is_no_resource_has_none(client: TestClient):
    assert client.get(f"{METADATA}/other").status_code == 404
    assert client.get(f"{METADATA}/greet/jobs").status_code == 404


@pytest.mark.parametrize("origin", ["https://app.example.org", "https://another.example", "null"])
@pytest.mark.parametrize("path", ["", "/greet"])
def test_any_page_reads_it_and_a_preflight_is_answered_without_a_token(client: TestClient, origin: str, path: str):
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "mcp-protocol-version"}
    answer = client.options(METADATA + path, headers={"origin": origin, **asked})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
    assert answer.headers["access-control-allow-headers"] == "mcp-protocol-version"
    read = client.get(METADATA + path, headers={"origin": origin})
    assert (read.status_code, read.headers["access-control-allow-origin"]) == (200, "*")
    assert client.options(METADATA + path).status_code < 300


def test_without_an_issuer_there_is_none():
    with TestClient(a_server(Plain)) as client:
        assert client.get(METADATA).status_code == 404


def test_a_host_that_can_not_stand_in_a_url_is_repeated_nowhere(client: TestClient):
    refused = client.post("/greet", headers={"host": 'a"b, error="x'}, json={})
    assert 'a"b' not in refused.headers.get("www-authenticate", "")


@pytest.mark.parametrize("hand_on", [False, True])
def test_the_token_reaches_the_tool_only_where_that_is_said(issuer: FakeIssuer, hand_on: bool):
    authenticator = OidcAuthenticator(issuer.url, audience=AUDIENCE, hand_on=hand_on)
    with TestClient(a_server(HandedOn, authenticator=authenticator)) as client:
        token = issuer.token(audience=AUDIENCE)
        assert client.post("/handed-on", json={}, headers={"authorization": f"Bearer {token}"}).json() is hand_on


class Others(Authenticator):
    """Has challenges of other kinds, and a server"""

    async def authenticate(self, credentials: Credentials) -> None:
        return None

    def challenges(self) -> list[str]:
        return ["Bearer", 'ApiKey realm="keys"']

    def authorization_servers(self) -> list[str]:
        return ["https://login.example.org"]


def test_only_bearer_challenges_name_it():
    with TestClient(a_server(Plain, authenticator=Others())) as client:
        refused = client.post("/tools/plain", json={}, headers={"host": "api.example.org"})
        place = f"http://api.example.org{METADATA}"
        assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{place}", ApiKey realm="keys"'
