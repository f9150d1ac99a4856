"""The OpenAPI document as it is served: in the order in which people read, and for the URL by which they came."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar import Request, Router
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin

from lambda_kit.adapters.http.heads import add_heads
from lambda_kit.adapters.http.public_place import base_path
from lambda_kit.adapters.http.security import AUDIENCE, CLIENT_ID, WITH_SCOPES

__all__ = ["DocumentPlugin", "PagePlugin", "ServedDocument"]

_METHODS = ("post", "get", "delete")


class ServedDocument:
    """The OpenAPI document of an app, made when it is first asked for.

    Args:
        schemes: Its security schemes. They change when an identity provider is found: then it is made again.
    """

    def __init__(self, schemes: Callable[[], Mapping[str, Any]]) -> None:
        self._schemes = schemes
        self._made_with: Mapping[str, Any] = {}
        self._members: dict[str, Any] = {}
        # of as many prefixes as a service may have; anybody could ask with one more
        self._encode = functools.lru_cache(maxsize=8)(lambda prefix: msgspec.json.encode(self._with_server(prefix)))

    def members(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """The document, with the prefix of the request in ``servers``."""
        schemes = self._schemes()
        if not self._members or schemes != self._made_with:
            self._members = _in_order(request.app.openapi_schema.to_schema())
            self._made_with = schemes
            self._encode.cache_clear()
        return self._with_server(base_path(request.scope))

    def encoded(self, request: Request[Any, Any, Any]) -> bytes:
        """The document as JSON."""
        self.members(request)
        return self._encode(base_path(request.scope))

    def _with_server(self, prefix: str) -> dict[str, Any]:
        return {**self._members, "servers": [{"url": prefix or "/"}]}


def _in_order(document: dict[str, Any]) -> dict[str, Any]:
    """The same document: each path before those below it, and in each the operation that does something first."""
    paths: dict[str, Any] = document.get("paths", {})
    groups: dict[str, list[str]] = {}
    for path in paths:
        head = min((other for other in paths if path == other or path.startswith(f"{other}/")), key=len)
        groups.setdefault(head, []).append(path)
    ordered = [path for head, group in groups.items() for path in sorted(group, key=lambda path: path != head)]
    return {**document, "paths": {path: _post_first(paths[path]) for path in ordered}}


def _post_first(item: dict[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in (*_METHODS, *item) if name in item}


class DocumentPlugin(JsonRenderPlugin):
    """The document beside the page."""

    def __init__(self, document: ServedDocument) -> None:
        super().__init__()
        self._document = document

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document."""
        return self._document.encoded(request)

    def receive_router(self, router: Router) -> None:
        """Called by Litestar with all routes below the page's."""
        add_heads(router)


class PagePlugin(SwaggerRenderPlugin):
    """Swagger UI, which finds its assets below ``api/assets``: behind any prefix, with a slash at its end or not."""

    def __init__(self, document: ServedDocument) -> None:
        super().__init__(path="/")
        self._document = document

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        path: bytes = request.scope["raw_path"]
        slashes = len(path) - len(path.rstrip(b"/"))
        members = self._document.members(request)
        return _swagger("../" * slashes or "./", _login(members)).render(request, members)


def _login(document: Mapping[str, Any]) -> dict[str, Any]:
    """What Swagger UI is told for logins by OAuth 2; empty if the document has none."""
    schemes = document.get("components", {}).get("securitySchemes", {}).values()
    logins = [scheme for scheme in schemes if scheme["type"] in WITH_SCOPES]
    if not logins:
        return {}
    client_ids = [login[CLIENT_ID] for login in logins if CLIENT_ID in login]
    audiences = [login[AUDIENCE] for login in logins if AUDIENCE in login]
    login: dict[str, Any] = {"usePkceWithAuthorizationCodeGrant": True, "scopes": "openid"}
    if client_ids:  # the page has one for all
        login["clientId"] = client_ids[0]
    if audiences:  # which some providers need to be told, and others ignore
        login["additionalQueryStringParams"] = {"audience": audiences[0]}
    return login


def _swagger(base: str, login: dict[str, Any]) -> SwaggerRenderPlugin:
    assets = f"{base}api/assets"
    # Litestar puts it between quotes. It is computed by the page: the provider compares it with the one it knows, and
    # the browser knows best by which URL it came here.
    redirect = f"' + new URL('{base}api/oauth2-redirect.html', window.location.href) + '"
    return SwaggerRenderPlugin(
        init_oauth=login,
        oauth2_redirect_url=redirect if login else None,
        js_url=f"{assets}/swagger-ui-bundle.js",
        css_url=f"{assets}/swagger-ui.css",
        standalone_preset_js_url=f"{assets}/swagger-ui-standalone-preset.js",
        favicon="<link rel='icon' href='data:,'>",
        style="<style>body { margin: 0; padding: 0 }</style>",
    )
