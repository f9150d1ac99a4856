"""What a verified token says of its bearer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambda_kit.adapters.auth.oidc_refusals import refused
from lambda_kit.core.model.principal import Principal

__all__ = ["ClaimRules"]

_LONGEST_SUBJECT = 255
"""OpenID Connect Core, 2: ``sub`` has at most 255 characters."""
_LATEST = 1e11
"""The year 5138. What is later, or not finite, is no time."""
_OF_ID_TOKENS = ("at_hash", "c_hash")
_OTHER_TYPES = ("ID", "Refresh", "Offline", "Logout")
"""How Keycloak marks, in the payload, what is no access token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """Which claims are right, and what they say."""

    issuer: str
    audience: str
    leeway_seconds: float
    subject_claim: str
    roles_claim: str | None

    def check(self, claims: Mapping[str, Any]) -> float:
        """Check the claims of a token whose signature is right.

        Returns:
            Until when it is valid, in seconds since the epoch, leeway included.

        Raises:
            AuthenticationError: if it is no access token, or not for this service, or not for this time.
        """
        if claims.get("iss") != self.issuer:
            raise refused("the token is of another issuer (iss)")
        audience = claims.get("aud")
        if audience != self.audience and not (isinstance(audience, list) and self.audience in audience):
            raise refused("the token is not for this service: its audience (aud) is another")
        if any(name in claims for name in _OF_ID_TOKENS) or claims.get("typ") in _OTHER_TYPES:
            raise refused("the token is no access token: an ID token says who has logged in to a client, no more")
        return self._check_times(claims)

    def _check_times(self, claims: Mapping[str, Any]) -> float:
        now = time.time()
        if (expires := _time(claims, "exp")) is None:
            raise refused("the token has no end (exp)")
        if now >= expires + self.leeway_seconds:
            raise refused("the token has expired")
        for name, what in (("nbf", "the token is not valid yet (nbf)"), ("iat", "the token is of the future (iat)")):
            begins = _time(claims, name)
            if begins is not None and now + self.leeway_seconds < begins:
                raise refused(what)
        return expires + self.leeway_seconds

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """The bearer of a token.

        Raises:
            AuthenticationError: if the token does not say who that is.
        """
        subject = claims.get(self.subject_claim)
        if not isinstance(subject, str):
            kind = "missing" if subject is None else "no text"
            raise refused(f"the token does not say whose it is: the claim {self.subject_claim} is {kind}")
        if not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
            raise refused(
                f"the token does not say whose it is: the claim {self.subject_claim} must have 1 to {_LONGEST_SUBJECT} "
                "characters that can be printed"
            )
        return Principal(f"oidc:{self.issuer}#{subject}", name=_name(claims), scopes=self._scopes(claims))

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        given = claims.get("scope") or claims.get("scp")
        roles = None if self.roles_claim is None else _at(claims, self.roles_claim)
        return frozenset(_words(given)) | frozenset(_words(roles))


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_LATEST < value < _LATEST:
        raise refused(f"the token has no time in {name}")
    return float(value)


def _name(claims: Mapping[str, Any]) -> str | None:
    names = (claims.get("name"), claims.get("preferred_username"))
    return next((n for n in names if isinstance(n, str) and 0 < len(n) <= _LONGEST_SUBJECT and n.isprintable()), None)


def _words(value: Any) -> list[str]:
    """Scopes as providers write them: separated by spaces (RFC 6749, 3.3), or a list."""
    words = value.split(" ") if isinstance(value, str) else value if isinstance(value, list) else []
    return [word for word in words if isinstance(word, str) and word.isprintable() and word and " " not in word]


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """The value of a claim, by its name, which may have dots, or by a path of names."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
