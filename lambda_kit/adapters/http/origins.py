"""Pages of other origins: which may change something here, and which may read what is answered (docs/wire.md, 403)."""

import functools
from dataclasses import replace
from typing import Any

from litestar.config.cors import CORSConfig

from lambda_kit.adapters.http.answers import Answer
from lambda_kit.core.errors import ConfigurationError

__all__ = ["SharedOrigins", "is_cross_site", "origin_of"]

_SAFE_SITES = frozenset([b"same-origin", b"none"])
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

_EXPOSED = (
    "Location", "Retry-After", "Retry-Later", "job-id", "Preference-Applied", "WWW-Authenticate", "RateLimit",
    "RateLimit-Policy",
)  # fmt: skip
"""What a page may read of an answer besides the fields that every page may (Fetch, CORS-safelisted)."""

Fields = list[tuple[bytes, bytes]]


def is_cross_site(site: bytes | None, origin: bytes | None, own_origins: set[bytes]) -> bool:
    """Whether a request comes from a page of another origin.

    Args:
        site: The value of ``Sec-Fetch-Site``, which a page can't set. It decides where it was sent.
        origin: The value of ``Origin``.
        own_origins: Those under which the service is called.
    """
    if site is not None:
        return site.lower() not in _SAFE_SITES
    return origin is not None and origin.lower() not in own_origins


def origin_of(scheme: str, host: str) -> bytes:
    """An origin as browsers write it: without the port that the scheme has anyway."""
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORTS.get(scheme, ':'))}".lower().encode("latin-1")


class SharedOrigins:
    """The origins whose pages may use the service, by CORS.

    Their fields are on every answer, whatever its status: without them a page can't read why it was refused.

    Args:
        config: Litestar's. Fields that our answers have are exposed besides those that it names.

    Raises:
        ConfigurationError: if it is something else.
    """

    def __init__(self, config: CORSConfig) -> None:
        if not isinstance(config, CORSConfig):
            raise ConfigurationError(f"ToolServer(cors={config!r}): must be a litestar.config.cors.CORSConfig")
        self._config = config
        # with credentials, browsers don't take "*"
        self._is_for_all = config.is_allow_all_origins and not config.allow_credentials
        self._vary = b"" if self._is_for_all else b"Origin"
        exposed = {name.lower(): name for name in (*config.expose_headers, *_EXPOSED)}.values()
        self._fields: Fields = [(b"access-control-expose-headers", ", ".join(exposed).encode("latin-1"))]
        if config.allow_credentials:
            self._fields.append((b"access-control-allow-credentials", b"true"))
        self._methods = config.preflight_headers.get("Access-Control-Allow-Methods", "").encode("latin-1")

    @functools.cached_property
    def at_mcp(self) -> "SharedOrigins":
        """The same for MCP, whose clients in browsers need its methods, any field, and to read the session's id."""
        config = self._config
        return SharedOrigins(
            replace(
                config,
                allow_methods=["GET", "POST", "DELETE", "OPTIONS"],
                allow_headers=["*"],
                expose_headers=[*config.expose_headers, "Mcp-Session-Id"],
            )
        )

    @property
    def vary(self) -> bytes:
        """What answers vary with; empty if all origins are answered alike."""
        return self._vary

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may use the service."""
        return self._config.is_origin_allowed(origin.decode("latin-1"))

    def fields(self, origin: bytes) -> Fields:
        """The fields of an answer to a page of an origin that is allowed."""
        return [(b"access-control-allow-origin", b"*" if self._is_for_all else origin), *self._fields]

    def fields_of_answer(self, request_fields: Fields) -> Fields:
        """The fields of an answer to a request that no app has seen, by the header fields of it that have come."""
        origin = next((value for name, value in request_fields if name == b"origin"), None)
        fields = [] if origin is None or not self.allows(origin) else self.fields(origin)
        return [*fields, (b"vary", self._vary)] if self._vary else fields

    def preflight(self, wanted_fields: bytes) -> Answer:
        """The answer to a preflight of an origin that is allowed; what every answer has is added to it later.

        Args:
            wanted_fields: The value of ``Access-Control-Request-Headers``.
        """
        config = self._config
        allowed = wanted_fields
        if not config.is_allow_all_headers:
            allowed = ", ".join(sorted(config.allow_headers)).encode("latin-1")
        fields: list[tuple[bytes, Any]] = [
            (b"access-control-allow-methods", self._methods),
            (b"access-control-max-age", b"%d" % config.max_age),
            (b"vary", b"Access-Control-Request-Method, Access-Control-Request-Headers"),
        ]
        if allowed:
            fields.append((b"access-control-allow-headers", allowed))
        return Answer(204, b"", None, fields)
