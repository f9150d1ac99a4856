"""lambda_kit's tools by MCP, with nothing but its defaults."""

from ivcap_service import ServiceContact

from benchmarks.services.models import EchoResult, StepsRequest
from lambda_kit import JobContext, LambdaTool, Service, ToolServer

service = Service(name="Benchmark", contact=ServiceContact(name="Alice", email="alice@example.com"))


class Echo(LambdaTool):
    """Echo a message

    Says so many times how far it is.
    """

    async def run(self, req: StepsRequest, ctx: JobContext) -> EchoResult:
        for step in range(req.steps):
            ctx.progress(step + 1, req.steps, "echoing")
        return EchoResult(echo=req.message)


server = ToolServer(service, tools=[Echo], mcp=True)

if __name__ == "__main__":
    server.serve()
