"""A service as it is written for ivcap-lambda: run with the original, and with its import line changed."""

import asyncio
import json
import os
import time
from typing import Optional

from fastapi import HTTPException
from fastapi import Request as FastRequest
from ivcap_lambda import ExecutionContext, ToolOptions, get_job_id, ivcap_lambda, logging_init, start_lambda_server
from ivcap_lambda.executor import ExecutorOpts
from ivcap_service import BinaryResult, JobContext, Service, getLogger, with_schema
from pydantic import BaseModel, Field

logging_init()
logger = getLogger("app")

service = Service(
    name="Both Libraries",
    description="Tries what services do.",
    contact={"name": "Ann", "email": "ann@example.com"},
    license={"name": "MIT", "url": "https://opensource.org/license/MIT"},
)


class Inner(BaseModel):
    values: list[int] = Field(default_factory=list, description="Some numbers.")


@with_schema("urn:example:schema:both.request.1")
class BothRequest(BaseModel):
    name: str = Field(..., description="A name.")
    count: int = Field(1, description="How often.", ge=1)
    mood: Optional[str] = Field(None, description="A mood.")
    inner: Inner = Field(default_factory=Inner, description="More.")
    sleep: float = Field(0, description="Seconds to sleep.")


@with_schema("urn:example:schema:both.1")
class BothResult(BaseModel):
    text: str
    mood: Optional[str] = None
    numbers: list[int] = Field(default_factory=list)


class Prefix(ExecutionContext):
    text = "Hello, "


@ivcap_lambda("/", opts=ToolOptions(tags=["Both"], service_id="/"), context=Prefix())
def greet(req: BothRequest, ctxt: JobContext, prefix: Prefix) -> BothResult:
    """Greet a person

    Says hello as often as it is told to. Agents read this text.
    """
    with ctxt.report.step("greet", "begins") as step:
        time.sleep(req.sleep)
        step.finished("done")
    return BothResult(text=(prefix.text + req.name + "! ") * req.count, mood=req.mood, numbers=req.inner.values)


@ivcap_lambda("/async/things", opts=ToolOptions(executor_opts=ExecutorOpts(max_workers=2)))
async def list_things(input: BothRequest) -> BothResult:
    """List some things"""
    await asyncio.sleep(0.01)
    return BothResult(text=input.name)


class FailRequest(BaseModel):
    kind: str = "ValueError"


@ivcap_lambda("/fail", opts=None)
def fail(req: FailRequest):
    if req.kind == "ValueError":
        raise ValueError("no such thing")
    if req.kind == "json":
        json.loads("{")
    if req.kind == "KeyError":
        raise KeyError("key")
    if req.kind == "http":
        raise HTTPException(status_code=404, detail="not there")
    if req.kind == "none":
        return None
    if req.kind == "text":
        return "a text"
    if req.kind == "list":
        return [1, 2, {"three": 3}]
    if req.kind == "bytes":
        return b"\x00\x01"
    if req.kind == "binary":
        return BinaryResult(content_type="image/png", content=b"png")
    return {"kind": req.kind}


class Seen(BaseModel):
    headers: dict[str, str]
    method: str
    path: str
    query: dict[str, str]
    job: Optional[str]
    authorization: Optional[str]


@ivcap_lambda("/seen", opts=ToolOptions(max_wait_time=None, refresh_interval=7))
def seen(request: BothRequest, freq: FastRequest, jobCtxt: JobContext) -> Seen:
    "What is known of the request"
    time.sleep(request.sleep)
    return Seen(
        headers={key: value for key, value in freq.headers.items() if key.startswith(("x-", "auth"))},
        method=freq.method,
        path=freq.url.path,
        query=dict(freq.query_params),
        job=get_job_id(),
        authorization=jobCtxt.job_authorization,
    )


if __name__ == "__main__":
    import argparse

    def custom_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
        parser.add_argument("--debug", type=str, help="a flag of the service's own")
        args = parser.parse_args()
        if args.debug:
            os.environ["BOTH_DEBUG"] = args.debug
        return args

    start_lambda_server(service, custom_args=custom_args)
