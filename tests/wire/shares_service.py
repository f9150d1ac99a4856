"""A service with limits for each address, which the environment sets."""

import asyncio
import os

from litestar.config.cors import CORSConfig
from pydantic import BaseModel

from lambda_kit import CallerLimits, LambdaTool, Service, ToolOptions, ToolServer


class Text(BaseModel):
    text: str = "x"


class Echo(LambdaTool):
    """Says it again"""

    async def run(self, req: Text) -> str:
        return req.text


class Hold(LambdaTool):
    """Goes on until it is cancelled"""

    options = ToolOptions(max_wait_time=0)

    async def run(self, req: Text) -> str:
        await asyncio.Event().wait()
        return req.text


server = ToolServer(
    Service(name="Shares", contact={"name": "A", "email": "a@example.com"}),
    [Echo, Hold],
    job_list=True,
    cors=CORSConfig(allow_origins=["https://app.example"]),
    caller_limits=CallerLimits(
        rate_per_second=float(os.environ.get("RATE", "0.001")),
        burst=int(os.environ.get("BURST", "3")),
        max_unfinished=int(os.environ.get("UNFINISHED", "1000")),
        by_address=True,
    ),
)

if __name__ == "__main__":
    server.serve()
