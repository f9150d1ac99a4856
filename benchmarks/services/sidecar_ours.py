"""Ours, beside a sidecar: the tool of `benchmarks.sidecar`."""

from benchmarks.services.sidecar_work import Answer, Ask, work
from lambda_kit import JobContext, LambdaTool, Service, ToolServer

service = Service(name="Benchmark", contact={"name": "Alice", "email": "alice@example.com"})


class Report(LambdaTool):
    """Report steps"""

    path = "/"

    def run(self, req: Ask, ctx: JobContext) -> Answer:
        return work(req, ctx.report)


server = ToolServer(service, tools=[Report])

if __name__ == "__main__":
    server.serve()
