"""A service that says which modules of a family its process has loaded, after it has done a job of each kind."""

import os
import sys

from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolServer


class Asked(BaseModel):
    prefix: str


class Loaded(BaseModel):
    modules: list[str]


def loaded(prefix: str) -> Loaded:
    return Loaded(modules=sorted(name for name in sys.modules if name.startswith(prefix)))


class Modules(LambdaTool):
    """Lists what is loaded."""

    def run(self, req: Asked, ctx: JobContext) -> Loaded:
        with ctx.report.step("look") as step:
            step.finished("Done")
        return loaded(req.prefix)


if os.environ.get("WITHOUT_SDK"):
    sys.modules["opentelemetry.sdk"] = None  # type: ignore[assignment]

WANTED = {"": None, "yes": True, "no": False}[os.environ.get("WANTED", "")]

server = ToolServer(Service(name="Loaded", contact={"name": "Alice", "email": "alice@example.com"}), tools=[Modules])

if __name__ == "__main__":
    server.serve(with_telemetry=WANTED)
