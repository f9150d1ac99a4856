"""Tools whose calls a test holds, and others, for a client on standard input and output."""

import os
import time
from pathlib import Path

from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, McpOptions, Service, ToolOptions, ToolServer
from tests.support.gate import pass_gate


class Text(BaseModel):
    text: str = ""


class Port(BaseModel):
    port: int


class Nothing(BaseModel):
    """Nothing to say."""


class Echo(LambdaTool):
    """Give a text back

    As it is.
    """

    def setup(self) -> None:
        if port := os.environ.get("SETUP_GATE"):
            pass_gate(int(port))
        if text := os.environ.get("SETUP_FAILS"):
            raise RuntimeError(text)

    def teardown(self) -> None:
        if path := os.environ.get("TEARDOWN_FILE"):
            Path(path).write_text("torn down")

    def run(self, req: Text) -> Text:
        return Text(text=req.text)


class Plain(LambdaTool):
    """Give a text back as a text

    Without structure.
    """

    def run(self, req: Text) -> str:
        return req.text


class Steps(LambdaTool):
    """Report five steps

    And end.
    """

    def run(self, req: Nothing, ctx: JobContext) -> Text:
        for done in range(1, 6):
            ctx.progress(done, 5, f"step {done}")
        return Text(text="done")


class Chatter(LambdaTool):
    """Report without end

    Until it is cancelled.
    """

    def run(self, req: Nothing, ctx: JobContext) -> Text:
        while True:
            ctx.progress(time.monotonic(), message="x" * 10_000)
            time.sleep(0.001)


class Hold(LambdaTool):
    """Wait at a gate

    Until a test lets it go on.
    """

    options = ToolOptions(max_attempts=2)

    def run(self, req: Port) -> Text:
        pass_gate(req.port)
        return Text(text="let go")


class Await(LambdaTool):
    """Wait for a cancel

    Tells a gate when it has begun, and by its end that it was cancelled.
    """

    def run(self, req: Port, ctx: JobContext) -> Text:
        try:
            while True:
                ctx.raise_if_cancelled()
                time.sleep(0.01)
        finally:
            pass_gate(req.port)


server = ToolServer(
    Service(name="Lines", instructions="Ask one line at a time.", contact={"name": "A", "email": "a@example.com"}),
    mcp=McpOptions(wait_seconds=float(os.environ.get("WAIT_SECONDS", "45"))),
)

if __name__ == "__main__":
    server.serve()
