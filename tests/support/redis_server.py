"""Redis servers for tests: the machine's, and ones of their own that may be killed."""

import contextlib
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Self

import redis

from tests.support.missing_service import missing_service
from tests.support.service_process import free_port

__all__ = ["REDIS_URL", "RedisServer", "forget_redis_keys", "need_redis"]

REDIS_URL = "redis://127.0.0.1:6379/0"


def need_redis() -> None:
    """Skip the running test where there is no Redis on the usual port."""
    with redis.Redis.from_url(REDIS_URL) as client:
        try:
            client.ping()
        except redis.ConnectionError:
            missing_service("Redis on 127.0.0.1:6379; start one by `redis-server --port 6379`")


def forget_redis_keys(prefix: str) -> None:
    """Remove what a store of that prefix left on the machine's Redis."""
    with redis.Redis.from_url(REDIS_URL) as client:
        for key in client.scan_iter(f"{{{prefix}}}:*", count=1000):
            client.unlink(key)


class RedisServer:
    """A ``redis-server`` on a free port, which syncs each write to the disk. It is stopped until `start`.

    Args:
        directory: Where it keeps its files.
        options: Further arguments.
        seconds: Bound of each wait.
    """

    def __init__(self, directory: Path, *options: str, seconds: float = 20.0) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            missing_service("the program redis-server; install it, e.g. by `apt-get install redis-server`")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""),
            *("--appendonly", "yes", "--appendfsync", "always", *options),
        ]
        self._log = directory / "redis.log"
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def client(self) -> "redis.Redis":
        """A client for looking at it from outside."""
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        """Start it, again or for the first time, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        for _ in range(int(self._seconds / 0.05)):
            with contextlib.suppress(redis.ConnectionError), self.client as client:
                with contextlib.suppress(redis.AuthenticationError):  # that is an answer, too
                    client.ping()
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
                break
        self.kill()
        raise AssertionError(f"redis-server did not start:\n{self._log.read_text()}")

    def kill(self) -> None:
        """End it as a crash does. No error if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(self._seconds)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None, "it was not started"
        self._process.send_signal(number)
