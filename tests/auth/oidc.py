"""An authenticator on the test's own event loop, and what tests say of tokens."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lambda_kit import AuthenticationError, Credentials, Principal, UnavailableError
from lambda_kit.adapters.auth import OidcAuthenticator
from lambda_kit.core.ports.authenticator import HeaderFields

__all__ = ["AUDIENCE", "bearer", "refusal", "started", "status_of"]

AUDIENCE = "my-service"


def bearer(token: str) -> Credentials:
    """The credentials of a request with this token."""
    value = f"Bearer {token}".encode("utf-8", "surrogatepass")
    return Credentials(HeaderFields([(b"host", b"localhost"), (b"authorization", value)]), "127.0.0.1")


@contextlib.asynccontextmanager
async def started(issuer: str, **settings: Any) -> AsyncIterator[OidcAuthenticator]:
    """An authenticator that runs while the block lasts."""
    authenticator = OidcAuthenticator(issuer, **{"audience": AUDIENCE, **settings})
    await authenticator.start()
    try:
        yield authenticator
    finally:
        await authenticator.stop()


async def refusal(authenticator: OidcAuthenticator, token: str) -> str:
    """Why a token is refused; it must be, with the challenge of RFC 6750, and with no part of it in what is said."""
    with pytest.raises(AuthenticationError) as caught:
        await authenticator.authenticate(bearer(token))
    reason, (challenge,) = str(caught.value), caught.value.challenges
    assert challenge == f'Bearer realm="lambda_kit", error="invalid_token", error_description="{reason}"'
    assert challenge.isascii()
    assert not [part for part in token.split(".") if len(part) > 7 and part in challenge]
    return reason


async def status_of(authenticator: OidcAuthenticator, token: str) -> int | Principal | None:
    """401, 503, or whose it is."""
    try:
        return await authenticator.authenticate(bearer(token))
    except AuthenticationError:
        return 401
    except UnavailableError as error:
        return 503 if 0 < error.retry_after_seconds <= 60 else None
