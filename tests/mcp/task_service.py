"""The service of the tests of tasks. `TASK_GATE` is the port of the gate where its tools wait."""

import os

from pydantic import BaseModel

from lambda_kit import ExecutorOpts, JobContext, LambdaTool, McpOptions, Service, ToolOptions, ToolServer
from tests.callers.principals import Tokens
from tests.support.gate import pass_gate_async

GATE = int(os.environ["TASK_GATE"])


class Ask(BaseModel):
    text: str = ""


class Held(LambdaTool):
    """Wait at the gate, and give the text back"""

    options = ToolOptions(refresh_interval=2, executor_opts=ExecutorOpts(job_cache_ttl=600.0))

    async def run(self, req: Ask, ctx: JobContext) -> dict[str, str]:
        await pass_gate_async(GATE)
        return {"text": req.text}


class HeldAsTask(Held):
    """Be a task from the beginning"""

    name = "held_as_task"
    options = ToolOptions(mcp="as-task", refresh_interval=0)


class Stepping(LambdaTool):
    """Tell of a step at each gate"""

    options = ToolOptions(mcp="as-task")

    async def run(self, req: Ask, ctx: JobContext) -> str:
        ctx.progress(1, 2)
        await pass_gate_async(GATE)
        ctx.progress(2, 2, "nearly there")
        await pass_gate_async(GATE)
        return "there"


class Wrong(LambdaTool):
    """Wait at the gate, and fail"""

    options = ToolOptions(mcp="as-task")

    async def run(self, req: Ask) -> str:
        await pass_gate_async(GATE)
        raise ValueError(f"nobody knows {req.text}")


class Misfit(LambdaTool):
    """Return something else than is promised"""

    options = ToolOptions(mcp="as-task")

    async def run(self, req: Ask) -> dict[str, int]:
        return {"a": req.text}  # type: ignore[dict-item]


class Quick(LambdaTool):
    """Answer at once"""

    async def run(self, req: Ask) -> str:
        return req.text


class Hidden(LambdaTool):
    """Not for agents"""

    options = ToolOptions(mcp=False)

    async def run(self, req: Ask) -> str:
        return req.text


server = ToolServer(
    Service(name="Tasks", contact={"name": "Ann", "email": "ann@example.com"}),
    tools=[Held, HeldAsTask, Stepping, Wrong, Misfit, Quick, Hidden],
    authenticator=Tokens() if os.environ.get("TASK_TOKENS") else None,
    mcp=McpOptions(wait_seconds=0.3),
)

if __name__ == "__main__":
    server.serve()
