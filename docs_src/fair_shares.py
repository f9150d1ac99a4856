"""A service that many use: no caller can fill the queue of all."""

import asyncio

from pydantic import BaseModel

from lambda_kit import CallerLimits, LambdaTool, Service, ToolOptions, ToolServer

service = Service(name="Fair shares", contact={"name": "Ann", "email": "ann@example.com"})


class WaitRequest(BaseModel):
    """How long to wait."""

    seconds: float = 0.0


class Wait(LambdaTool):
    """Waits, and says for how long."""

    options = ToolOptions(max_concurrency=16, max_queue=500)

    async def run(self, req: WaitRequest) -> float:
        await asyncio.sleep(req.seconds)
        return req.seconds


# --8<-- [start:server]
server = ToolServer(
    service,
    tools=[Wait],
    caller_limits=CallerLimits(rate_per_second=0.5, burst=5, max_unfinished=20, by_address=True),
)
# --8<-- [end:server]

if __name__ == "__main__":
    server.serve()
