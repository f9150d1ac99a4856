"""The contestant to beat: `ivcap-lambda` as its users run it.

So with its default logging: lines at INFO and one of the access log for each job.
"""

import asyncio

from ivcap_lambda import (  # type: ignore[import-not-found,unused-ignore]  # pyright: ignore[reportMissingImports]
    ivcap_lambda,
    logging_init,
    start_lambda_server,
)
from ivcap_service import Service, ServiceContact

from benchmarks.services.models import EchoRequest, EchoResult, SleepRequest, SleepResult

logging_init()

service = Service(name="Benchmark", contact=ServiceContact(name="Alice", email="alice@example.com"))


@ivcap_lambda("/sync")  # type: ignore[untyped-decorator,unused-ignore]
def echo_sync(req: EchoRequest) -> EchoResult:
    """Echo a message"""
    return EchoResult(echo=req.message)


@ivcap_lambda("/async")  # type: ignore[untyped-decorator,unused-ignore]
async def echo_async(req: EchoRequest) -> EchoResult:
    """Echo a message"""
    return EchoResult(echo=req.message)


@ivcap_lambda("/sleep")  # type: ignore[untyped-decorator,unused-ignore]
async def sleep(req: SleepRequest) -> SleepResult:
    """Sleep for a while"""
    await asyncio.sleep(req.seconds)
    return SleepResult(slept=req.seconds, token=req.token)


if __name__ == "__main__":
    start_lambda_server(service, run_opts={"loop": "uvloop", "http": "httptools"})
