"""A batch service as a real process, beside a sidecar."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.support.forks import Fork, can_fork
from tests.support.service_process import ROOT

__all__ = ["SERVICE", "BatchProcess"]

SERVICE = Path(__file__).parent / "service.py"

_UNWANTED = ("HOST", "PORT", "VERSION", "IVCAP_BASE_URL", "IVCAP_SERVICE_ID", "IVCAP_URL", "IVCAP_JWT")


class BatchProcess:
    """Starts a service file in batch mode, and reads what it logs. It is killed at the end of the block.

    Args:
        base_url: ``$IVCAP_BASE_URL``. None: it is not set.
        args: Further arguments.
        env: Further environment variables.
        file: The service file.
    """

    def __init__(
        self, base_url: str | None, *args: str, env: Mapping[str, str] | None = None, file: Path = SERVICE
    ) -> None:
        self._command = [sys.executable, str(file), "--batch", *args]
        self._env = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
        self._env |= {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **(env or {})}
        if base_url is not None:
            self._env["IVCAP_BASE_URL"] = base_url
        self._lines: list[str] = []
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        errors, its_end = os.pipe()
        try:
            self.process = self._started(its_end)
        finally:
            os.close(its_end)
        self._errors = os.fdopen(errors, encoding="utf-8")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(30)
        self._errors.close()

    def _started(self, errors: int) -> "subprocess.Popen[bytes] | Fork":
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - of a device
            if can_fork(self._command, self._env):
                return Fork(self._command, env=self._env, stdout=nowhere.fileno(), stderr=errors)
            return subprocess.Popen(self._command, env=self._env, stdout=nowhere.fileno(), stderr=errors)

    @property
    def log(self) -> str:
        """What it has logged until now."""
        with self._news:
            return "".join(self._lines)

    def wait_for_log(self, text: str, seconds: float = 60.0) -> None:
        """Wait until a text was logged."""
        with self._news:
            found = self._news.wait_for(lambda: text in "".join(self._lines), seconds)
        assert found, f"{text!r} was not logged, but:\n{self.log}"

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, seconds: float = 90.0) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds} s:\n{self.log}") from None
        finally:
            if self.process.poll() is not None:
                self._reader.join(30)

    def _read(self) -> None:
        for line in self._errors:
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
