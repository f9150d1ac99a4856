"""`OidcAuthenticator` with a certified provider, which made its tokens without knowing of us."""

from collections.abc import Iterator

import pytest

from lambda_kit import Principal
from tests.auth.identity_provider import IdentityProvider, identity_provider
from tests.auth.oidc import refusal, started, status_of

AUDIENCE = "urn:my-service"


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.mark.processes
@pytest.mark.parametrize("audience", [AUDIENCE, f"{AUDIENCE}/ec"])  # signed with RS256, with ES256
async def test_a_program_gets_in_with_a_token_for_this_service(provider: IdentityProvider, audience: str):
    async with started(provider.issuer, audience=audience) as oidc:
        found = await status_of(oidc, provider.robot_token(audience, "read write"))
        assert isinstance(found, Principal)
        assert found.id == f"oidc:{provider.issuer}#robot"
        assert found.scopes == {"read", "write"}
        assert "not for this service" in await refusal(oidc, provider.robot_token("urn:another", "read"))


@pytest.mark.processes
async def test_a_person_gets_in_with_the_access_token_and_not_with_the_id_token(provider: IdentityProvider):
    tokens = provider.log_in("alice", AUDIENCE, "read")
    async with started(provider.issuer, audience=AUDIENCE) as oidc:
        found = await status_of(oidc, tokens["access_token"])
        assert isinstance(found, Principal)
        assert found.id == f"oidc:{provider.issuer}#alice"
        assert found.scopes == {"read"}
        assert "not for this service" in await refusal(oidc, tokens["id_token"])


@pytest.mark.processes
async def test_its_document_tells_browsers_where_to_log_in(provider: IdentityProvider):
    async with started(provider.issuer, audience=AUDIENCE) as oidc:
        (scheme,) = oidc.security_schemes().values()
    flow = scheme["flows"]["authorizationCode"]
    assert flow["authorizationUrl"] == f"{provider.issuer}/auth"
    assert flow["tokenUrl"] == f"{provider.issuer}/token"
