"""The service that the tests of bad tools look at: they take the processor, or the loop, and do not give it back."""

import time
from pathlib import Path

import msgspec
from pydantic import BaseModel

from lambda_kit import JobSettings, LambdaTool, Service, ToolOptions, ToolServer
from lambda_kit.cli.service_file import run_service_file
from lambda_kit.cli.stop_bounds import StopBounds


class Until(BaseModel):
    file: str
    """While this file is not there, the tool goes on."""


class Spins(LambdaTool):
    """Compute in pure Python on a thread, and never look up"""

    options = ToolOptions(max_wait_time=0.0)

    def run(self, req: Until) -> int:
        rounds = 0
        while not Path(req.file).exists():
            for number in range(100_000):
                rounds += number % 2
        return rounds


class Sleeps(LambdaTool):
    """Sleep on the event loop as if it were a thread"""

    async def run(self, req: Until) -> str:
        while not Path(req.file).exists():  # noqa: ASYNC240 - what must not be done is what is looked at
            time.sleep(0.05)  # noqa: ASYNC251
        return "awake"


class Quick(LambdaTool):
    """Answer at once"""

    async def run(self, req: Until) -> str:
        return req.file


class Numbers(BaseModel):
    distinct: set[int] = set()
    listed: list[int | float | bool | None] = []


class Count(LambdaTool):
    """Count numbers"""

    async def run(self, req: Numbers) -> int:
        return len(req.distinct) + len(req.listed)


class DistinctNumbers(msgspec.Struct):
    distinct: set[int] = set()
    listed: list[int] = []


class CountDistinct(LambdaTool):
    """Count numbers, decoded by msgspec"""

    async def run(self, req: DistinctNumbers) -> int:
        return len(req.distinct) + len(req.listed)


server = ToolServer(
    Service(name="Frozen", contact={"name": "Alice", "email": "alice@example.com"}),
    [Spins, Sleeps, Quick, Count, CountDistinct],
    settings=JobSettings(cancel_seconds=0.3),
)

if __name__ == "__main__":
    run_service_file(server, bounds=StopBounds(leftovers_seconds=0.3))
