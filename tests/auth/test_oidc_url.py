"""``$LAMBDA_KIT_AUTH`` with an issuer."""

from typing import Any

import pytest

from lambda_kit import ConfigurationError, Principal
from lambda_kit.adapters.auth.urls import authenticator_from_url
from lambda_kit.testing import FakeIssuer
from tests.auth.oidc import AUDIENCE, bearer


@pytest.mark.parametrize("slash", ["", "/"])
async def test_an_issuer_is_set_without_code(slash: str):
    with FakeIssuer(path=f"/realms/staff{slash}") as issuer:
        options = f"audience={AUDIENCE}&hand_on=true&subject_claim=client_id&roles_claim=realm_access.roles"
        oidc = authenticator_from_url(f"oidc:{issuer.url}?{options}")
        assert oidc.hand_on
        assert oidc.authorization_servers() == (issuer.url,)
        await oidc.start()
        try:
            claims: dict[str, Any] = {"client_id": "robot", "realm_access": {"roles": ["greeter"]}}
            found = await oidc.authenticate(bearer(issuer.token(audience=AUDIENCE, **claims)))
        finally:
            await oidc.stop()
        assert found == Principal(f"oidc:{issuer.url}#robot", scopes=frozenset({"greeter"}))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("oidc:https://login.example.org", "needs the audience"),
        ("oidc:https://login.example.org?audience=", "needs the audience"),
        ("oidc:https://login.example.org?audience=a&hand_on=yes", "hand_on must be true or false"),
        ("oidc:https://login.example.org?audience=a&audience=b", "each once"),
        ("oidc:https://login.example.org?audience=a&algorithms=none", "has the options audience, "),
        ("oidc:http://login.example.org?audience=a", "an https URL"),
        ("oidc:login.example.org?audience=a", "an https URL"),
    ],
)
def test_what_is_wrong_with_it_is_said(url: str, says: str):
    with pytest.raises(ConfigurationError, match=says):
        authenticator_from_url(url)
