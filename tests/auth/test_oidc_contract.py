"""The contract of authenticators, for `OidcAuthenticator`."""

import pytest

from lambda_kit import Authenticator, Credentials
from lambda_kit.adapters.auth import OidcAuthenticator
from lambda_kit.testing import AuthenticatorContract, FakeIssuer
from tests.auth.oidc import AUDIENCE


class TestOidcAuthenticator(AuthenticatorContract):
    kind = "oidc"

    @pytest.fixture
    def authenticator(self, fake_issuer: FakeIssuer) -> Authenticator:
        return OidcAuthenticator(fake_issuer.url, audience=AUDIENCE)

    @pytest.fixture
    def credentials(self, fake_issuer: FakeIssuer) -> Credentials:
        return self.with_token(fake_issuer.token(audience=AUDIENCE, scopes=["read", "write"]))

    def with_token(self, token: str) -> Credentials:
        return self.request_with({"authorization": f"Bearer {token}"})

    @pytest.fixture
    def tampered(self, fake_issuer: FakeIssuer) -> list[Credentials]:
        good = fake_issuer.token(audience=AUDIENCE)
        header, payload, signature = good.split(".")
        middle = len(signature) // 2
        swapped = signature[:middle] + ("A" if signature[middle] != "A" else "B") + signature[middle + 1 :]
        tokens = (
            f"{header}.{payload}.{swapped}",
            f"{header}.{payload}.",
            f"{header}.{fake_issuer.token('eve', audience=AUDIENCE).split('.')[1]}.{signature}",
            fake_issuer.token(audience=AUDIENCE, seconds=-60),
            fake_issuer.token(audience="another"),
            fake_issuer.token(audience=AUDIENCE, header={"kid": "unknown"}),
        )
        return [self.with_token(token) for token in tokens]
