"""``/mcp`` as an OAuth resource server: whose tokens it takes, and how clients are told (RFC 9728; docs/wire.md)."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient as AppClient

from lambda_kit import (
    Authenticator,
    ConfigurationError,
    Credentials,
    JobContext,
    LambdaTool,
    McpOptions,
    Principal,
    ToolOptions,
    ToolServer,
)
from lambda_kit.adapters.auth import ApiKeys, OidcAuthenticator, TrustedHeader
from lambda_kit.testing import FakeIssuer, TestClient
from tests.auth.keys import Key
from tests.auth.oidc import AUDIENCE
from tests.core.running_tools import Ask, a_server

ANN = Key("ann")
METADATA = "/.well-known/oauth-protected-resource"
FIELDS = {"accept": "application/json, text/event-stream"}
PROXY = {"host": "10.0.0.7", "x-forwarded-proto": "https", "x-forwarded-host": "api.example.org"}


class Write(LambdaTool):
    """Needs scopes"""

    options = ToolOptions(scopes=["write", "basic"])

    async def run(self, req: Ask) -> str:
        return req.text


class HandedOn(LambdaTool):
    """Say what authorization there is"""

    async def run(self, req: Ask, ctx: JobContext) -> str:
        return f"{ctx.principal and ctx.principal.id} {ctx.job_authorization}"


class Hidden(LambdaTool):
    """No MCP tool"""

    options = ToolOptions(scopes=["hidden"], mcp=False)

    async def run(self, req: Ask) -> str:
        return req.text


@pytest.fixture(scope="module")
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer(path="/realms/staff") as issuer:
        yield issuer


def make_server(issuer: FakeIssuer | None, mcp: McpOptions | bool = True, **options: Any) -> ToolServer:
    if issuer is not None:
        options["authenticator"] = OidcAuthenticator(issuer.url, audience=AUDIENCE)
    return a_server(Write, HandedOn, Hidden, mcp=mcp, **options)


@pytest.fixture(scope="module")
def client(issuer: FakeIssuer) -> Iterator[TestClient]:
    with TestClient(make_server(issuer)) as client:
        yield client


def call(client: httpx.Client, tool: str, token: str | None = None, **more: Any) -> httpx.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {"text": "a"}}}
    fields = {**FIELDS, **({} if token is None else {"authorization": f"Bearer {token}"}), **more.pop("headers", {})}
    return client.post(more.pop("path", "/mcp"), json=message, headers=fields)


# --- a client that knows nothing but the URL ---


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
@pytest.mark.parametrize("prefix", ["", "/svc"])
def test_a_401_leads_to_metadata_of_the_very_url(client: TestClient, issuer: FakeIssuer, path: str, prefix: str):
    fields = {**PROXY, "x-forwarded-prefix": prefix or "/"}
    outside = f"https://api.example.org{prefix}"
    refused = call(client, "write", path=path, headers=fields)
    assert refused.status_code == 401
    url = f"{outside}{METADATA}{path}"
    assert refused.headers["www-authenticate"] == f'Bearer realm="lambda_kit", resource_metadata="{url}"'
    found = client.get(METADATA + path, headers=fields)  # as the proxy has it, which strips its prefix
    assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
    assert found.json() == {
        "resource": outside + path,
        "authorization_servers": [issuer.url],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["basic", "write"],
    }
    if prefix:  # what a client makes by itself, where the proxy sends that here too
        assert client.get(f"{METADATA}{prefix}{path}", headers=fields).json() == found.json()


def test_at_the_root_is_the_metadata_of_mcp_too(client: TestClient):
    by_root = client.get(METADATA, headers={"host": "api.example.org"})
    assert by_root.json() == client.get(f"{METADATA}/mcp", headers={"host": "api.example.org"}).json()
    assert by_root.json()["resource"] == "http://api.example.org/mcp"


def test_tools_have_their_own_and_their_401_names_it(client: TestClient):
    refused = client.post("/write", json={}, headers={"host": "api.example.org"})
    assert f'resource_metadata="http://api.example.org{METADATA}/write"' in refused.headers["www-authenticate"]
    found = client.get(f"{METADATA}/hidden", headers={"host": "api.example.org"}).json()
    assert (found["resource"], found["scopes_supported"]) == ("http://api.example.org/hidden", ["hidden"])


def test_without_mcp_there_is_none_for_it(issuer: FakeIssuer):
    with TestClient(make_server(issuer, False)) as client:
        assert client.get(f"{METADATA}/mcp").status_code == 404
        assert client.get(METADATA).json()["resource"] == "http://testserver.local"


def test_mcp_may_be_added_when_the_app_was_made(issuer: FakeIssuer):
    server = make_server(issuer, False)
    with TestClient(server) as client:
        assert client.get(f"{METADATA}/mcp").status_code == 404
    server.add_mcp()
    with TestClient(server) as client:
        assert client.get(f"{METADATA}/mcp").json()["resource"] == "http://testserver.local/mcp"
        assert "oauth-protected-resource/mcp" in call(client, "write").headers["www-authenticate"]


def test_a_page_reads_it_and_why_it_was_refused(client: TestClient):
    page = {"origin": "http://testserver.local"}
    refused = call(client, "write", headers=page)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, page["origin"])
    assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]
    for path in (METADATA, f"{METADATA}/mcp", f"{METADATA}/mcp/"):
        found = client.get(path, headers={"origin": "https://inspector.example"})
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (200, "*")
        asked = {"access-control-request-method": "GET", "access-control-request-headers": "mcp-protocol-version"}
        preflight = client.options(path, headers={"origin": "https://inspector.example", **asked})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")


def test_a_preflight_needs_no_token(client: TestClient):
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,mcp-session-id"}
    assert client.options("/mcp", headers={"origin": "http://testserver.local", **asked}).status_code == 204
    refused = client.options("/mcp", headers={"origin": "https://evil.example", **asked})
    assert refused.status_code == 403


# --- tokens ---


def test_the_right_token_gets_in_and_a_wrong_one_does_not(client: TestClient, issuer: FakeIssuer):
    answer = call(client, "write", issuer.token(audience=AUDIENCE, scopes=["write", "basic"]))
    assert (answer.status_code, answer.json()["result"]["content"][0]["text"]) == (200, "a")
    for wrong in (issuer.token(audience="another"), issuer.token(audience=AUDIENCE, seconds=-900), "a.b.c"):
        refused = call(client, "write", wrong)
        assert refused.status_code == 401
        assert f'{METADATA}/mcp"' in refused.headers["www-authenticate"]
        assert wrong not in refused.text


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_a_token_without_the_scopes_of_a_tool_is_told_which(client: TestClient, issuer: FakeIssuer, path: str):
    refused = call(client, "write", issuer.token(audience=AUDIENCE, scopes=["write"]), path=path)
    assert refused.status_code == 403
    assert refused.json()["type"] == "insufficient-scope"
    url = f"http://testserver.local{METADATA}{path}"
    expected = f'Bearer error="insufficient_scope", scope="write basic", resource_metadata="{url}"'
    assert refused.headers["www-authenticate"] == expected


def test_in_a_batch_it_is_told_by_the_answer_to_the_call(client: TestClient, issuer: FakeIssuer):
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "write", "arguments": {"text": "a"}},
    }
    fields = {**FIELDS, "authorization": f"Bearer {issuer.token(audience=AUDIENCE)}"}
    (answer,) = client.post("/mcp", json=[message], headers=fields).json()
    assert "needs the scopes basic, write" in answer["error"]["message"]


def test_a_token_that_was_accepted_is_not_handed_on(client: TestClient, issuer: FakeIssuer):
    answer = call(client, "handed_on", issuer.token(audience=AUDIENCE))
    assert answer.json()["result"]["content"][0]["text"] == f"oidc:{issuer.url}#alice None"


def test_without_an_authenticator_it_is_handed_on_as_over_http():
    with TestClient(make_server(None)) as client:
        assert call(client, "handed_on", "token-1").json()["result"]["content"][0]["text"] == "None Bearer token-1"
        assert client.get(METADATA).status_code == client.get(f"{METADATA}/mcp").status_code == 404


# --- other authenticators ---


class Gateway(Authenticator):
    """Knows who asks, and not who has signed them in"""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        user = credentials.headers.get("x-user")
        return None if user is None else Principal(user)

    def reads_authorization(self, credentials: Credentials) -> bool:
        return False


@pytest.mark.parametrize(
    ("authenticator", "challenge"),
    [
        (Gateway(), 'Bearer resource_metadata="{url}"'),
        (TrustedHeader(proxies="10.0.0.1"), 'Bearer resource_metadata="{url}"'),
        (ApiKeys(ANN.line), 'Bearer realm="API keys", resource_metadata="{url}", ApiKey realm="API keys"'),
    ],
    ids=["own", "gateway", "keys"],
)
def test_an_issuer_may_be_named_where_the_authenticator_has_none(authenticator: Authenticator, challenge: str):
    options = McpOptions(oauth_issuer="https://login.example.com/realms/staff")
    with TestClient(make_server(None, options, authenticator=authenticator)) as client:
        for path in (METADATA, f"{METADATA}/mcp"):
            found = client.get(path).json()
            assert found["authorization_servers"] == ["https://login.example.com/realms/staff"]
            assert found["resource"] == "http://testserver.local/mcp"
        assert client.get(f"{METADATA}/write").status_code == 404
        refused = call(client, "write")
        assert refused.status_code == 401
        url = f"http://testserver.local{METADATA}/mcp"
        assert refused.headers["www-authenticate"].startswith(challenge.format(url=url))
        assert "resource_metadata" not in client.post("/write", json={}).headers.get("www-authenticate", "")


def test_keys_alone_have_no_metadata():
    with TestClient(make_server(None, authenticator=ApiKeys(ANN.line))) as client:
        assert "resource_metadata" not in call(client, "write").headers["www-authenticate"]
        assert call(client, "handed_on", ANN.key).json()["result"]["content"][0]["text"] == "key:ann None"
        assert client.get(f"{METADATA}/mcp").status_code == 404


@pytest.mark.parametrize(
    "issuer", ["login.example.com", "ftp://x", "https://a b", "https://x/?a=b", "https://x/#f", "", 7]
)
def test_what_is_no_issuer_is_refused(issuer: Any):
    with pytest.raises(ConfigurationError, match=r"oauth_issuer=.*such as 'https://login\.example\.com"):
        McpOptions(oauth_issuer=issuer)


# --- in another app ---


def test_it_is_the_same_for_a_plugin(issuer: FakeIssuer):
    app = Litestar(path="/svc", plugins=[make_server(issuer).plugin()])
    with AppClient(app) as client:
        refused = client.post("/svc/mcp/", json={}, headers=FIELDS)
        url = f"http://testserver.local/svc{METADATA}/mcp"
        assert refused.status_code == 401
        assert f'resource_metadata="{url}' in refused.headers["www-authenticate"]
        assert client.get(f"/svc{METADATA}/mcp").json()["resource"] == "http://testserver.local/svc/mcp"
