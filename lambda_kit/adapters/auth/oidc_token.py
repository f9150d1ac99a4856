"""What an unverified token says of itself: enough to choose the key that verifies it, and for nothing else."""

import base64
import json
from typing import Any, NamedTuple

from lambda_kit.adapters.auth.oidc_refusals import refused

__all__ = ["MOST_TOKEN_CHARS", "UnverifiedToken", "json_object", "look_at"]

MOST_TOKEN_CHARS = 16 * 1024
"""A longer token is refused."""

_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
"""Values of ``typ`` in lower case: access tokens (RFC 9068, 2.1), and JWTs that do not say what they are."""

_LONGEST_KEY_ID = 512


class UnverifiedToken(NamedTuple):
    """What a token says, whoever has made it."""

    algorithm: str
    key_id: str | None
    issuer: str


def look_at(token: str) -> UnverifiedToken:
    """Read the header and the issuer of a token of three parts.

    ``jku``, ``jwk``, ``x5u`` and ``x5c`` are not looked at: a token does not choose who verifies it.

    Raises:
        AuthenticationError: if it can't be a signed access token.
    """
    if len(token) > MOST_TOKEN_CHARS:
        raise refused(f"the token is longer than {MOST_TOKEN_CHARS} characters")
    first, second, _ = token.split(".")
    header, claims = json_object(_decoded(first), "header"), json_object(_decoded(second), "payload")
    if "crit" in header:  # RFC 7515, 4.1.11: what we don't know must not be ignored, and we know none
        raise refused("the header of the token has critical extensions (crit), and none is supported")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise refused("the token is of another type (typ) than JWT and at+jwt")
    algorithm, key_id, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str):
        raise refused("the header of the token names no algorithm (alg)")
    if key_id is not None and (not isinstance(key_id, str) or len(key_id) > _LONGEST_KEY_ID):
        raise refused("the key id (kid) of the token is no text, or too long")
    if not isinstance(issuer, str):
        raise refused("the token names no issuer (iss)")
    return UnverifiedToken(algorithm, key_id, issuer)


def json_object(content: bytes, part: str) -> dict[str, Any]:
    """A part of a token as data.

    Raises:
        AuthenticationError: if it is no JSON object.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # of bytes that are no UTF-8, and of absurd numbers and depths, too
        value = None
    if not isinstance(value, dict):
        raise refused(f"the {part} of the token is no JSON object")
    return value


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part.encode("ascii") + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:  # and UnicodeEncodeError
        raise refused("the token is malformed: a part of it is not in base64url") from None
