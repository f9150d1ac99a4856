"""Tools for worker processes, which import them from here."""

import os
import signal
import threading

from pydantic import BaseModel

from lambda_kit import LambdaTool, ToolOptions

__all__ = ["Allocate", "Die", "Locked"]


class Size(BaseModel):
    megabytes: int = 0


class Die(LambdaTool):
    """End the worker process"""

    options = ToolOptions(executor="process", max_wait_time=50)

    def run(self, req: Size) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Allocate(LambdaTool):
    """Take memory"""

    options = ToolOptions(executor="process", max_wait_time=50)

    def run(self, req: Size) -> int:
        return len(bytearray(req.megabytes * 1024 * 1024))


class Locked(LambdaTool):
    """Keep what can't be pickled"""

    options = ToolOptions(executor="process")

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def run(self, req: Size) -> None: ...
