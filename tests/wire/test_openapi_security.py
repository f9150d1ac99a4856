"""docs/wire.md, Routes: what `/openapi.json` and the page `/api` say of callers."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from lambda_kit import Authenticator, CallerLimits, LambdaTool, Service, ToolOptions, ToolServer
from lambda_kit.adapters.auth import ApiKeys, OidcAuthenticator, TrustedHeader
from lambda_kit.testing import FakeIssuer, TestClient
from tests.auth.keys import Key
from tests.openapi.documents import Document, operations

ANN = Key("ann")
JOBS = [("/echo/jobs/{job_id}", "get"), ("/jobs", "get"), ("/jobs/{job_id}", "get"), ("/jobs/{job_id}", "delete")]


class Text(BaseModel):
    text: str


class Echo(LambdaTool):
    """Says a text"""

    async def run(self, req: Text) -> str:
        return req.text


class Write(LambdaTool):
    """Writes a text"""

    options = ToolOptions(scopes=["text:write"])

    async def run(self, req: Text) -> str:
        return req.text


def a_server(*authenticators: Authenticator, **options: Any) -> ToolServer:
    service = Service(name="Texts", contact={"name": "A", "email": "a@example.com"})
    return ToolServer(service, [Echo, Write], authenticator=list(authenticators), job_list=True, **options)


def document_of(client: httpx.Client, **headers: str) -> Document:
    answer = client.get("/openapi.json", headers=headers)
    assert answer.status_code == 200
    document: Document = answer.json()
    errors = [f"{list(error.path)}: {error.message}"[:300] for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert errors == []
    return document


@pytest.fixture(scope="module")
def keys() -> Iterator[httpx.Client]:
    with TestClient(a_server(ApiKeys(f"{ANN.line}\n"))) as client:
        yield client


@pytest.fixture(scope="module")
def document(keys: httpx.Client) -> Document:
    return document_of(keys)


# --- the document ---


def test_without_an_authenticator_nothing_is_said_of_callers() -> None:
    with TestClient(a_server()) as client:
        text = json.dumps(document_of(client))
        page = client.get("/api").text
    assert "securitySchemes" not in text
    assert '"401"' not in text
    assert text.count('"security"') == 1  # that of the document, which is empty
    assert "oauth2RedirectUrl" not in page


def test_each_operation_that_needs_credentials_names_those_that_will_do(document: Document) -> None:
    schemes = document["components"]["securitySchemes"]
    assert (schemes["apiKey"]["type"], schemes["apiKey"]["name"]) == ("apiKey", "X-API-Key")
    assert schemes["apiKeyBearer"]["scheme"] == "bearer"
    said = {(path, method): operation["security"] for path, method, operation in operations(document)}
    closed = {*JOBS, ("/jobs/{job_id}/status", "get"), ("/jobs/{job_id}/events", "get"), ("/metrics", "get")}
    closed |= {("/echo", "post"), ("/write", "post"), ("/write/jobs/{job_id}", "get")}
    assert {place for place, security in said.items() if security == []} == said.keys() - closed
    assert all(said[place] == [{"apiKey": []}, {"apiKeyBearer": []}] for place in closed)


def test_what_refuses_a_caller_is_said_where_it_can_be(document: Document) -> None:
    for path, method, operation in operations(document):
        refusals = operation["responses"]
        assert ("401" in refusals) is (operation["security"] != []), (path, method)
        if "401" in refusals:
            assert refusals["401"]["headers"]["WWW-Authenticate"]["required"] is True
            assert "Retry-After" in refusals["503"]["headers"]
        challenges = "WWW-Authenticate" in refusals["403"]["headers"]
        assert challenges is ((path, method) == ("/write", "post")), (path, method)
        assert list(refusals) == sorted(refusals) or operation["security"] == []
    assert "text:write" in document["paths"]["/write"]["post"]["responses"]["403"]["description"]


def test_the_limits_of_a_caller_are_said_where_there_are_some(document: Document) -> None:
    assert "RateLimit" not in document["paths"]["/echo"]["post"]["responses"]["429"]["headers"]
    with TestClient(a_server(caller_limits=CallerLimits(rate_per_second=5))) as client:
        paths = document_of(client)["paths"]
    assert paths["/echo"]["post"]["responses"]["429"]["headers"].keys() >= {"RateLimit", "RateLimit-Policy"}
    assert "429" not in paths["/jobs/{job_id}"]["get"]["responses"]


def test_routes_that_are_closed_or_opened_by_a_setting_say_so() -> None:
    with TestClient(a_server(ApiKeys(f"{ANN.line}\n"), open_routes=["metrics"])) as client:
        assert client.get("/openapi.json").status_code == client.get("/api").status_code == 401
        paths = document_of(client, **{"X-API-Key": ANN.key})["paths"]
    assert paths["/metrics"]["get"]["security"] == []
    assert paths["/echo"]["get"]["security"] != []
    assert paths["/echo"]["get"]["responses"].keys() >= {"401", "503"}


def test_what_a_gateway_does_is_no_scheme_but_refusals_are_said() -> None:
    with TestClient(a_server(TrustedHeader(proxies="10.0.0.5"))) as client:
        document = document_of(client)
    assert "securitySchemes" not in document["components"]
    assert "401" in document["paths"]["/echo"]["post"]["responses"]
    assert "security" not in document["paths"]["/echo"]["post"]


def test_what_is_answered_is_what_the_document_says(keys: httpx.Client, document: Document) -> None:
    operation = document["paths"]["/write"]["post"]
    anonymous = keys.post("/write", json={"text": "a"})
    lacking = keys.post("/write", json={"text": "a"}, headers={"X-API-Key": ANN.key})
    for answer, status in ((anonymous, 401), (lacking, 403)):
        assert answer.status_code == status
        assert operation["responses"][str(status)]["headers"].keys() <= {
            name.title() if name != "www-authenticate" else "WWW-Authenticate" for name in answer.headers
        } | {"Ivcap-AI-Tool-Version"}


# --- logins ---


@pytest.fixture(scope="module")
def logins() -> Iterator[tuple[httpx.Client, FakeIssuer]]:
    with FakeIssuer() as issuer:
        issuer.metadata |= {"authorization_endpoint": f"{issuer.url}/auth", "token_endpoint": f"{issuer.url}/token"}
        oidc = OidcAuthenticator(issuer.url, audience="texts", client_id="the-page")
        with TestClient(a_server(ApiKeys(f"{ANN.line}\n"), oidc)) as client:
            yield client, issuer


def test_a_login_names_the_scopes_that_a_tool_asks_for(logins: tuple[httpx.Client, FakeIssuer]) -> None:
    client, issuer = logins
    document = document_of(client)
    [(name, login)] = [item for item in document["components"]["securitySchemes"].items() if "oidc" in item[0]]
    assert {"apiKey": []} in document["paths"]["/write"]["post"]["security"]
    assert {name: ["text:write"]} in document["paths"]["/write"]["post"]["security"]
    assert {name: []} in document["paths"]["/echo"]["post"]["security"]
    flow = login["flows"]["authorizationCode"]
    assert (flow["authorizationUrl"], flow["tokenUrl"]) == (f"{issuer.url}/auth", f"{issuer.url}/token")
    assert flow["scopes"] == {"text:write": "Run write", "openid": "Log in"}


def test_the_document_follows_when_a_provider_is_found() -> None:
    with FakeIssuer() as issuer:
        issuer.fail(500)
        oidc = OidcAuthenticator(issuer.url, audience="texts", cool_down_seconds=0.01)
        with TestClient(a_server(oidc)) as client:
            [before] = document_of(client)["components"]["securitySchemes"].values()
            assert before["type"] == "openIdConnect"
            issuer.heal()
            issuer.metadata |= {"authorization_endpoint": f"{issuer.url}/auth", "token_endpoint": f"{issuer.url}/token"}
            bearer = {"Authorization": f"Bearer {issuer.token('ann', audience='texts')}"}
            while client.post("/echo", json={"text": "a"}, headers=bearer).status_code != 200:
                pass  # bounded by the test's own limit
            [after] = document_of(client)["components"]["securitySchemes"].values()
            assert after["type"] == "oauth2"


@pytest.mark.parametrize(("path", "base"), [("/api", "./"), ("/api/", "../")])
def test_the_page_logs_in_by_code_and_pkce(path: str, base: str, logins: tuple[httpx.Client, FakeIssuer]) -> None:
    client, _ = logins
    page = client.get(path).text
    assert f"oauth2RedirectUrl: '' + new URL('{base}api/oauth2-redirect.html', window.location.href) + ''," in page
    [told] = re.findall(r"ui\.initOAuth\((.*)\)", page)
    assert json.loads(told) == {
        "usePkceWithAuthorizationCodeGrant": True,
        "scopes": "openid",
        "clientId": "the-page",
        "additionalQueryStringParams": {"audience": "texts"},
    }
    redirect = client.get("/api/oauth2-redirect.html")
    assert redirect.status_code == 200
    assert "swaggerUIRedirectOauth2" in redirect.text
