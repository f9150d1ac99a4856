"""`ivcap-lambda` with its extra `mcp`, with its default logging; run with `--with-mcp`."""

from ivcap_lambda import (  # type: ignore[import-not-found,unused-ignore]  # pyright: ignore[reportMissingImports]
    ivcap_lambda,
    logging_init,
    start_lambda_server,
)
from ivcap_service import GenericEvent, JobContext, Service, ServiceContact

from benchmarks.services.models import EchoResult, StepsRequest

logging_init()

service = Service(name="Benchmark", contact=ServiceContact(name="Alice", email="alice@example.com"))


@ivcap_lambda("/echo")  # type: ignore[untyped-decorator,unused-ignore]
async def echo(req: StepsRequest, ctx: JobContext) -> EchoResult:
    """Echo a message

    Says so many times how far it is.
    """
    for _ in range(req.steps):
        ctx.report.emit(GenericEvent(name="echoing"))
    return EchoResult(echo=req.message)


if __name__ == "__main__":
    start_lambda_server(service, run_opts={"loop": "uvloop", "http": "httptools"})
