"""`RequestInfo`: a snapshot of the request that made a job, and the rule what is kept of a request."""

import functools
import re
from collections.abc import Iterable, Sequence
from typing import AnyStr
from urllib.parse import unquote_plus

import msgspec

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.model.http_syntax import TOKEN

__all__ = ["Fields", "KeptFields", "RequestInfo", "redacted_query"]

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields as they came, names in lower case."""

_KEPT_NAMES = frozenset(
    b"accept content-type content-length content-language host origin user-agent date via forwarded x-forwarded-for "
    b"x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-prefix x-forwarded-user x-forwarded-email "
    b"x-forwarded-groups x-forwarded-preferred-username x-real-ip x-request-id x-correlation-id traceparent tracestate "
    b"baggage prefer timeout job-time-limit".split()
)
_KEPT_PREFIXES = (b"accept-", b"ivcap-")
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie"})
_SECRET_WORDS = frozenset({"token", "secret", "key"})
_FIELD_NAME = re.compile(TOKEN)  # RFC 9110, 5.1

_SECRET_PARAMETER_WORDS = frozenset(
    ["token", "key", "apikey", "secret", "password", "auth", "authorization", "sig", "signature", "credential"]
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_STARS = "***"


def _is_secret(name: str) -> bool:
    return name in _CREDENTIALS or not _SECRET_WORDS.isdisjoint(re.split(r"[^a-z0-9]+", name))


class KeptFields:
    """Chooses the header fields that are kept with a job, for every door (docs/wire.md, What is kept of a request).

    Args:
        more: Names of fields that are kept beside those of the list, in either case.

    Raises:
        ConfigurationError: if one is no name of a field, or that of one which holds credentials.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        if isinstance(more, str):
            raise ConfigurationError(f"keep_headers={more!r}: must be a list of names, such as [{more!r}]")
        added: set[bytes] = set()
        names_as_given: Sequence[object] = more
        for name in names_as_given:
            if not isinstance(name, str) or not _FIELD_NAME.fullmatch(name):
                raise ConfigurationError(f"keep_headers: {name!r} is not the name of a header field")
            if _is_secret(name.lower()):
                raise ConfigurationError(
                    f"keep_headers: {name!r} holds a credential, by its name, and is never kept: leave it out. A tool "
                    "gets the Authorization by JobContext.job_authorization"
                )
            added.add(name.lower().encode())
        names = _KEPT_NAMES | added

        @functools.lru_cache(maxsize=1024)  # clients send the same few names again and again
        def is_kept(name: bytes) -> bool:
            return (name in names or name.startswith(_KEPT_PREFIXES)) and not _is_secret(name.decode("latin-1"))

        self._is_kept = is_kept

    def of(self, fields: Iterable[tuple[bytes, bytes]]) -> Fields:
        """Those of a request's header fields that are kept. Names are in lower case."""
        is_kept = self._is_kept
        return tuple([field for field in fields if is_kept(field[0])])


def redacted_query(query: AnyStr) -> AnyStr:
    """A URL's query in which the values of parameters that hold credentials, by their names, are ``***``.

    These are names with a word such as ``token``, ``apiKey`` or ``X-Amz-Signature`` has, and ``code`` (docs/wire.md,
    What is kept of a request). What a job keeps and the access log shows of a query has gone through here.

    Args:
        query: What follows the ``?``, as it came; text or bytes.
    """
    if isinstance(query, bytes):
        return redacted_query(query.decode("latin-1")).encode("latin-1")
    if "=" not in query:
        return query
    # some servers take a semicolon for a separator too
    return "".join(part if part in "&;" else _redacted_parameter(part) for part in re.split(r"([&;])", query))


def _redacted_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}={_STARS}" if equals and _holds_credential(name) else parameter


@functools.lru_cache(maxsize=1024)
def _holds_credential(name: str) -> bool:
    name = unquote_plus(name)
    words = {word.lower() for word in _WORD.findall(name)}
    return name == "code" or not _SECRET_PARAMETER_WORDS.isdisjoint(words)


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A snapshot of the request that made a job. It is the same in every process.

    It is stored with the job, so it has only the header fields on a list, and no credentials (docs/wire.md, What is
    kept of a request): use `JobContext.job_authorization`, and ``ToolServer(keep_headers=...)`` for further fields.
    Where a job was not made by HTTP, the snapshot is made up from what is known.
    """

    method: str
    """The HTTP method, ``"POST"``."""
    url: str
    """The full URL as the server saw it; credentials in its query are ``***``."""
    fields: Fields = ()
    """The header fields as they came, names in lower case."""
    client: tuple[str, int] | None = None
    """Address and port of the peer, where known."""

    @property
    def headers(self) -> dict[str, str]:
        """Header fields by lower-case name; several fields of one name are joined by ``", "`` (RFC 9110, 5.3)."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in self.fields:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers
