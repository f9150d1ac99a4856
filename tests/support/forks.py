"""`Fork`: a service file that runs in a fork of a process that has imported what services need (`command_forks`)."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["Fork", "can_fork"]

_FORKS = Path(__file__).with_name("command_forks.py")
_END_SECONDS = 60.0
_READ_BY_FORKS = {"PYTHONPATH", "PYTHONUNBUFFERED"}


def can_fork(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a fork does what the command does.

    That is so for a file that is run by this interpreter, without a variable of its own that Python reads at its start.
    """
    if command[0] != sys.executable or command[1].startswith("-") or not hasattr(os, "pidfd_open"):
        return False
    names = {name for name in {*env, *os.environ} if name.startswith("PYTHON")} - _READ_BY_FORKS
    return all(env.get(name) == os.environ.get(name) for name in names)


class Fork:
    """Starts ``python FILE ARGS`` as `subprocess.Popen` does, ten times as fast, and has what tests use of that.

    Args:
        args: The interpreter, the service file and its arguments, as `can_fork` takes them.
        env: The environment.
        cwd: Where it is run.
        stdin: What it reads. None: nothing.
        stdout: Where its stdout goes. None: to `Fork.stdout`, a pipe.
        stderr: Where its stderr goes. None: to where stdout goes.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.args = args
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self._lock = threading.Lock()
        news, news_end = os.pipe()
        ends = [news_end]
        if stdout is None:
            read_end, stdout = os.pipe()
            ends.append(stdout)
            self.stdout = os.fdopen(read_end, encoding="utf-8")
        request = {"file": args[1], "args": args[2:], "cwd": str(cwd or Path.cwd()), "env": dict(env)}
        if stdin is None:
            stdin = os.open(os.devnull, os.O_RDONLY)
            ends.append(stdin)
        try:
            _server.send(request, [stdin, stdout, stdout if stderr is None else stderr, news_end])
        finally:
            for end in ends:
                os.close(end)
        self._news = news
        weakref.finalize(self, os.close, news)
        pid = self._next_number()
        assert pid is not None, "the process that forks has ended"
        self.pid = pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal. None: it runs."""
        with self._lock:
            if self.returncode is None and select.select([self._news], [], [], 0)[0]:
                code = self._next_number()
                self.returncode = -signal.SIGKILL if code is None else code
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: if it does not end in time.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            rest = None if deadline is None else deadline - time.monotonic()
            if rest is not None and rest <= 0:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
            # not for long: it is another thread, perhaps, that reads what has come
            select.select([self._news], [], [], min(rest or 0.2, 0.2))
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal. No error if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _next_number(self) -> int | None:
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._news, 1)
            if not part:
                return None
            line += part
        return int(line)


class _Server:
    """The process whose forks run files; started when it is needed, ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self._end)

    def send(self, request: object, descriptors: Sequence[int]) -> None:
        """Have a file run."""
        with self._lock:
            if self._requests is None:
                self._requests, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with its_end:
                    self._process = subprocess.Popen(
                        [sys.executable, str(_FORKS), str(its_end.fileno())],
                        env={name: value for name, value in os.environ.items() if not name.startswith("LAMBDA_KIT_")},
                        stdin=subprocess.DEVNULL,
                        pass_fds=[its_end.fileno()],
                        start_new_session=True,  # a Ctrl-C for the tests is none for the services
                    )
            socket.send_fds(self._requests, [json.dumps(request).encode()], descriptors)

    def _end(self) -> None:
        if self._requests is not None and self._process is not None:
            self._requests.close()
            self._process.wait(_END_SECONDS)


_server = _Server()
