"""Two tools, one plain and one async, that can be told to take their time or to fail.

python examples/greeter.py --port 8090
curl -X POST http://localhost:8090/greet -H "Content-Type: application/json" -d '{"name": "Ada", "count": 2}'
curl -i http://localhost:8090/greet -H "Content-Type: application/json" -d '{"name": "Ada", "fail": "value"}'
"""

import asyncio
import time
from typing import cast

from pydantic import BaseModel, Field

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer, with_schema

service = Service(
    name="My IVCAP Service",
    contact={"name": "Alice", "email": "alice@example.com"},
    license={"name": "MIT", "url": "https://opensource.org/licenses/MIT"},
)


@with_schema("urn:example:schema:greet.request.1")
class GreetRequest(BaseModel):
    name: str = Field(..., description="Name to greet.")
    count: int = Field(1, description="Number of times to repeat the greeting.", ge=1)
    mood: str | None = Field(None, description="Optional mood.")
    sleep: float = Field(0, description="Seconds to sleep.")
    fail: str | None = Field(None, description="Kind of failure.")


@with_schema("urn:example:schema:greet.1")
class GreetResult(BaseModel):
    greeting: str = Field(..., description="The generated greeting.")
    mood: str | None = None


class Greet(LambdaTool):
    """Greet a person

    Generates a personalised greeting the requested number of times.
    Describe your tool here.

    Second paragraph.
    """

    path = "/greet"
    options = ToolOptions(tags=["Greeter"], service_id="/greet")

    def run(self, req: GreetRequest, ctx: JobContext) -> GreetResult:
        with ctx.report.step("greet", f"Greeting {req.name}...") as step:
            wait(req.sleep, ctx)
            if req.fail is not None:
                return fail(req.fail)
            step.finished("Greeted")
        return GreetResult(greeting=(f"Hello, {req.name}! " * req.count).strip(), mood=req.mood)


class ListThings(LambdaTool):
    """One liner"""

    path = "/many/things"

    async def run(self, req: GreetRequest) -> GreetResult:
        await asyncio.sleep(req.sleep)
        if req.fail is not None:
            return fail(req.fail)
        return GreetResult(greeting=req.name)


def wait(seconds: float, ctx: JobContext) -> None:
    """Sleep in short pieces, so that a cancelled job ends soon."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ctx.raise_if_cancelled()
        time.sleep(min(left, 0.1))


class Stop(BaseException):
    """What no `except Exception` catches."""


FAILURES: dict[str, type[BaseException]] = {
    "base": Stop,
    "exit": SystemExit,
    "runtime": RuntimeError,
    "value": ValueError,
}


def fail(kind: str) -> GreetResult:
    """Raise what is asked for; or, for "none", return what the annotation forbids."""
    if kind == "none":
        return cast("GreetResult", None)
    if kind not in FAILURES:
        raise ValueError(f"fail={kind!r} is not known: use none, {', '.join(FAILURES)}")
    raise FAILURES[kind](f"failed as asked: {kind}")


server = ToolServer(service, tools=[Greet, ListThings])
app = server.app

if __name__ == "__main__":
    server.serve()
