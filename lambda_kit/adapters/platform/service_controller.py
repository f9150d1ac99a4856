"""The routes of services: ``/1/services2`` (docs/wire.md, The platform's job API)."""

from typing import Any

from litestar import Controller, Request, get
from litestar.params import FromPath
from litestar.response import Response

from lambda_kit.adapters.platform.bodies import json_response
from lambda_kit.adapters.platform.host import PlatformHost
from lambda_kit.adapters.platform.query import matches, now_text, page_links, page_of, path_part, whole_number
from lambda_kit.adapters.platform.services import PlatformServices

__all__ = ["service_controller"]

AnyRequest = Request[Any, Any, Any]

_MOST_IN_LIST = 1000


def service_controller(host: PlatformHost, services: PlatformServices) -> type[Controller]:
    """Make the Litestar controller of the services."""

    class PlatformServicesController(Controller):
        path = "/1/services2"
        include_in_schema = False

        @get()
        async def list(self, request: AnyRequest) -> Response[bytes]:
            pattern = matches(request)
            found = [
                (own, tool)
                for own, tool in services
                if pattern.search(services.name_of(tool)) or pattern.search(tool.name)
            ]
            limit = whole_number(request, "limit", 10, most=_MOST_IN_LIST) or 1
            first = int(page_of(request) or 0)
            href = f"{host.public_url(request.scope)}/1/services2"
            items = [
                services.list_item(own, tool, f"{href}/{path_part(own)}") for own, tool in found[first : first + limit]
            ]
            following = str(first + limit) if first + limit < len(found) else None
            return json_response({"items": items, "at-time": now_text(), "links": page_links(href, following)})

        @get("/{id:str}")
        async def read(self, request: AnyRequest, id: FromPath[str]) -> Response[bytes]:  # noqa: A002
            own, tool = services.find(id)
            href = f"{host.public_url(request.scope)}/1/services2/{path_part(own)}"
            return json_response(services.record(own, tool, href))

    return PlatformServicesController
