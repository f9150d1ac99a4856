"""`$LAMBDA_KIT_AUTH`: authenticators without code."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from lambda_kit import ConfigurationError, LambdaTool, Service, ToolServer
from lambda_kit.adapters.auth import ApiKeys, OidcAuthenticator
from lambda_kit.adapters.auth.urls import authenticators_of_environment
from lambda_kit.testing import TestClient
from tests.auth.keys import Key

ANN = Key("ann")


class Ask(BaseModel):
    text: str = ""


class Echo(LambdaTool):
    """Says it again."""

    def run(self, req: Ask) -> Ask:
        return req


def a_server(**arguments: object) -> ToolServer:
    service = Service(name="echo", contact={"name": "x", "email": "x@example.com"})
    return ToolServer(service, tools=[Echo], **arguments)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("LAMBDA_KIT_AUTH", raising=False)
    return monkeypatch


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_named_where_it_is_not_set(variables: pytest.MonkeyPatch, value: str | None) -> None:
    if value is not None:
        variables.setenv("LAMBDA_KIT_AUTH", value)
    assert authenticators_of_environment() == ([], None)


def test_a_file_of_keys_and_an_issuer(variables: pytest.MonkeyPatch) -> None:
    variables.setenv(
        "LAMBDA_KIT_AUTH",
        "keys:/run/secrets/keys, oidc:https://login.example.com/realms/a/?audience=my%2Cservice&hand_on=true",
    )
    (keys, oidc), trouble = authenticators_of_environment()
    assert trouble is None
    assert repr(keys) == "ApiKeys('/run/secrets/keys')"
    assert isinstance(keys, ApiKeys)
    assert isinstance(oidc, OidcAuthenticator)
    assert oidc.hand_on is True
    assert oidc.authorization_servers() == ("https://login.example.com/realms/a/",)


def test_the_lines_of_keys_can_be_in_a_variable(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("LAMBDA_KIT_AUTH", "keys:$TEAM_KEYS")
    variables.setenv("TEAM_KEYS", ANN.line)
    with TestClient(a_server()) as client:
        assert client.post("/echo", json={}).status_code == 401
        assert client.post("/echo", json={}, headers={"X-API-Key": ANN.key}).status_code == 200


def test_an_argument_wins(variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variables.setenv("LAMBDA_KIT_AUTH", f"keys:{tmp_path}/none")
    with TestClient(a_server(authenticator=[])) as client:
        assert client.post("/echo", json={}).status_code == 200
    with TestClient(a_server(authenticator=ApiKeys(ANN.line))) as client:
        assert client.post("/echo", json={}).status_code == 401
        assert client.post("/echo", json={}, headers={"X-API-Key": ANN.key}).status_code == 200


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("sesame:s3cret", "entry 1: it names no authenticator: use keys:/run"),
        ("keys:", "entry 1: it names no authenticator"),
        ("keys:/run/keys,", "entry 2: it names no authenticator"),
        ("s3cret", "entry 1: it names no authenticator"),
        ("keys:$NOT_SET", r"entry 1: \$NOT_SET, which must have the lines of keys, is not set"),
        ("keys:$BROKEN", r"entry 1: \$BROKEN: the text of ApiKeys, line 1: what follows the name"),
        ("keys:lk_" + 49 * "a", "entry 1: ApiKeys: it was given a key"),
        ("oidc:https://login.example.com", "entry 1: an issuer needs the audience"),
        ("oidc:https://login.example.com?audience=", "entry 1: an issuer needs the audience"),
        ("oidc:https://login.example.com?audience=a&audience=b", "entry 1: an issuer has the options"),
        ("oidc:https://login.example.com?audience=a&s3cret=b", "entry 1: an issuer has the options"),
        ("oidc:https://a:s3cret@login.example.com?audience=a", "entry 1: an issuer has the options"),
        ("oidc:https://login.example.com?audience=a&hand_on=yes", "entry 1: hand_on must be true or false"),
        ("oidc:https://login.example.com?s3cret", "entry 1: after oidc: there must be a URL"),
        ("oidc:https://[?audience=a", "entry 1: after oidc: there must be a URL"),
        ("oidc:ftp://login.example.com?audience=a", "entry 1: OidcAuthenticator"),
    ],
)
async def test_what_names_none_is_refused_at_the_start(variables: pytest.MonkeyPatch, value: str, why: str) -> None:
    variables.setenv("LAMBDA_KIT_AUTH", value)
    variables.setenv("BROKEN", "s3cret s3cret")
    server = a_server()  # a description can still be printed
    with pytest.raises(ConfigurationError, match=rf"^\$LAMBDA_KIT_AUTH, {why}") as refused:
        async with server:
            pytest.fail("it has started")
    assert "s3cret" not in str(refused.value)
    assert "aaaa" not in str(refused.value)
    assert server.http_settings.access is not None  # nobody is let in by a mistake
