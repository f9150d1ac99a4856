"""lambda_kit, with nothing but its defaults."""

import asyncio

from ivcap_service import ServiceContact

from benchmarks.services.models import EchoRequest, EchoResult, SleepRequest, SleepResult
from lambda_kit import LambdaTool, Service, ToolServer

service = Service(name="Benchmark", contact=ServiceContact(name="Alice", email="alice@example.com"))


class EchoSync(LambdaTool):
    """Echo a message"""

    path = "/sync"

    def run(self, req: EchoRequest) -> EchoResult:
        return EchoResult(echo=req.message)


class EchoAsync(LambdaTool):
    """Echo a message"""

    path = "/async"

    async def run(self, req: EchoRequest) -> EchoResult:
        return EchoResult(echo=req.message)


class Sleep(LambdaTool):
    """Sleep for a while"""

    path = "/sleep"

    async def run(self, req: SleepRequest) -> SleepResult:
        await asyncio.sleep(req.seconds)
        return SleepResult(slept=req.seconds, token=req.token)


server = ToolServer(service, tools=[EchoSync, EchoAsync, Sleep])

if __name__ == "__main__":
    server.serve()
