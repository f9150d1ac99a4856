"""A service that prints wherever it can, and whose tools start children that read and write."""

# ruff: noqa: E402 - it prints before its imports

print("printed before lambda_kit is imported")

import atexit
import ctypes
import logging
import os
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer

CHILD = "import os, sys; print('a child'); os.write(1, b'a child, raw\\n'); sys.stdout.write(repr(sys.stdin.read()))"


def make_noise(where: str) -> str:
    """Write to stdout in every way; returns what is read from stdin."""
    print(f"printed in {where}")
    print(f"to the first stdout in {where}", file=sys.__stdout__, flush=True)
    os.write(1, f"raw in {where}\n".encode())
    libc = ctypes.CDLL(None)
    libc.puts(f"by C in {where}".encode())
    libc.fflush(None)
    subprocess.run(["sh", "-c", f"echo 'by a shell in {where}'; cat"], check=True)
    subprocess.run([sys.executable, "-c", CHILD], check=True, close_fds=False)
    logging.getLogger("noise").warning("logged in %s", where)
    return sys.stdin.read() + os.read(0, 100).decode()


logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="LOG %(message)s")
make_noise("the imports")


class Text(BaseModel):
    text: str = ""


class Noisy(LambdaTool):
    """Make noise

    In the server's process.
    """

    def setup(self) -> None:
        make_noise("setup")

    def teardown(self) -> None:
        make_noise("teardown")

    def run(self, req: Text, ctx: JobContext) -> Text:
        ctx.progress(1, 2, "half")
        return Text(text=f"read: {make_noise('run')!r}")


class FarNoise(LambdaTool):
    """Make noise far away

    In a worker process.
    """

    options = ToolOptions(executor="process")

    def setup(self) -> None:
        make_noise("the setup of the worker")

    def run(self, req: Text) -> Text:
        return Text(text=f"read: {make_noise('the worker')!r}")


class Daemon(LambdaTool):
    """Leave a child behind

    It lives on, and has all streams that a child can have.
    """

    def run(self, req: Text) -> Text:
        child = subprocess.Popen(["sleep", "300"], close_fds=False)
        Path(req.text).write_text(str(child.pid))
        return Text()


class Fork(LambdaTool):
    """Fork

    The child prints, and ends with all that Python does at its end.
    """

    def run(self, req: Text) -> Text:
        pid = os.fork()
        if pid == 0:
            os.write(1, b"raw in a forked child\n")
            print("printed in a forked child", flush=True)
            os._exit(7 if os.read(0, 100) == b"" else 8)
        return Text(text=str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


server = ToolServer(Service(name="Noise", contact={"name": "A", "email": "a@example.com"}))

if __name__ == "__main__":
    make_noise("the main program")
    atexit.register(make_noise, "the exit")
    server.serve()
