"""Health, and the OpenAPI page."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ivcap_service
import litestar_offline_docs
from litestar import Request, Router, get
from litestar.datastructures import ResponseHeader
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Contact, License
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from lambda_kit.adapters.http import operations
from lambda_kit.adapters.http.answers import Answer, json_answer
from lambda_kit.adapters.http.callers import guard_of
from lambda_kit.adapters.http.document import DocumentPlugin, PagePlugin, ServedDocument
from lambda_kit.adapters.http.heads import add_heads
from lambda_kit.adapters.http.openapi import describe_operation
from lambda_kit.adapters.http.problems import VERSION_HEADER
from lambda_kit.adapters.http.public_place import VARIES_WITH_PREFIX
from lambda_kit.adapters.http.security import HEALTH, secured
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.core.errors import NotServingError
from lambda_kit.core.runtime.threads import off_loop
from lambda_kit.version import VERSION

__all__ = ["HEALTH_PATHS", "health_handlers", "openapi_config", "openapi_routes", "version_response_header"]

_READINESS, _LIVENESS = "/_healtz", "/_livez"

HEALTH_PATHS = (_READINESS, _LIVENESS)
"""Asked by those who watch over the service, by whatever name or address they have for it, at any time."""

_DOCUMENT_TYPE = "application/vnd.oai.openapi+json"
_VARIES = ResponseHeader(name="Vary", value=VARIES_WITH_PREFIX[1].decode())

_ASSETS = Path(litestar_offline_docs.__file__).parent / "static"
_ASSETS_PATH = "/api/assets"
_ASSET_TYPES = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui-standalone-preset.js": "text/javascript; charset=utf-8",
}


def version_response_header() -> ResponseHeader:
    """The header that every response carries, for the responses that Litestar makes."""
    return ResponseHeader(name=VERSION_HEADER, value=VERSION)


def health_handlers(
    why_not_ready: Callable[[], Awaitable[str | None]], version: Callable[[], str], settings: HttpSettings
) -> list[Any]:
    """The handlers of readiness and liveness.

    Args:
        why_not_ready: Says why no job can be taken now; None: the service is ready.
        version: Says the version of the service.
        settings: Of the HTTP side.
    """

    async def readiness() -> ASGIResponse:
        reason = await why_not_ready()
        if reason is not None:
            raise NotServingError(reason)
        return json_answer({"version": version()})  # type: ignore[return-value]

    async def liveness() -> ASGIResponse:
        return json_answer({"status": "alive"})  # type: ignore[return-value]

    handlers: list[Any] = []
    for path, summary, handler, operation in (
        (_READINESS, "Whether jobs are taken", readiness, operations.readiness),
        (_LIVENESS, "Whether the event loop turns", liveness, operations.liveness),
    ):
        described = get(
            path,
            tags=["System"],
            summary=summary,
            operation_id=handler.__name__,
            operation_class=describe_operation(secured(operation, settings, HEALTH)),
        )
        handlers.append(described(handler))
    return handlers


def openapi_config(
    service: ivcap_service.Service, version: str, document: ServedDocument, settings: HttpSettings
) -> OpenAPIConfig:
    """What Litestar makes ``/api`` of. The page needs nothing from the internet.

    Args:
        service: Who offers the tools.
        version: The version of the service.
        document: What is shown.
        settings: Of the HTTP side.
    """
    contact, licence = service.contact, service.license
    return OpenAPIConfig(
        title=service.name,
        version=version,
        description=getattr(service, "description", None),
        contact=Contact(name=contact.name, email=contact.email, url=contact.url),
        license=None if licence is None else License(name=licence.name, url=licence.url),
        security=[],  # no credentials are asked for; linters want that said
        # A router of its own at /api: by default Litestar's routes would take part of a tool's at "/".
        openapi_router=Router(
            "/api",
            route_handlers=[],
            include_in_schema=False,
            guards=[guard_of(settings, "openapi")],
            response_headers=[version_response_header(), _VARIES],
        ),
        render_plugins=[PagePlugin(document), DocumentPlugin(document)],
    )


def openapi_routes(document: ServedDocument, settings: HttpSettings) -> Router:
    """A router with the OpenAPI document and the page's assets, which are no secret."""

    @get("/openapi.json", include_in_schema=False, guards=[guard_of(settings, "openapi")])
    async def openapi_json(request: Request[Any, Any, Any]) -> ASGIResponse:
        return Answer(200, document.encoded(request), _DOCUMENT_TYPE, [VARIES_WITH_PREFIX])  # type: ignore[return-value]

    @get(_ASSETS_PATH + "/{name:str}", include_in_schema=False)
    async def asset(name: FromPath[str]) -> ASGIResponse:
        if name not in _ASSET_TYPES:
            raise NotFoundException
        content = await off_loop((_ASSETS / name).read_bytes)
        return Answer(200, content, _ASSET_TYPES[name], [(b"cache-control", b"max-age=86400")])  # type: ignore[return-value]

    return add_heads(Router("/", route_handlers=[openapi_json, asset]))
