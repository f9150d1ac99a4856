"""A service for an ASGI server of one's own: as it is, and mounted in another app."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Mount

from lambda_kit import LambdaTool, RequestInfo, Service, ToolServer


class Ask(BaseModel):
    """Nothing"""


class Who(LambdaTool):
    """Say who asks"""

    async def run(self, req: Ask, info: RequestInfo) -> dict[str, Any]:
        return {"url": info.url, "client": info.client and info.client[0]}


server = ToolServer(Service(name="Mounted", contact={"name": "A", "email": "a@example.com"}), tools=[Who])


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with server:
        yield


app = Starlette(routes=[Mount("/tools", server)], lifespan=lifespan)
