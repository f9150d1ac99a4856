"""Tools for the library that this one succeeds and for its compatibility layer: only the import differs.

What they report and return is what was recorded of the original: steps, events of every kind, results of every type,
and every way to fail.
"""

import asyncio
import json
import os
import sys
import tempfile
from typing import Any, ClassVar

from ivcap_service import BinaryResult, JobContext, Service, ServiceContact, with_schema
from ivcap_service.events import BaseEvent, GenericErrorEvent, GenericEvent
from pydantic import BaseModel, Field

if os.environ.get("TESTED_SIDE") != "original":
    from lambda_kit.compat.ivcap_lambda import ToolOptions, ivcap_lambda, logging_init, start_lambda_server
else:
    from ivcap_lambda import (  # type: ignore[no-redef,import-not-found,unused-ignore] # pyright: ignore[reportMissingImports]
        ToolOptions,
        ivcap_lambda,
        logging_init,
        start_lambda_server,
    )

logging_init()

service = Service(name="Both", contact=ServiceContact(name="Alice", email="alice@example.com"))


@with_schema("urn:example:schema:greet.request.1")
class GreetRequest(BaseModel):
    name: str = Field(description="Name to greet.")
    fail: str | None = Field(None, description="What comes instead of a greeting.")


@with_schema("urn:example:schema:greet.1")
class GreetResult(BaseModel):
    greeting: str
    mood: str | None = None


class Cry(BaseException):
    """No `Exception`."""


@ivcap_lambda("/greet", opts=ToolOptions(tags=["Greeter"]))
def greet(req: GreetRequest, ctxt: JobContext) -> GreetResult:
    """Greet a person"""
    with ctxt.report.step("work", "Starting work...", foo=1) as step:
        step.info(GenericEvent(name="progress", options={"chunk": 1}))
        if req.fail is not None:
            return outcome(req.fail)  # type: ignore[no-any-return] # whatever the annotation says
        step.finished("done")
    return GreetResult(greeting=f"Hello, {req.name}!")


def outcome(kind: str) -> Any:
    match kind:
        case "value":
            raise ValueError("bad value")
        case "runtime":
            raise RuntimeError("boom")
        case "exit":
            sys.exit(3)
        case "base":
            raise Cry("loud")
    return {
        "none": None,
        "str": "plain text",
        "bytes": b"\x00\x01",
        "dict": {"a": 1},
        "empty": {},
        "zero": 0,
        "emptystr": "",
        "set": {1},
        "object": object(),
        "list": [1, 2],
        "binary": BinaryResult("image/png", b"\x89PNG"),
    }[kind]


@ivcap_lambda("/greet-async", opts=ToolOptions(tags=["Greeter"]))
async def greet_async(req: GreetRequest) -> GreetResult:
    """Greet a person on an event loop"""
    await asyncio.sleep(0)
    return GreetResult(greeting=req.name)


class RichRequest(BaseModel):
    kind: str


class RichResult(BaseModel):
    ok: bool
    text: str


class CustomEvent(BaseEvent):
    SCHEMA: ClassVar[str] = "urn:example:event.custom.1"
    value: float
    none: str | None = None


@ivcap_lambda("/rich", opts=ToolOptions(tags=["Rich"]))
def rich(req: RichRequest, ctxt: JobContext) -> Any:
    """Report and return things of every kind"""
    match req.kind:
        case "steps":
            report_steps(ctxt)
        case "steperror":
            with ctxt.report.step("bad", "going wrong"):
                raise RuntimeError("boom in step")
        case "valueerror":
            raise ValueError("bad value")
        case "valuesub":
            json.loads("{")
        case "pydantic":
            RichResult.model_validate({"ok": "notabool", "text": ""})
        case "unicode":
            "é".encode("ascii")
        case "binstr":
            return BinaryResult("text/csv", "a,b\n")
        case "file":
            with tempfile.NamedTemporaryFile("w", delete=False) as file:
                file.write("from file")
            return BinaryResult("text/plain", open(file.name, "rb"))  # noqa: PTH123 - as users write it
        case "str":
            return "plain é"
        case "id":
            return RichResult(ok=True, text=f"{ctxt.job_id}|{ctxt.report.job_id}|{ctxt.job_authorization}")
    return RichResult(ok=True, text=req.kind)


def report_steps(ctxt: JobContext) -> None:
    with ctxt.report.step("a", "msg a", x=1, y=None) as step:
        step.info(GenericEvent(name="p", options={"i": 1}))
        step.info({"raw": True})
        step.finished("done a", z=[1, 2])
    with ctxt.report.step("b"):
        pass
    ctxt.report.step_started("c", "started c", q="w")
    ctxt.report.step_finished("c")
    ctxt.report.emit(CustomEvent(value=1.5))
    ctxt.report.emit(GenericErrorEvent(error="e1"))
    ctxt.report.step_started("d", {"message": "dict as message"})


@ivcap_lambda("/rich-async", opts=ToolOptions(tags=["Rich"]))
async def rich_async(req: RichRequest, ctxt: JobContext) -> RichResult:
    """Report a step on an event loop"""
    with ctxt.report.step("as", "async step"):
        await asyncio.sleep(0)
    return RichResult(ok=True, text=req.kind)


if __name__ == "__main__":
    start_lambda_server(service)
