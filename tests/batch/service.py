"""The service of the tests of batch mode: its tool does what the recorded one of ivcap-lambda did, and more."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel

from lambda_kit import (
    BinaryRequest,
    BinaryResult,
    JobContext,
    JobSettings,
    LambdaTool,
    RequestInfo,
    Service,
    ToolOptions,
    ToolServer,
    UploadedFile,
)

service = Service(name="Batch", contact={"name": "Alice", "email": "alice@example.com"})


class Request(BaseModel):
    kind: str
    seconds: float = 0.0
    count: int = 1


class Result(BaseModel):
    ok: bool
    text: str


class Worker(LambdaTool):
    """Do what is asked for.

    One of several ways to end.
    """

    options = ToolOptions(executor=os.environ.get("TEST_EXECUTOR"), max_attempts=2)

    def run(self, req: Request, ctx: JobContext, info: RequestInfo) -> Result | BinaryResult | str:
        print("printed by the tool")
        with ctx.report.step("s", "m"):
            pass
        _work(req, ctx)
        if req.kind == "value":
            raise ValueError("bad")
        if req.kind == "exit":
            sys.exit(7)
        if req.kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if req.kind == "text":
            return "text"
        if req.kind == "none":
            return None  # type: ignore[return-value]  # as the recorded tool did
        if req.kind == "image":
            return BinaryResult(content_type="image/png", content=b"\x89PNG")
        if req.kind == "file":
            return BinaryResult(content_type="application/x-python", content=Path(__file__).open("rb"))
        return Result(ok=True, text=f"{ctx.given_id or ctx.job_id}|{ctx.job_authorization}")


def _work(req: Request, ctx: JobContext) -> None:
    if req.kind == "progress":
        for done in range(req.count):
            ctx.progress(done, req.count, f"part {done}")
    if req.kind == "sleep":
        _sleep(ctx, req.seconds)
    if req.kind == "deaf":
        time.sleep(req.seconds)
    if req.kind == "call":
        httpx.get(os.environ["IVCAP_BASE_URL"] + "/o")


def _sleep(ctx: JobContext, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ctx.raise_if_cancelled()
        time.sleep(0.02)


class Size(LambdaTool):
    """Count the bytes of a file"""

    def run(self, req: BinaryRequest) -> dict[str, Any]:
        return {"bytes": len(req.content), "type": req.content_type, "name": req.filename}


class Form(BaseModel):
    file: UploadedFile


class Upload(LambdaTool):
    """Count the bytes of an uploaded file"""

    def run(self, req: Form) -> dict[str, Any]:
        return {"bytes": req.file.size, "name": req.file.filename}


def _settings() -> JobSettings:
    return JobSettings(sidecar_wait_seconds=float(os.environ.get("TEST_SIDECAR_WAIT", "60")))


server = ToolServer(service, tools=[Worker, Size, Upload], settings=_settings())

if __name__ == "__main__":
    server.serve(batch=True if os.environ.get("TEST_IN_CODE") else None)
