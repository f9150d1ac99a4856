"""A service file as a real process on a real port, for tests that look at it from outside."""

import contextlib
import itertools
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

from tests.support.forks import Fork, can_fork

__all__ = ["ServiceProcess", "free_port"]

ROOT = Path(__file__).parents[2]

# What would change a service if it came from the environment in which the tests are run.
_UNWANTED = ("HOST", "PORT", "VERSION", "IVCAP_BASE_URL", "IVCAP_SERVICE_ID", "IVCAP_URL", "IVCAP_JWT")


# Below the ports that systems give out by themselves, and a range for each process of each run of the tests: a port
# that is free now is still free when the service opens it. The first port of a range is held by who has it.
_PORTS_OF_PROCESS = 500
_RANGES = 44
_RUN = zlib.crc32(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())).encode())
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])


def _hold_range() -> tuple[socket.socket, int]:
    for n in range(_RANGES):
        first_port = 10_000 + _PORTS_OF_PROCESS * ((_RUN + _PROCESS + n) % _RANGES)
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", first_port))
            holder.listen()
        except OSError:
            holder.close()
        else:
            return holder, first_port
    raise AssertionError("no range of ports is free")


_holder, _FIRST_PORT = _hold_range()
_ports = itertools.cycle(range(_FIRST_PORT + 1, _FIRST_PORT + _PORTS_OF_PROCESS))


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens."""
    for port in itertools.islice(_ports, _PORTS_OF_PROCESS):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no port from {_FIRST_PORT} on is free")


class ServiceProcess:
    """Starts ``python FILE --host 127.0.0.1 --port PORT ...``, waits until it answers, and ends it by a signal.

    Args:
        file: The service file.
        args: Further arguments.
        env: Environment variables on top of this process's.
        ready_path: Where a GET must be answered with a status below 500 before the service counts as started.
        seconds: Bound of each wait.
        exit_code: What the process must exit with after the signal. None: anything.
        python: The interpreter.
        ca: The certificates that are trusted, if it speaks HTTPS. None: it speaks HTTP.
        by_new_interpreter: Start Python for it, not a fork of one that has imported what services need. For what the
            interpreter reads when it starts, and for what is measured.
    """

    def __init__(
        self,
        file: Path,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        ready_path: str = "/_healtz",
        seconds: float = 60.0,
        exit_code: int | None = 0,
        python: Path = Path(sys.executable),
        ca: Path | None = None,
        by_new_interpreter: bool = False,
    ) -> None:
        self.port = free_port()
        self.url = f"{'http' if ca is None else 'https'}://127.0.0.1:{self.port}"
        self._verify: ssl.SSLContext | bool = True if ca is None else ssl.create_default_context(cafile=ca)
        self.command = [str(python), str(file), "--host", "127.0.0.1", "--port", str(self.port), *args]
        self._env = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
        self._env |= {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **(env or {})}
        self._ready_path = ready_path
        self._seconds = seconds
        self._exit_code = exit_code
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._by_new_interpreter = by_new_interpreter
        self._process: subprocess.Popen[str] | Fork | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        if can_fork(self.command, self._env) and not self._by_new_interpreter:
            self._process = Fork(self.command, env=self._env)
        else:
            self._process = subprocess.Popen(
                self.command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._wait_until_ready()
        except BaseException:
            self._process.kill()
            self._finish()
            raise
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        code = self.stop()
        if exc_type is None and self._exit_code is not None:
            assert code == self._exit_code, f"it exited with {code}, and had logged:\n{self.log}"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which it is started."""
        return self._env

    @property
    def process(self) -> subprocess.Popen[str] | Fork:
        """The process, once it was started."""
        assert self._process is not None, "the service was not started"
        return self._process

    @property
    def log(self) -> str:
        """What it has written to stdout and stderr until now."""
        with self._news:
            return "".join(self._lines)

    def wait_for_log(self, is_there: str | Callable[[str], bool], *, seconds: float = 60.0) -> str:
        """Wait until the log holds a text, or fulfils a condition; returns the log."""
        holds = is_there if callable(is_there) else lambda log: is_there in log
        with self._news:
            found = self._news.wait_for(lambda: holds("".join(self._lines)), timeout=seconds)
        log = self.log
        assert found, f"{is_there!r} was not logged within {seconds} s, but:\n{log}"
        return log

    def assert_alive(self) -> None:
        """Fail unless the process runs and its event loop turns."""
        assert self.process.poll() is None, f"the service died:\n{self.log}"
        assert httpx.get(self.url + "/_livez", timeout=self._seconds, verify=self._verify).status_code == 200

    def memory_mib(self) -> float:
        """The resident memory of the process."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text("ascii").splitlines()
        (kib,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kib / 1024

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code. If it does not end in time it is killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(self._seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end within {self._seconds} s of the signal:\n{self.log}") from None
        finally:
            self._finish()

    def _wait_until_ready(self) -> None:
        attempts = int(self._seconds / 0.05)
        for _ in range(attempts):
            with contextlib.suppress(httpx.TransportError):
                url = self.url + self._ready_path
                if httpx.get(url, timeout=self._seconds, verify=self._verify).status_code < 500:
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self.process.wait(0.05)
                raise AssertionError(f"{' '.join(self.command)} exited with {code}:\n{self.log}")
        raise AssertionError(f"{' '.join(self.command)} did not answer in {self._seconds} s:\n{self.log}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()

    def _finish(self) -> None:
        self.process.wait(self._seconds)
        if self._reader is not None:
            self._reader.join(self._seconds)
        if self.process.stdout is not None:
            self.process.stdout.close()
