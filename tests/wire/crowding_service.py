"""A service with a tool that fills the event loop's thread pool, which belongs to tools, and never gives it back."""

import asyncio
import io
import os
import time
from pathlib import Path

from pydantic import BaseModel

from lambda_kit import BinaryResult, LambdaTool, Service, ToolOptions, ToolServer


class Held(BaseModel):
    file: str = ""


class Large(BaseModel):
    text: str


class Crowds(LambdaTool):
    """Fill every thread of asyncio.to_thread until a file is there"""

    options = ToolOptions(max_wait_time=0.0)

    async def run(self, req: Held) -> str:
        count = min(32, (os.cpu_count() or 1) + 4)  # as many as asyncio starts

        def hold() -> None:
            while not Path(req.file).exists():
                time.sleep(0.05)

        await asyncio.gather(*[asyncio.to_thread(hold) for _ in range(count)])
        return "done"


class Measures(LambdaTool):
    """Count the characters of a text"""

    def run(self, req: Large) -> int:
        return len(req.text)


class Reads(LambdaTool):
    """Answer by a file"""

    async def run(self, req: Held) -> BinaryResult:
        return BinaryResult(content_type="text/plain", content=io.BytesIO(b"from a file"))


server = ToolServer(
    Service(name="Crowding", contact={"name": "Alice", "email": "alice@example.com"}), [Crowds, Measures, Reads]
)

if __name__ == "__main__":
    server.serve()
