"""The routes of aspects: ``/1/aspects`` (docs/wire.md, The platform's job API)."""

from typing import Any

import msgspec
from litestar import Controller, Request, delete, get, post, put
from litestar.params import FromPath
from litestar.response import Response

from lambda_kit.adapters.platform.aspects import Aspect, Aspects
from lambda_kit.adapters.platform.bodies import json_response, read_body
from lambda_kit.adapters.platform.host import PlatformHost
from lambda_kit.adapters.platform.query import now_text, page_links, page_of, path_part, whole_number
from lambda_kit.adapters.platform.services import ACCOUNT
from lambda_kit.core.errors import BadRequestError
from lambda_kit.core.model.rfc3339 import rfc3339
from lambda_kit.core.runtime.threads import read_off_loop

__all__ = ["aspect_controller"]

AnyRequest = Request[Any, Any, Any]

_MOST_IN_LIST = 1000
_JSON = "application/json"


def aspect_controller(host: PlatformHost, aspects: Aspects) -> type[Controller]:
    """Make the Litestar controller of the aspects."""

    class PlatformAspects(Controller):
        path = "/1/aspects"
        include_in_schema = False

        @get()
        async def list(self, request: AnyRequest) -> Response[bytes]:
            query = request.query_params
            for name in ("filter", "content-path", "at-time"):
                if query.get(name):
                    raise BadRequestError(f"{name}: the job API of a laptop does not search by that")
            limit = whole_number(request, "limit", 10, most=_MOST_IN_LIST) or 1
            first = int(page_of(request) or 0)
            found = await read_off_loop(aspects.find, query.get("entity"), query.get("schema"))
            following = str(first + limit) if first + limit < len(found) else None
            href = f"{host.public_url(request.scope)}/1/aspects"
            items = [_list_item(aspect) for aspect in found[first : first + limit]]
            return json_response({"items": items, "at-time": now_text(), "links": page_links(href, following)})

        @get("/{id:str}")
        async def read(self, request: AnyRequest, id: FromPath[str]) -> Response[bytes]:  # noqa: A002
            aspect = await read_off_loop(aspects.get, id)
            href = f"{host.public_url(request.scope)}/1/aspects/{path_part(aspect.urn)}"
            more = {"account": ACCOUNT, "asserter": ACCOUNT, "policy": aspect.policy, "links": page_links(href, None)}
            return json_response(_list_item(aspect) | more)

        @post(status_code=200)
        async def add(self, request: AnyRequest) -> Response[bytes]:
            return await self._keep(request, replaces=False)

        @put()
        async def update(self, request: AnyRequest) -> Response[bytes]:
            return await self._keep(request, replaces=True)

        @delete("/{id:str}")
        async def retract(self, id: FromPath[str]) -> None:  # noqa: A002
            await read_off_loop(aspects.retract, id)

        async def _keep(self, request: AnyRequest, *, replaces: bool) -> Response[bytes]:
            query = request.query_params
            entity, schema = query.get("entity"), query.get("schema")
            if not entity or not schema:
                raise BadRequestError("the parameters entity and schema say what an aspect is of: one is missing")
            try:
                content = msgspec.json.decode(await read_body(request, host.max_body_bytes()), type=dict[str, Any])
            except msgspec.MsgspecError as error:
                raise BadRequestError(f"an aspect is a JSON object: {error}") from None
            policy = query.get("policy")
            aspect = await read_off_loop(aspects.add, entity, schema, content, policy, replaces=replaces)
            return json_response({"id": aspect.urn})

    return PlatformAspects


def _list_item(aspect: Aspect) -> dict[str, Any]:
    # the content always: the client asks for the model of a service's requests without, and reads it then
    item = {
        "id": aspect.urn,
        "entity": aspect.entity,
        "schema": aspect.schema,
        "content-type": _JSON,
        "content": aspect.content,
        "valid-from": rfc3339(aspect.valid_from),
    }
    return item if aspect.valid_to is None else {**item, "valid-to": rfc3339(aspect.valid_to)}
