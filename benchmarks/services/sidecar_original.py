"""`ivcap-lambda`, beside a sidecar: the same tool."""

from ivcap_lambda import (  # type: ignore[import-not-found,unused-ignore]  # pyright: ignore[reportMissingImports]
    ivcap_lambda,
    logging_init,
    start_lambda_server,
)
from ivcap_service import JobContext, Service, ServiceContact

from benchmarks.services.sidecar_work import Answer, Ask, work

logging_init()

service = Service(name="Benchmark", contact=ServiceContact(name="Alice", email="alice@example.com"))


@ivcap_lambda("/")  # type: ignore[untyped-decorator,unused-ignore]
def report(req: Ask, ctx: JobContext) -> Answer:
    """Report steps"""
    return work(req, ctx.report)


if __name__ == "__main__":
    start_lambda_server(service)
