"""`ApiKeys`: programs that have a key each."""

import hmac
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lambda_kit.adapters.auth.key_file import PREFIX, has_key, hash_of, is_key
from lambda_kit.adapters.auth.key_source import source_of
from lambda_kit.core.errors import AuthenticationError, NotServingError
from lambda_kit.core.model.principal import Principal
from lambda_kit.core.ports.authenticator import Authenticator, Credentials

__all__ = ["ApiKeys"]

_FIELD = "X-API-Key"
_BEARER = 'Bearer realm="API keys"'
_OWN_SCHEME = f'ApiKey realm="API keys", header="{_FIELD}"'


class ApiKeys(Authenticator):
    """Lets in who has a key of a list: as ``X-API-Key: lk_…``, or as ``Authorization: Bearer lk_…``.

    The list has a line for each key: ``name  scopes=a,b  expires=2027-01-31  sha256:HEX``. ``lambda-kit key`` makes a
    key and its line. A principal's id is ``key:NAME``: keys of the same name are the same principal. A file is read
    again when it changes, so a key is revoked by removing its line. New content counts when it is found unchanged by a
    second look; if it is wrong, that is logged, and the keys that were read before stay valid.

    Keys are handed on to nobody.

    Args:
        source: The path of a file of such lines, or the lines themselves (a text with ``sha256:`` in it).
        check_seconds: How often a file is looked at.
        clock: The time in seconds since 1970.

    Raises:
        ConfigurationError: if a text has a wrong line. A file is read by `start`, which raises it too; the text says
            the file and the line.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        *,
        check_seconds: float = 2.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source_of(source, check_seconds)
        self._clock = clock

    def __repr__(self) -> str:
        return f"ApiKeys({self._source!r})"

    async def start(self) -> None:
        await self._source.start()

    async def stop(self) -> None:
        await self._source.stop()

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        field = credentials.headers.get(_FIELD)
        bearer = credentials.bearer
        if bearer is not None and not bearer.startswith(PREFIX):
            bearer = None  # a token of somebody else's
        if field is None and bearer is None:
            return None
        if field is not None and bearer is not None and field != bearer:
            raise self._refusal("two different API keys were sent", is_bearer=False)
        is_bearer = field is None
        sent = (bearer or "") if field is None else field.strip(" \t")
        keys = self._source.keys
        if keys is None:
            raise NotServingError("the API keys have not been read yet")
        digest = hash_of(sent) if is_key(sent) else b""
        key = keys.get(digest)
        if key is None or not hmac.compare_digest(key.hash, digest):
            raise self._refusal("the API key is not valid", is_bearer=is_bearer)
        if self._clock() >= key.ends_at:
            raise self._refusal("the API key has expired", is_bearer=is_bearer)
        return key.principal

    def _refusal(self, message: str, *, is_bearer: bool) -> AuthenticationError:
        if not is_bearer:
            return AuthenticationError(message, challenge=(_OWN_SCHEME, _BEARER))
        said = f'{_BEARER}, error="invalid_token", error_description="{message}"'  # RFC 6750, 3
        return AuthenticationError(message, challenge=(said, _OWN_SCHEME))

    def reads_authorization(self, credentials: Credentials) -> bool:
        # beside an X-API-Key, Authorization may be for others; a key in it never is
        return has_key(credentials.headers.get("authorization", ""))

    def challenges(self) -> Sequence[str]:
        return (_BEARER, _OWN_SCHEME)

    def security_schemes(self) -> Mapping[str, Mapping[str, Any]]:
        about = f"An API key, {PREFIX}..."
        return {
            "apiKey": {"type": "apiKey", "in": "header", "name": _FIELD, "description": about},
            "apiKeyBearer": {"type": "http", "scheme": "bearer", "bearerFormat": f"{PREFIX}...", "description": about},
        }
