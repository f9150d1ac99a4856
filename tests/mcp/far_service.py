"""A tool that waits at a gate in a worker process, for a client on standard input and output."""

import os
from pathlib import Path

from pydantic import BaseModel

from lambda_kit import LambdaTool, ProcessExecutor, Service, ToolOptions, ToolServer
from tests.support.gate import pass_gate


class Port(BaseModel):
    port: int


class Text(BaseModel):
    text: str


class HoldFar(LambdaTool):
    """Wait at a gate in a worker process

    Until a test lets it go on.
    """

    options = ToolOptions(executor="process")

    def setup(self) -> None:
        with Path(os.environ["PIDS"]).open("a") as pids:
            pids.write(f"{os.getpid()}\n")

    def run(self, req: Port) -> Text:
        pass_gate(req.port)
        return Text(text="let go")


server = ToolServer(
    Service(name="Far", contact={"name": "A", "email": "a@example.com"}), executor=ProcessExecutor(max_workers=2)
)

if __name__ == "__main__":
    server.serve()
