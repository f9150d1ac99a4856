"""The service whose numbers `test_metrics` looks at. Each of its tools is for one test."""

from pydantic import BaseModel

from lambda_kit import GenericEvent, JobContext, LambdaTool, Service, ToolOptions, ToolServer
from tests.support.gate import pass_gate, pass_gate_async


class Text(BaseModel):
    text: str = ""


class GateRequest(BaseModel):
    gate: int


class Divide(LambdaTool):
    """Succeed, or fail in two ways"""

    def run(self, req: Text) -> float:
        return 1 / float(req.text)


class DivideAsync(LambdaTool):
    """The same on the loop"""

    async def run(self, req: Text) -> float:
        return 1 / float(req.text)


class Attach(LambdaTool):
    """Do nothing"""

    async def run(self, req: Text) -> str:
        return req.text


class Tight(LambdaTool):
    """Wait at a gate; one more may wait for its turn"""

    options = ToolOptions(max_wait_time=0.0, max_concurrency=1, max_queue=1)

    async def run(self, req: GateRequest) -> str:
        await pass_gate_async(req.gate)
        return "passed"


class Deaf(LambdaTool):
    """Wait at a gate on a thread, longer than there is time"""

    options = ToolOptions(time_limit_seconds=0.2)

    def run(self, req: GateRequest) -> str:
        pass_gate(req.gate)
        return "late"


class Chatty(LambdaTool):
    """Report more than can wait to be stored, without giving way"""

    async def run(self, req: Text, ctx: JobContext) -> str:
        for number in range(10_100):
            ctx.report.emit(GenericEvent(name="number", options={"n": number}))
        return "said"


server = ToolServer(
    Service(name="Counted", contact={"name": "Alice", "email": "alice@example.com"}),
    [Divide, DivideAsync, Attach, Tight, Deaf, Chatty],
)

if __name__ == "__main__":
    server.serve()
