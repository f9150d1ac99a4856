"""Tools for the wire tests that do what they are asked to: echo, wait, report, describe."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, Field

from lambda_kit import ExecutorOpts, JobContext, LambdaTool, RequestInfo, ToolOptions, with_schema
from tests.golden.tools import GreetRequest, GreetResult, greet
from tests.support.gate import pass_gate, pass_gate_async


@with_schema("urn:example:schema:echo.request.1")
class EchoRequest(BaseModel):
    text: str = Field(description="What to send back.")
    count: int = Field(1, ge=0, description="A number.")
    numbers: list[float] = []
    data: dict[str, Any] = {}


class EchoResult(BaseModel):
    text: str
    count: int
    with_alias: str = Field(default="an alias", serialization_alias="withAlias")
    unset: int | None = None


class Echo(LambdaTool):
    """Echo a text"""

    def run(self, req: EchoRequest) -> EchoResult:
        return EchoResult(text=req.text, count=req.count)


class EchoAsync(LambdaTool):
    """Echo a text, without a thread"""

    async def run(self, req: EchoRequest) -> EchoResult:
        return EchoResult(text=req.text, count=req.count)


class Root(LambdaTool):
    """A tool at the root"""

    path = "/"

    def run(self, req: EchoRequest) -> dict[str, str]:
        return {"root": req.text}


@with_schema("urn:example:schema:struct.request.1")
class StructRequest(msgspec.Struct):
    text: str
    count: int = 1
    numbers: list[float] = []
    data: dict[str, Any] = {}


class StructResult(msgspec.Struct, rename="camel"):
    text: str
    plus_one: int


class StructTool(LambdaTool):
    """Echo with msgspec"""

    def run(self, ctx: JobContext, req: StructRequest) -> StructResult:
        return StructResult(req.text, req.count + 1)


@dataclass
class DataRequest:
    text: str
    count: int = 1


@dataclass
class DataResult:
    text: str
    count: int


class DataTool(LambdaTool):
    """Echo with dataclasses"""

    async def run(self, req: DataRequest, info: RequestInfo) -> DataResult:
        return DataResult(req.text, req.count)


class HeldRequest(BaseModel):
    gate: int
    text: str = ""
    then: Literal["return", "ValueError", "RuntimeError"] = "return"


_RUNS: Counter[str] = Counter()


def _after_gate(req: HeldRequest) -> dict[str, Any]:
    _RUNS[req.text] += 1
    if req.then == "ValueError":
        raise ValueError(req.text)
    if req.then == "RuntimeError":
        raise RuntimeError(req.text)
    return {"text": req.text, "run": _RUNS[req.text]}


class Hold(LambdaTool):
    """Wait at a gate, in a thread"""

    options = ToolOptions(max_wait_time=30.0)

    def run(self, req: HeldRequest, ctx: JobContext) -> dict[str, Any]:
        pass_gate(req.gate)
        return _after_gate(req)


class HoldAsync(LambdaTool):
    """Wait at a gate, on the loop"""

    options = ToolOptions(max_wait_time=30.0)

    async def run(self, req: HeldRequest) -> dict[str, Any]:
        await pass_gate_async(req.gate)
        return _after_gate(req)


class Narrow(LambdaTool):
    """Wait at a gate, one after the other"""

    options = ToolOptions(executor_opts=ExecutorOpts(max_workers=1))

    def run(self, req: HeldRequest) -> dict[str, Any]:
        pass_gate(req.gate)
        return _after_gate(req)


class Hasty(LambdaTool):
    """Wait at a gate, of which nobody waits for the end"""

    options = ToolOptions(max_wait_time=0.0, refresh_interval=7)

    async def run(self, req: HeldRequest) -> dict[str, Any]:
        await pass_gate_async(req.gate)
        return _after_gate(req)


class HoldDeep(LambdaTool):
    """Wait at a gate, below another path"""

    path = "/deep/er/hold"

    async def run(self, req: HeldRequest) -> dict[str, Any]:
        await pass_gate_async(req.gate)
        return _after_gate(req)


class Stepwise(LambdaTool):
    """Report progress, then wait at a gate"""

    async def run(self, req: HeldRequest, ctx: JobContext) -> dict[str, Any]:
        with ctx.report.step("walk", "Starting...") as step:
            ctx.progress(3, 10, "walking")
            await pass_gate_async(req.gate)
            step.finished("Done")
        return {"text": req.text}


class Brief(LambdaTool):
    """Echo; its results are kept for a second"""

    options = ToolOptions(executor_opts=ExecutorOpts(job_cache_ttl=1))

    def run(self, req: EchoRequest) -> str:
        return req.text


class Few(LambdaTool):
    """Echo; few of its results are kept"""

    options = ToolOptions(executor_opts=ExecutorOpts(job_cache_size=5))

    def run(self, req: EchoRequest) -> str:
        return req.text


class WhoAsks(LambdaTool):
    """Show what a tool knows of its job"""

    def run(self, req: EchoRequest, ctx: JobContext, info: RequestInfo) -> dict[str, Any]:
        return {
            "authorization": ctx.job_authorization,
            "job_id": ctx.job_id,
            "job_urn": ctx.job_urn,
            "tool": ctx.tool,
            "attempt": ctx.attempt,
            "info": {"method": info.method, "url": info.url, "headers": info.headers},
        }


class Greet(LambdaTool):
    __doc__ = greet.__doc__

    options = ToolOptions(service_id="/greet")

    def run(self, req: GreetRequest, ctx: JobContext) -> GreetResult:
        return greet(req)


class ListThings(LambdaTool):
    """One liner"""

    path = "/many/things"

    async def run(self, req: GreetRequest) -> GreetResult:
        return GreetResult(greeting=req.name)
