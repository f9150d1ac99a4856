"""Principals for tests, and an authenticator that knows them by their tokens."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lambda_kit import AuthenticationError, Authenticator, Credentials, Principal

__all__ = ["TOKENS", "Tokens", "sent_by"]

ANN: Final = Principal("test:ann", name="Ann", scopes=frozenset({"read"}))

TOKENS: Final[Mapping[str, Principal]] = {
    "ann-token": ANN,
    "ann-refreshed-token": ANN,
    "bob-token": Principal("test:bob"),
    "admin-token": Principal("test:root", scopes=frozenset({"admin"})),
}


class Tokens(Authenticator):
    """Takes `TOKENS` as bearer tokens."""

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        if credentials.bearer is None:
            return None
        principal = TOKENS.get(credentials.bearer)
        if principal is None:
            raise AuthenticationError("an unknown token", challenge='Bearer error="invalid_token"')
        return principal

    def challenges(self) -> Sequence[str]:
        return ("Bearer",)


def sent_by(who: str | None, **more: str) -> dict[str, Any]:
    """The header fields of a request of ``ann``, ``bob`` or ``admin``."""
    fields = {name.replace("_", "-"): value for name, value in more.items()}
    return fields if who is None else {"authorization": f"Bearer {who}-token", **fields}
