"""The door to all routes: where the service is for a client, who may come in, and what every answer has.

One layer in front of both ways to a tool, Litestar's and the short one (docs/wire.md, What holds for every request).
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from lambda_kit.adapters.http.answers import Answer
from lambda_kit.adapters.http.finish import Finish
from lambda_kit.adapters.http.origins import is_cross_site, origin_of
from lambda_kit.adapters.http.problems import PROBLEM_MEDIA_TYPE, Problem, problem_body
from lambda_kit.adapters.http.public_place import host_of, mount_path, own_path, place
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.system import HEALTH_PATHS
from lambda_kit.core.model.public_url import FORWARDING_FIELDS, Said, said_by_proxies

__all__ = ["Door"]

logger = logging.getLogger("lambda_kit.http")

_CHANGING = frozenset(["POST", "PUT", "PATCH", "DELETE"])
_ONCE = {b"authorization": "Authorization", b"content-type": "Content-Type", b"host": "Host"}
_LOOKED_AT = FORWARDING_FIELDS | {
    b"authorization", b"host", b"origin", b"sec-fetch-site", b"content-encoding", b"content-type",
    b"access-control-request-method", b"access-control-request-headers",
}  # fmt: skip
_IDENTITY = frozenset([b"", b"identity"])

_Fields = dict[bytes, list[bytes]]
"""The values of the header fields that are looked at, by name."""


class Door:
    """Lets requests in, and finishes answers.

    Args:
        settings: Of the HTTP side.
        lasting_paths: Of GETs whose answers caches may keep; those of all others they may not.
        has_route: Whether the app has a route for a path. None: requests have been routed when they come here.
    """

    def __init__(
        self,
        settings: HttpSettings,
        lasting_paths: Iterable[str],
        has_route: Callable[[str], bool] | None = None,
    ) -> None:
        self._settings = settings
        self._lasting_paths = frozenset(lasting_paths)
        self._has_route = has_route
        self._has_warned = False

    def around(self, app: ASGIApp) -> ASGIApp:
        """The door as a middleware of Litestar."""

        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == ScopeType.HTTP:
                refusal, send = self.enter(scope, send, scope["litestar_app"])
                if refusal is not None:
                    await refusal(scope, receive, send)
                    return
            await app(scope, receive, send)

        return door

    def enter(self, scope: HTTPScope, send: Send, app: Any) -> tuple[Answer | None, Send]:
        """Change a scope to what the client asked for, and see whether it may come in.

        Args:
            scope: The request's; it is changed.
            send: Takes the answer.
            app: The Litestar app that is called.

        Returns:
            The answer, if the request goes no further: it is refused, or a preflight. And what takes the answer, that
            or another one, in place of `send`.
        """
        fields: _Fields = {}
        for name, value in scope["headers"]:
            if name in _LOOKED_AT:
                if name in fields:
                    fields[name].append(value)
                else:
                    fields[name] = [value]
        origin = fields[b"origin"][0] if b"origin" in fields else None
        # an app that exists, with our routes as a plugin, may have such settings of its own
        shared = self._settings.origins if app.cors_config is None else None
        is_shared = origin is not None and shared is not None and shared.allows(origin)
        finish = Finish(scope, send, app, shared, origin if is_shared else None, self._lasting_paths)
        own_host = fields[b"host"][0].decode("latin-1") if b"host" in fields else ""
        own_scheme = scope.get("scheme", "http")
        self._place(scope, fields, app)
        problem = _given_twice(fields) or self._foreign_host(scope, own_host, app)
        if problem is None:
            if is_shared and shared is not None and _is_preflight(scope, fields):
                return shared.preflight(b", ".join(fields.get(b"access-control-request-headers", ()))), finish
            if scope["method"] in _CHANGING:
                if not is_shared and (origin is not None or b"sec-fetch-site" in fields):
                    problem = _cross_site(scope, fields, origin, origin_of(own_scheme, own_host), app)
                problem = problem or _encoded(fields)
        return None if problem is None else _refusal(problem), finish

    def _place(self, scope: HTTPScope, fields: _Fields, app: Any) -> None:
        """Take what trusted proxies say, and the prefix."""
        said = Said()
        if not FORWARDING_FIELDS.isdisjoint(fields):
            proxies = self._settings.proxies
            if proxies.trusts_peer(scope.get("client")):
                said = said_by_proxies(fields, proxies)
            elif not self._has_warned:
                self._has_warned = True
                _warn_of_ignored(scope, fields)
        mount = mount_path(scope, app)
        root_path = self._settings.root_path
        if mount or root_path or any(said):
            place(scope, said, mount=mount, root_path=root_path, has_route=self._has_route)

    def _foreign_host(self, scope: HTTPScope, own_host: str, app: Any) -> Problem | None:
        allowed = self._settings.allowed_hosts
        if allowed is None or own_path(scope, app) in HEALTH_PATHS:
            return None
        # what a proxy says ends in URLs, and what was really sent is what a page can't choose
        if allowed.allows(own_host) and allowed.allows(host_of(scope["headers"])):
            return None
        return Problem(403, "host-not-allowed", "Host: it is none of those by which this service may be called")


def _is_preflight(scope: HTTPScope, fields: _Fields) -> bool:
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in fields


def _given_twice(fields: _Fields) -> Problem | None:
    for name, shown in _ONCE.items():
        if len(fields.get(name, ())) > 1:
            return Problem(400, "bad-request", f"{shown}: it was sent more than once")
    return None


def _cross_site(scope: HTTPScope, fields: _Fields, origin: bytes | None, own_origin: bytes, app: Any) -> Problem | None:
    sites = fields.get(b"sec-fetch-site")
    own_origins = {own_origin, origin_of(scope.get("scheme", "http"), host_of(scope["headers"]))}
    if not is_cross_site(None if sites is None else b", ".join(sites), origin, own_origins):
        return None
    if origin is not None and app.cors_config and app.cors_config.is_origin_allowed(origin.decode("latin-1")):
        return None
    message = "the request comes from a page of another origin, which may not change anything here"
    return Problem(403, "cross-site", message)


def _encoded(fields: _Fields) -> Problem | None:
    values = fields.get(b"content-encoding", ())
    codings = {coding.strip().lower() for value in values for coding in value.split(b",")}
    if codings <= _IDENTITY:
        return None
    return Problem(415, "unsupported-encoding", "Content-Encoding: send the body as it is, without a coding")


def _refusal(problem: Problem) -> Answer:
    fields = [(b"accept-encoding", b"identity")] if problem.status == 415 else []  # RFC 9110, 15.5.16
    return Answer(problem.status, problem_body(problem), PROBLEM_MEDIA_TYPE, fields)


def _warn_of_ignored(scope: HTTPScope, fields: _Fields) -> None:
    peer = scope.get("client")
    where = f"from {peer[0]}" if peer else "through a unix socket"
    name = min(FORWARDING_FIELDS & fields.keys()).decode()
    logger.warning(
        "the field %s of a request %s is ignored, since that is no trusted proxy: if it is yours, name its address or "
        "network, or 'unix', by --forwarded-allow-ips or $FORWARDED_ALLOW_IPS",
        name,
        where,
    )
