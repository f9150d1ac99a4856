"""One measurement of load on one path: `wrk` where it is installed, else the generator of this package."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.contestants import ECHO_BODY, Server
from benchmarks.errors import SetupError
from benchmarks.processes import Cores, run

__all__ = ["BuiltinLoad", "Expected", "Load", "LoadResult", "WrkLoad", "choose_load"]

_SPARE_SECONDS = 60.0
_SCRIPT = Path(__file__).resolve().parent / "clients" / "wrk.lua"


@dataclass(frozen=True, slots=True)
class Expected:
    """The one right answer."""

    status: int
    body: bytes


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What the generator counted."""

    requests: int
    seconds: float
    failures: int
    p50_ms: float
    p99_ms: float


class Load(Protocol):
    """A load generator."""

    title: str

    def measure(
        self,
        server: Server,
        path: str,
        *,
        connections: int,
        seconds: int,
        cores: Cores,
        expected: Expected | None = None,
    ) -> LoadResult:
        """Post echoes for so long on so many connections; any answer but the right one is a failure.

        Without `expected` that is 200 with the echo.
        """
        ...


class WrkLoad:
    """`wrk` on one thread."""

    title = "wrk"

    def __init__(self, executable: str) -> None:
        self._executable = executable

    def measure(
        self,
        server: Server,
        path: str,
        *,
        connections: int,
        seconds: int,
        cores: Cores,
        expected: Expected | None = None,
    ) -> LoadResult:
        """See `Load.measure`."""
        command = [self._executable, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
        answer = expected or Expected(200, server.echo_answer)
        command += ["-s", str(_SCRIPT), server.url(path), "--", ECHO_BODY, answer.body.decode(), str(answer.status)]
        command += _fields(server)
        return _result(run(command, core=cores.load, timeout_seconds=seconds + _SPARE_SECONDS))


class BuiltinLoad:
    """`benchmarks.clients.load`."""

    title = "the built-in generator (slower than wrk: it understates the faster contestants)"

    def measure(
        self,
        server: Server,
        path: str,
        *,
        connections: int,
        seconds: int,
        cores: Cores,
        expected: Expected | None = None,
    ) -> LoadResult:
        """See `Load.measure`."""
        command = [
            sys.executable,
            "-m",
            "benchmarks.clients.load",
            "--port",
            str(server.port),
            "--path",
            path,
        ]
        command += ["--connections", str(connections), "--seconds", str(seconds)]
        answer = expected or Expected(200, server.echo_answer)
        command += ["--body", ECHO_BODY, "--expected", answer.body.decode(), "--status", str(answer.status)]
        command += ["--fields", *_fields(server)]
        return _result(run(command, core=cores.load, timeout_seconds=seconds + _SPARE_SECONDS))


def _fields(server: Server) -> list[str]:
    return [f"{name}: {value}" for name, value in server.fields.items()]


def _result(output: str) -> LoadResult:
    return LoadResult(**json.loads(output.strip().splitlines()[-1]))


def choose_load(name: str) -> Load:
    """The generator called `wrk` or `builtin`; `auto` prefers `wrk`.

    Raises:
        SetupError: `wrk` is asked for and missing.
    """
    wrk = shutil.which("wrk")
    if name == "builtin" or (name == "auto" and wrk is None):
        if name == "auto":
            sys.stderr.write("wrk is not installed (Debian: apt-get install wrk); using the built-in generator\n")
        return BuiltinLoad()
    if wrk is None:
        raise SetupError("wrk is not installed: `apt-get install wrk` on Debian, or use --load builtin")
    return WrkLoad(wrk)
