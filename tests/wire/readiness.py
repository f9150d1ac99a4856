"""A service whose tools say when asked whether they are ready, as the test that started it told them."""

import asyncio
import threading
from collections.abc import Awaitable
from typing import Literal

from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer


class ModeRequest(BaseModel):
    mode: Literal["yes", "no", "raises", "exits", "hangs"]


class Sync(LambdaTool):
    """Says yes, no, or worse, from a plain function"""

    def __init__(self) -> None:
        self.mode = "yes"
        self.go_on = threading.Event()

    def is_ready(self) -> bool | Awaitable[bool]:
        if self.mode == "raises":
            raise RuntimeError("is_ready failed")
        if self.mode == "exits":
            raise SystemExit("is_ready exits")
        if self.mode == "hangs":
            self.go_on.wait()
        return self.mode != "no"

    async def run(self, req: ModeRequest) -> str:
        self.mode = req.mode
        if req.mode == "hangs":
            self.go_on.clear()
        else:
            self.go_on.set()
        return req.mode


class Async(LambdaTool):
    """Says yes, no, or worse, on the loop"""

    def setup(self) -> None:
        self.mode = "yes"
        self.go_on = asyncio.Event()

    async def is_ready(self) -> bool:
        if self.mode == "raises":
            raise RuntimeError("is_ready failed")
        if self.mode == "exits":
            raise SystemExit("is_ready exits")
        if self.mode == "hangs":
            await self.go_on.wait()
        return self.mode != "no"

    async def run(self, req: ModeRequest) -> str:
        self.mode = req.mode
        if req.mode == "hangs":
            self.go_on.clear()
        else:
            self.go_on.set()
        return req.mode


if __name__ == "__main__":
    ToolServer(Service(name="Readiness", contact={"name": "A", "email": "a@example.com"}), [Sync, Async]).serve()
