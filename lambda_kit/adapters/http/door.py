"""The door to all routes: where the service is for a client, who may come in, and what every answer has.

One layer in front of both ways to a tool, Litestar's and the short one (docs/wire.md, What holds for every request).
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Self

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from lambda_kit.adapters.http.allowed_hosts import AllowedHosts
from lambda_kit.adapters.http.answers import Answer
from lambda_kit.adapters.http.finish import Finish
from lambda_kit.adapters.http.mcp_door import is_mcp
from lambda_kit.adapters.http.origins import is_cross_site
from lambda_kit.adapters.http.problems import PROBLEM_MEDIA_TYPE, Problem, problem_body
from lambda_kit.adapters.http.public_place import mount_path, own_path, place
from lambda_kit.adapters.http.resource_metadata import FOR_ALL_PAGES, is_metadata_read
from lambda_kit.adapters.http.route_templates import shown as shown_template
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.system import HEALTH_PATHS
from lambda_kit.adapters.http.visitors import Sent, Verdict, foreign_host
from lambda_kit.core.model.public_url import FORWARDING_FIELDS, Said, said_by_proxies

__all__ = ["Door"]

logger = logging.getLogger("lambda_kit.http")

_CHANGING = frozenset(["POST", "PUT", "PATCH", "DELETE"])
_ONCE = {b"authorization": "Authorization", b"content-type": "Content-Type", b"host": "Host", b"origin": "Origin"}
_LOOKED_AT = FORWARDING_FIELDS | {
    b"authorization", b"host", b"origin", b"sec-fetch-site", b"content-encoding", b"content-type",
    b"access-control-request-method", b"access-control-request-headers",
}  # fmt: skip
_IDENTITY = frozenset([b"", b"identity"])
_NOTHING_SAID = Said()
_OF_PAGES = frozenset([b"origin", b"sec-fetch-site"])
_OF_PROGRAM = Verdict(None, None, is_shared=False)

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

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # Litestar copies what is given to routes, and the settings may be changed later

    def around(self, app: ASGIApp) -> ASGIApp:
        """The door as a middleware of Litestar."""

        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == ScopeType.HTTP:
                refusal, send = self.enter(scope, send, scope["litestar_app"])
                if refusal is not None:
                    await refusal(scope, receive, send)
                    return
            await app(scope, receive, send)

        async def observed(scope: Scope, receive: Receive, send: Send) -> None:
            around = self._settings.around_request
            if around is None or scope["type"] != ScopeType.HTTP:
                await door(scope, receive, send)
                return
            template = shown_template(scope.get("path_template", ""))
            if template.endswith((*HEALTH_PATHS, "/metrics")):
                await door(scope, receive, send)
            else:
                await around(door, scope, receive, send, lambda: template)

        return observed

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
        problem: Problem | None = None
        for name, value in scope["headers"]:
            if name in _LOOKED_AT:
                if name in fields:
                    fields[name].append(value)
                    problem = problem or _given_twice(name)
                else:
                    fields[name] = [value]
        origin = fields[b"origin"][0] if b"origin" in fields else None
        own_scheme = scope.get("scheme", "http")
        self._place(scope, fields, app)
        verdict = self._judge(scope, fields, own_scheme, app)
        finish = Finish(scope, send, app, verdict.shared, origin if verdict.is_shared else None, self._lasting_paths)
        problem = problem or verdict.problem
        if problem is None and verdict.shared is not None and verdict.is_shared and _is_preflight(scope, fields):
            wanted = b", ".join(fields.get(b"access-control-request-headers", ()))
            return verdict.shared.preflight(wanted), finish
        if problem is None and scope["method"] in _CHANGING and b"content-encoding" in fields:
            problem = _encoded(fields[b"content-encoding"])
        return None if problem is None else _refusal(problem), finish

    def _judge(self, scope: HTTPScope, fields: _Fields, own_scheme: str, app: Any) -> Verdict:
        settings = self._settings
        hosts = settings.allowed_hosts
        # an app that exists, with our routes as a plugin, may have such settings of its own
        shared = settings.origins if app.cors_config is None else None
        at_mcp = settings.mcp.is_open and is_mcp(scope, app)
        if not at_mcp and hosts is None and _OF_PAGES.isdisjoint(fields):
            return _OF_PROGRAM if shared is None else Verdict(None, shared, is_shared=False)
        sent = Sent.of(fields, own_scheme)
        if at_mcp:
            return settings.mcp.judge(scope, sent, app, hosts=hosts, cors=shared)
        is_metadata = is_metadata_read(scope, app)
        if is_metadata and app.cors_config is None:
            shared = FOR_ALL_PAGES
        is_shared = sent.origin is not None and shared is not None and shared.allows(sent.origin)
        problem: Problem | None = None
        if hosts is not None and not (is_metadata and settings.mcp.allows_host(scope, sent)):
            problem = _foreign_host(hosts, scope, sent, app)
        if problem is None and not is_shared and scope["method"] in _CHANGING:
            problem = _cross_site(scope, fields, sent, app)
        return Verdict(problem, shared, is_shared)

    def _place(self, scope: HTTPScope, fields: _Fields, app: Any) -> None:
        """Take what trusted proxies say, and the prefix."""
        said = _NOTHING_SAID
        if not FORWARDING_FIELDS.isdisjoint(fields):
            proxies = self._settings.proxies
            if proxies.trusts_peer(scope.get("client")):
                said = said_by_proxies(fields, proxies)
            elif not self._has_warned:
                self._has_warned = True
                _warn_of_ignored(scope, fields)
        outer: Any = scope.get("litestar_app")
        mount = "" if outer is None and not scope.get("root_path") else mount_path(scope, app)
        root_path = self._settings.root_path
        if mount or root_path or (said is not _NOTHING_SAID and any(said)):
            place(scope, said, mount=mount, root_path=root_path, has_route=self._has_route)


def _foreign_host(allowed: AllowedHosts, scope: HTTPScope, sent: Sent, app: Any) -> Problem | None:
    if own_path(scope, app) in HEALTH_PATHS or sent.is_to(allowed, scope):
        return None
    return foreign_host("Host: it is none of those by which this service may be called")


def _is_preflight(scope: HTTPScope, fields: _Fields) -> bool:
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in fields


def _given_twice(name: bytes) -> Problem | None:
    shown = _ONCE.get(name)
    return None if shown is None else Problem(400, "bad-request", f"{shown}: it was sent more than once")


def _cross_site(scope: HTTPScope, fields: _Fields, sent: Sent, app: Any) -> Problem | None:
    sites, origin = fields.get(b"sec-fetch-site"), sent.origin
    if sites is None and origin is None:
        return None
    if not is_cross_site(None if sites is None else b", ".join(sites), origin, sent.own_origins(scope)):
        return None
    if origin is not None and app.cors_config and app.cors_config.is_origin_allowed(origin.decode("latin-1")):
        return None
    message = "the request comes from a page of another origin, which may not change anything here"
    return Problem(403, "cross-site", message)


def _encoded(values: list[bytes]) -> Problem | None:
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
