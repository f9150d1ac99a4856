"""Tells clients whose tokens the service takes (RFC 9728, OAuth 2.0 Protected Resource Metadata)."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from litestar import Request, get
from litestar.config.cors import CORSConfig
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import HTTPScope

from lambda_kit.adapters.http.answers import json_answer
from lambda_kit.adapters.http.mcp_door import MCP_PATH, ends_in_slash, mcp_path
from lambda_kit.adapters.http.origins import SharedOrigins
from lambda_kit.adapters.http.public_place import VARIES_WITH_URL, base_path, own_path, public_url
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.core.errors import AuthenticationError
from lambda_kit.core.jobs.service import JobService

__all__ = [
    "FOR_ALL_PAGES",
    "is_metadata_read",
    "metadata_parameter",
    "resource_metadata_handlers",
    "with_resource_metadata",
]

_PATH = "/.well-known/oauth-protected-resource"
_QUOTABLE_URL = re.compile(r"https?://[\x21\x23-\x5b\x5d-\x7e]+")
"""Without what would end the quotation."""

_READING = frozenset(["GET", "HEAD", "OPTIONS"])

FOR_ALL_PAGES = SharedOrigins(CORSConfig())
"""The metadata is read by any page that is a client, before anybody has logged in."""


def is_metadata_read(scope: HTTPScope, app: Any) -> bool:
    """Whether a request is to read the metadata."""
    return scope["method"] in _READING and own_path(scope, app).startswith(_PATH)


def with_resource_metadata(error: AuthenticationError, settings: HttpSettings, scope: HTTPScope) -> AuthenticationError:
    """The same error, with challenges that name the URL of the metadata (RFC 9728, 5.1), where there is one."""
    parameter = metadata_parameter(settings, scope)
    if parameter is None:
        return error
    challenges = [_with_parameter(one, parameter) for one in error.challenges]
    if mcp_path(scope) is not None and challenges == list(error.challenges):
        challenges.insert(0, f"Bearer {parameter}")  # a gateway takes the token, say; many clients read the first one
    return AuthenticationError(str(error), challenge=challenges)


def metadata_parameter(settings: HttpSettings, scope: HTTPScope) -> str | None:
    """What a ``Bearer`` challenge says of the metadata of what a request is for. None: there is none."""
    resource = mcp_path(scope)
    if resource is None and settings.mcp.is_open:  # the metadata at the root is that of /mcp
        path = own_path(scope, scope["litestar_app"])
        resource = path if path in settings.mcp.tool_paths else None
    if not (_servers_of_mcp if mcp_path(scope) else _servers)(settings):
        return None
    url = f"{public_url(scope)}{_PATH}{resource or ''}"
    return f'resource_metadata="{url}"' if _QUOTABLE_URL.fullmatch(url) else None


def _with_parameter(challenge: str, parameter: str) -> str:
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() != "bearer":
        return challenge
    return f"{scheme} {rest}, {parameter}" if rest else f"{scheme} {parameter}"


def _servers(settings: HttpSettings) -> Sequence[str]:
    return () if settings.access is None else settings.access.authorization_servers()


def _servers_of_mcp(settings: HttpSettings) -> Sequence[str]:
    return _servers(settings) if settings.mcp.issuer is None else (settings.mcp.issuer,)


def resource_metadata_handlers(service: JobService, settings: HttpSettings) -> list[Any]:
    """The handlers of the metadata of the service, of each tool's, and of MCP's: 404 where there is no issuer.

    They are open to everybody: who reads them has no token yet. At the root is that of MCP, where MCP is served, since
    its clients look there too, and take no other than that of the URL which they were given; else that of the service.

    Args:
        service: Has the tools.
        settings: Have the authenticators, and whether MCP is served.
    """
    tools = {tool.path: tool for tool in service.tools.values()}
    all_scopes = sorted({scope for tool in tools.values() for scope in tool.options.scopes})
    mcp_scopes = sorted({scope for tool in tools.values() if tool.options.mcp for scope in tool.options.scopes})

    def metadata(
        request: Request[Any, Any, Any], path: str, servers: Sequence[str], scopes: Collection[str]
    ) -> ASGIResponse:
        if not servers:
            raise NotFoundException
        content = {
            "resource": public_url(request.scope) + path,
            "authorization_servers": servers,
            "bearer_methods_supported": ["header"],
            # not `admin`, which clients that ask for all of these would ask for; what is empty is left out (3.2)
            **({"scopes_supported": scopes} if scopes else {}),
        }
        return json_answer(content, fields=[VARIES_WITH_URL])  # type: ignore[return-value]

    def of_mcp(request: Request[Any, Any, Any], path: str) -> ASGIResponse:
        return metadata(request, path, _servers_of_mcp(settings), mcp_scopes)

    @get(_PATH, include_in_schema=False)
    async def of_service(request: Request[Any, Any, Any]) -> ASGIResponse:
        if settings.mcp.is_open and _servers_of_mcp(settings):
            return of_mcp(request, MCP_PATH)
        return metadata(request, "", _servers(settings), all_scopes)

    @get(_PATH + "/{resource:path}", include_in_schema=False)
    async def of_tool(request: Request[Any, Any, Any], resource: FromPath[str]) -> ASGIResponse:
        # what makes the URL by itself puts the prefix, if the service has one, behind it (RFC 9728, 3.1)
        path = "/" + resource.strip("/")
        path = path.removeprefix(base_path(request.scope)) if path not in tools else path
        if path == MCP_PATH and settings.mcp.is_open:
            return of_mcp(request, path + ("/" if ends_in_slash(request.scope) else ""))
        if path not in tools:
            raise NotFoundException
        return metadata(request, path, _servers(settings), sorted(tools[path].options.scopes))

    return [of_service, of_tool]
