"""Nothing of a job that has ended stays in memory until the cyclic garbage collector comes by."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from pydantic import BaseModel

from lambda_kit import JobContext, JobFailedError, LambdaTool, RequestValidationError, Service, ToolOptions, ToolServer
from lambda_kit.testing import TestClient

SERVICE = Service(name="Kept", contact={"name": "Alice", "email": "alice@example.com"})
WAYS = ("succeeds", "fails", "fails in a group", "is cancelled", "takes too long")
seen: list["weakref.ref[Any]"] = []


class Ask(BaseModel):
    way: str


class Answer(BaseModel):
    text: str


def noted(thing: Any) -> Any:
    seen.append(weakref.ref(thing))
    return thing


def begin(req: Ask, ctx: JobContext) -> None:
    noted(req)
    noted(ctx)
    ctx.progress(1, 2)
    if req.way == "fails":
        raise noted(RuntimeError("no"))
    if req.way == "fails in a group":
        raise noted(ExceptionGroup("both", [noted(RuntimeError("no")), noted(LookupError("neither"))]))


class Awaits(LambdaTool):
    """Async"""

    options = ToolOptions(time_limit_seconds=60.0)

    async def run(self, req: Ask, ctx: JobContext) -> Answer:
        begin(req, ctx)
        if req.way in ("is cancelled", "takes too long"):
            await asyncio.Event().wait()
        result: Answer = noted(Answer(text="yes"))
        return result


class Blocks(LambdaTool):
    """Sync"""

    options = ToolOptions(time_limit_seconds=60.0)

    def run(self, req: Ask, ctx: JobContext) -> Answer:
        begin(req, ctx)
        while req.way in ("is cancelled", "takes too long"):
            ctx.raise_if_cancelled()
        result: Answer = noted(Answer(text="yes"))
        return result


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    seen.clear()
    try:
        yield
    finally:
        gc.enable()


def kept() -> list[Any]:
    return [thing for ref in seen if (thing := ref()) is not None]


async def until_nothing_is_kept() -> None:
    async with asyncio.timeout(60):
        while kept():  # noqa: ASYNC110 - that an object has gone is no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tool", ["awaits", "blocks"])
def test_nothing_of_a_job_that_came_by_http_is_kept(tool: str, way: str) -> None:
    server = ToolServer(SERVICE, [Awaits, Blocks])
    with TestClient(server) as client, without_collector():
        headers = {"job-time-limit": "0.05"} if way == "takes too long" else {}
        if way == "is cancelled":
            headers["prefer"] = "respond-async"
        answer = client.post(f"/{tool}", json={"way": way}, headers=headers)
        if way == "is cancelled":
            job = answer.headers["job-id"]
            client.delete(f"/jobs/{job}")
            assert client.get(f"/jobs/{job}", headers={"prefer": "wait=20"}).status_code == 410
        with client.portal() as portal:
            portal.call(until_nothing_is_kept)


@pytest.mark.parametrize("way", WAYS[:3])
@pytest.mark.parametrize("tool", [Awaits, Blocks])
async def test_nothing_of_a_job_of_the_same_process_is_kept(tool: type[Any], way: str) -> None:
    async with ToolServer(SERVICE, [Awaits, Blocks]) as server:
        with without_collector():
            with suppress(JobFailedError):
                await server.run_tool(tool, {"way": way})
            await until_nothing_is_kept()


async def test_nothing_of_a_body_that_does_not_fit_is_kept() -> None:
    async with ToolServer(SERVICE, [Awaits]) as server:
        with without_collector():
            try:
                await server.run_tool("awaits", {"wey": "wrong"})
            except RequestValidationError as error:
                noted(error)
            await until_nothing_is_kept()
