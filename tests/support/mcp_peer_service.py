"""A service whose tools tell clients of MCP how far they are, and wait until a test lets them go on."""

from pydantic import BaseModel, Field

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer
from tests.support.gate import pass_gate_async


class Place(BaseModel):
    port: int = Field(description="The port of the gate.")


class Passed(BaseModel):
    gates: int = Field(description="How many gates were passed.")


class PassGate(LambdaTool):
    """Pass a gate

    Tells that one of two steps is done, and waits at the gate.
    """

    async def run(self, req: Place, ctx: JobContext) -> Passed:
        ctx.progress(1, 2, "at the gate")
        await pass_gate_async(req.port)
        return Passed(gates=1)


class PassGateAsTask(PassGate):
    """Pass a gate, as a task

    Tells that one of two steps is done, and waits at the gate.
    """

    options = ToolOptions(mcp="as-task")


service = Service(name="Gates", contact={"name": "Alice", "email": "alice@example.com"})
server = ToolServer(service, tools=[PassGate, PassGateAsTask])

if __name__ == "__main__":
    server.serve()
