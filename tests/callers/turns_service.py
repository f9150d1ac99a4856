"""The service that the tests of turns crowd: each answer says how many runs of its tool had begun by then."""

import asyncio
from collections import Counter

from lambda_kit import JobSettings, LambdaTool, Service, ToolOptions, ToolServer
from tests.callers.principals import Tokens
from tests.core.running_tools import Ask

BEGUN: Counter[str] = Counter()


class Quick(LambdaTool):
    """Answers at once"""

    path = "/quick"

    async def run(self, req: Ask) -> int:
        BEGUN["quick"] += 1
        return BEGUN["quick"]


class Narrow(LambdaTool):
    """Runs one job at a time"""

    path = "/narrow"
    options = ToolOptions(max_concurrency=1)

    async def run(self, req: Ask) -> int:
        BEGUN["narrow"] += 1
        await asyncio.sleep(0.02)
        return BEGUN["narrow"]


class Begun(LambdaTool):
    """Says how many runs have begun"""

    path = "/begun"

    async def run(self, req: Ask) -> int:
        return BEGUN[req.text]


server = ToolServer(
    Service(name="Turns", contact={"name": "Alice", "email": "alice@example.com"}),
    [Quick, Narrow, Begun],
    authenticator=Tokens(),
    settings=JobSettings(grace_seconds=0.1),
)

if __name__ == "__main__":
    server.serve()
