from greet import Greet, service

from lambda_kit import ToolServer
from lambda_kit.adapters.auth import OidcAuthenticator
from lambda_kit.testing import FakeIssuer, TestClient


def test_who_has_a_token_gets_in(fake_issuer: FakeIssuer) -> None:
    oidc = OidcAuthenticator(fake_issuer.url, audience="my-service", roles_claim="realm_access.roles")
    with TestClient(ToolServer(service, tools=[Greet], authenticator=oidc)) as client:
        token = fake_issuer.token("alice", audience="my-service", realm_access={"roles": ["greeter"]})
        headers = {"Authorization": f"Bearer {token}"}
        assert client.post("/greet", json={"name": "Ann"}, headers=headers).is_success
        assert client.post("/greet", json={"name": "Ann"}).status_code == 401
        expired = {"Authorization": f"Bearer {fake_issuer.token('alice', audience='my-service', seconds=-60)}"}
        assert client.post("/greet", json={"name": "Ann"}, headers=expired).json()["detail"] == "the token has expired"
