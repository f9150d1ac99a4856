from words import CountWords

from lambda_kit import Service, ToolServer
from lambda_kit.adapters.auth import OidcAuthenticator
from lambda_kit.testing import FakeIssuer, TestClient

URL = "https://words.example.org/mcp"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def test_clients_find_the_issuer_and_get_in_with_its_token(fake_issuer: FakeIssuer) -> None:
    server = ToolServer(
        Service(name="Words", contact={"name": "Ann", "email": "ann@example.com"}),
        tools=[CountWords],
        authenticator=OidcAuthenticator(fake_issuer.url, audience=URL),
        mcp=True,
    )
    with TestClient(server, base_url="https://words.example.org") as client:
        refused = client.post("/mcp", json=PING)
        assert refused.status_code == 401
        place = refused.headers["WWW-Authenticate"].split('resource_metadata="')[1].rstrip('"')
        found = client.get(place).json()
        assert (found["resource"], found["authorization_servers"]) == (URL, [fake_issuer.url])
        token = fake_issuer.token("alice", audience=found["resource"])
        assert client.post("/mcp", json=PING, headers={"Authorization": f"Bearer {token}"}).json()["result"] == {}
