"""The service that the tests of full queues look at: its tools wait until they are let go on."""

import asyncio
import os
from collections import Counter

from pydantic import BaseModel

from lambda_kit import JobSettings, LambdaTool, Service, ToolOptions, ToolServer
from tests.support.gate import pass_gate, pass_gate_async

LATER = ToolOptions(max_wait_time=0.0)

MAX_QUEUE = 100
MAX_CONCURRENCY = 4


class Number(BaseModel):
    n: int = 0


class At(BaseModel):
    gate: int


class Flood(LambdaTool):
    """Wait until the door is open, then take a few turns of the loop; count how many are at it at once"""

    options = ToolOptions(max_wait_time=0.0, max_concurrency=MAX_CONCURRENCY, max_queue=MAX_QUEUE)

    def setup(self) -> None:
        DOOR["flood"] = asyncio.Event()

    async def run(self, req: Number) -> int:
        COUNTS["now"] += 1
        COUNTS["runs"] += 1
        COUNTS["most"] = max(COUNTS["most"], COUNTS["now"])
        try:
            await DOOR["flood"].wait()
            for _ in range(10):
                await asyncio.sleep(0)
        finally:
            COUNTS["now"] -= 1
        return req.n


DOOR: dict[str, asyncio.Event] = {}
COUNTS: Counter[str] = Counter()


class Open(LambdaTool):
    """Open the door"""

    async def run(self, req: Number) -> int:
        DOOR["flood"].set()
        return 0


class Counts(LambdaTool):
    """Tell what was counted"""

    async def run(self, req: Number) -> dict[str, int]:
        return dict(COUNTS)


class OneAndTwo(LambdaTool):
    """Wait at a gate on a thread: one runs, two wait"""

    options = ToolOptions(max_wait_time=0.0, max_concurrency=1, max_queue=2)

    def run(self, req: At) -> str:
        pass_gate(req.gate)
        return "done"


class Slow(OneAndTwo):
    """The same, of whose jobs one has taken long"""


class OneAndNone(LambdaTool):
    """Wait at a gate on the loop: one runs, none waits"""

    options = ToolOptions(max_wait_time=0.0, max_concurrency=1, max_queue=0)

    async def run(self, req: At) -> str:
        await pass_gate_async(req.gate)
        return "done"


class Free(LambdaTool):
    """Wait at a gate, as many as there are"""

    options = LATER

    async def run(self, req: At) -> str:
        await pass_gate_async(req.gate)
        return "done"


class FreeToo(Free):
    """As the other"""


def _settings() -> JobSettings:
    limits = {name: os.environ.get(f"WIRE_{name.upper()}") for name in ("max_concurrency", "max_queue")}
    return JobSettings(**{name: int(value) for name, value in limits.items() if value is not None})


server = ToolServer(
    Service(name="Busy", contact={"name": "Alice", "email": "alice@example.com"}),
    [Flood, Open, Counts, OneAndTwo, Slow, OneAndNone, Free, FreeToo],
    settings=_settings(),
)

if __name__ == "__main__":
    server.serve()
