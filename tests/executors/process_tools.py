"""Tools that tests run in worker processes, which import them from here."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from lambda_kit import BinaryResult, JobContext, LambdaTool, RequestInfo, ToolError
from tests.support.gate import pass_gate, pass_gate_async

logger = logging.getLogger("tests.process_tools")


class Order(BaseModel):
    port: int = 0
    how: str = ""
    size: int = 0
    text: str = ""


class Seen(BaseModel):
    pid: int
    setups: int
    jobs: int = 0
    attempt: int = 0
    deadline: float | None = None
    authorization: str | None = None
    url: str = ""


class Look(LambdaTool):
    """What a job sees of its worker, after it has passed a gate, if it was told of one."""

    def __init__(self) -> None:
        self.setups = self.jobs = 0

    def setup(self) -> None:
        self.setups += 1
        self.not_picklable = threading.Lock()

    def run(self, req: Order, ctx: JobContext, info: RequestInfo) -> Seen:
        self.jobs += 1
        if req.port:
            ctx.progress(1, 2, "at the gate")
            pass_gate(req.port)
        return Seen(
            pid=os.getpid(),
            setups=self.setups,
            jobs=self.jobs,
            attempt=ctx.attempt,
            deadline=ctx.deadline,
            authorization=ctx.job_authorization,
            url=info.url,
        )


class Login(BaseModel):
    user: str
    password: SecretStr


class SignIn(LambdaTool):
    """Knows the password."""

    def run(self, req: Login) -> str:
        return f"{req.user}: {req.password.get_secret_value()}"


class Labelled(LambdaTool):
    """Takes arguments in its constructor."""

    def __init__(self, label: str) -> None:
        self.label = label

    def run(self, req: Order) -> str:
        return self.label


class End(LambdaTool):
    """Ends as it is told, and may take its process with it."""

    def run(self, req: Order, ctx: JobContext) -> Any:
        ctx.progress(0, 1, f"{req.how} in {os.getpid()}")
        if req.port and ctx.attempt == 1:
            pass_gate(req.port)
        return ENDS[req.how](req)


def _raise(error: BaseException) -> None:
    raise error


def _fork_and_exit(_order: Order) -> None:
    if os.fork() == 0:
        time.sleep(60)  # it is killed with the group, or ends by itself
        os._exit(0)
    os._exit(7)


ENDS: dict[str, Callable[[Order], Any]] = {
    "SIGKILL": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda _: os.kill(os.getpid(), signal.SIGTERM),
    "segfault": lambda _: ctypes.string_at(0),
    "abort": lambda _: os.abort(),
    "exit 3": lambda _: os._exit(3),
    "exit 0": lambda _: os._exit(0),
    "fork and exit": _fork_and_exit,
    "memory": lambda order: len(bytearray(order.size)),
    "memory, bit by bit": lambda order: [bytearray(1 << 20) for _ in range(order.size >> 20)] and "done",
    "big result": lambda order: BinaryResult("application/octet-stream", content=b"x" * order.size),
    "ValueError": lambda _: _raise(ValueError("not that")),
    "ZeroDivisionError": lambda _: 1 / 0,
    "SystemExit": lambda _: sys.exit(5),
    "KeyboardInterrupt": lambda _: _raise(KeyboardInterrupt()),
    "ToolError": lambda _: _raise(ToolError("busy", status=503, type="busy", retry_after=2.5)),
    "unencodable": lambda _: object(),
    "text": lambda _: "text",
    "number": lambda _: 42,
    "model": lambda _: Order(text="ü"),
    "bytes": lambda _: BinaryResult("image/png", content=b"\0png"),
    "length": lambda order: len(order.text),
}


class EndAsync(LambdaTool):
    """The same on an event loop."""

    async def run(self, req: Order, ctx: JobContext) -> Any:
        await asyncio.sleep(0)
        return ENDS[req.how](req)


def _note(file: str, text: str) -> None:
    Path(file).write_text(text)


class Polite(LambdaTool):
    """Goes on until it is cancelled, and says where it has cleaned up."""

    def run(self, req: Order, ctx: JobContext) -> None:
        try:
            pass_gate(req.port)
            while True:
                ctx.raise_if_cancelled()
                time.sleep(0.001)
        finally:
            _note(req.text, f"cleaned up in {os.getpid()}")


class PoliteAsync(LambdaTool):
    """Waits until it is cancelled, on an event loop that was there at its set-up."""

    async def setup(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def run(self, req: Order, ctx: JobContext) -> str:
        assert asyncio.get_running_loop() is self.loop
        if req.how == "":
            return "on the same loop"
        try:
            await pass_gate_async(req.port)
            await asyncio.sleep(60)
        finally:
            _note(req.text, f"cleaned up, cancelled: {ctx.cancelled}")
        return "not cancelled"


class Deaf(LambdaTool):
    """Does not listen, and has started a program."""

    def run(self, req: Order, ctx: JobContext) -> None:
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
            ctx.progress(1, message=f"{os.getpid()} {child.pid}")
            while True:
                time.sleep(0.01)


class Leaves(LambdaTool):
    """Starts a program and does not wait for it."""

    def run(self, req: Order) -> int:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        child.returncode = 0  # else its destructor complains
        return child.pid


class Speaks(LambdaTool):
    """Logs."""

    def run(self, req: Order) -> None:
        logger.debug("not to be seen")
        logger.warning("hello from %d", os.getpid(), extra={"colour": "red", "odd": object()})
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            logging.getLogger("tests.other").exception("with a traceback")


class Forks(LambdaTool):
    """Logs in a child that it has forked, which can't report."""

    def run(self, req: Order, ctx: JobContext) -> int:
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        try:
            logger.warning("hello from a child")
            ctx.progress(1)
        except RuntimeError:
            os._exit(11)
        os._exit(12)


class Breaks(LambdaTool):
    """Can't be set up."""

    def setup(self) -> None:
        raise OSError("no model file")

    def run(self, req: Order) -> None: ...


class DiesAtSetup(LambdaTool):
    """Kills its process while it is being set up."""

    def setup(self) -> None:
        os._exit(9)

    def run(self, req: Order) -> None: ...


class Unloadable(LambdaTool):
    """Can be loaded in the server only."""

    def __init__(self) -> None:
        self.home = os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        if os.getpid() != state["home"]:
            raise RuntimeError("away from home")
        self.__dict__.update(state)

    def run(self, req: Order) -> None: ...


class Notes(LambdaTool):
    """Writes down what its hooks do, and is ready while a file is there."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self) -> None:
        if Path(self.folder, "broken").exists():
            raise RuntimeError("broken meanwhile")
        self._note("setup")

    async def teardown(self) -> None:
        await asyncio.sleep(0)
        self._note("teardown")

    def is_ready(self) -> bool | Awaitable[bool]:
        return Path(self.folder, "ready").exists()

    def run(self, req: Order) -> int:
        return os.getpid()

    def _note(self, what: str) -> None:
        with Path(self.folder, "notes").open("a") as file:
            file.write(f"{what} {os.getpid()}\n")
