"""The algorithms of signatures that tokens may have (RFC 7518, 3.1; RFC 8037, 3.1)."""

from collections.abc import Iterable

from lambda_kit.core.errors import ConfigurationError

__all__ = ["ALGORITHMS", "checked_algorithms"]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those with a public key. Never ``none``; never HS256 and its kind, whose key could be a public one in disguise."""


def checked_algorithms(algorithms: Iterable[str]) -> frozenset[str]:
    """The allow-list that was set.

    Raises:
        ConfigurationError: if it is empty, or names one that is not supported.
    """
    allowed = frozenset([algorithms] if isinstance(algorithms, str) else algorithms)
    if not allowed or not allowed <= set(ALGORITHMS):
        raise ConfigurationError(
            f"OidcAuthenticator(algorithms={sorted(allowed)!r}): must be some of {', '.join(ALGORITHMS)}"
        )
    return allowed
