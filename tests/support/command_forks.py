"""Runs service files, each in a fork of this process, which has imported what all of them need.

`run_to_end` and `ServiceProcess` start it, once. What a service imports takes 0.8 s of a processor, a fork next to
nothing. None of that is ours: each fork imports lambda_kit and the service file for itself, as ``python FILE ARGS``
does.

The only argument is the number of a Unix socket. Each message there is in JSON the file, its arguments, where to run it
and its environment, and comes with four descriptors: stdin, stdout, stderr, and where the process id is written as the
file starts and its exit code when it has ended, a line each.
"""

import contextlib
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_IMPORTED = (
    *("mcp_types", "mcp_types.methods"),
    *("httptools", "ivcap_service", "litestar", "litestar.openapi.plugins", "msgspec", "pydantic", "uvicorn"),
    *("uvicorn.lifespan.on", "uvicorn.protocols.http.httptools_impl", "uvloop", "yaml"),
)
_LONGEST_REQUEST = 1 << 20
_MOST_DESCRIPTORS = 4096


def main() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    own_path = sys.path[1:]
    running: dict[int, tuple[int, int]] = {}  # by the descriptor that says when it has ended: process, where that goes
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            ready, _, _ = select.select([requests.fileno(), *running], [], [])
            for ended in running.keys() & set(ready):
                process, news = running.pop(ended)
                _, status = os.waitpid(process, 0)
                _tell(news, os.waitstatus_to_exitcode(status))
                os.close(news)
                os.close(ended)
            if requests.fileno() not in ready:
                continue
            message, descriptors, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST, 4)
            if not message:
                return
            *streams, news = descriptors
            process = os.fork()
            if process == 0:
                break
            _tell(news, process)
            running[os.pidfd_open(process)] = process, news
            for stream in streams:
                os.close(stream)
    request = json.loads(message)
    _become(request, own_path, streams)
    runpy.run_path(request["file"], run_name="__main__")


def _tell(descriptor: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it
        os.write(descriptor, b"%d\n" % number)


def _become(request: dict[str, Any], own_path: list[str], streams: list[int]) -> None:
    """Make this process look to the file like one that was started for it."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
    os.closerange(3, _MOST_DESCRIPTORS)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # it is ignored where the tests were started by nohup
    os.chdir(request["cwd"])
    environment = request["env"]
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None
    if environment.get("PYTHONUNBUFFERED"):
        sys.stdout = sys.__stdout__ = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), write_through=True)  # type: ignore[misc]
    sys.argv = [request["file"], *request["args"]]
    sys.orig_argv = [sys.executable, *sys.argv]
    given = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = [str(Path(request["file"]).parent), *given, *(part for part in own_path if part not in given)]


if __name__ == "__main__":
    main()
