"""A service file that does something and ends, such as printing a description."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

__all__ = ["EXAMPLES", "ROOT", "run_to_end"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

_FORKS = Path(__file__).with_name("command_forks.py")

_BOUND_SECONDS = 45.0
_UNWANTED = ("HOST", "PORT", "VERSION", "DOCKER_IMG", "DOCKERFILE", "ENTRYPOINT")


def run_to_end(
    file: Path,
    *args: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    by_new_interpreter: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run ``python FILE ARGS`` with nothing in the environment that a service reads, but `env`.

    Args:
        file: The service file.
        args: Its arguments.
        cwd: Where it is run. None: here.
        env: Environment variables.
        by_new_interpreter: Start Python for it, not a fork of one that has imported what services need, which is ten
            times as fast. For what the interpreter reads when it starts, and for services that start further processes.
    """
    env = {**_environment(), **(env or {})}
    if not by_new_interpreter:
        return _forks.run(file, args, cwd or Path.cwd(), env)
    return subprocess.run(
        [sys.executable, str(file), *args],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_BOUND_SECONDS,
        check=False,
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return {name: value for name, value in kept.items() if not name.startswith(("IVCAP_", "LAMBDA_KIT_"))}


class _Forks:
    """The process whose forks run commands (`command_forks`); started when it is needed, ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self._end)

    def run(
        self, file: Path, args: tuple[str, ...], cwd: Path, env: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        request = {"file": str(file), "args": args, "cwd": str(cwd), "env": env}
        with self._lock:
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            if not select.select([process.stdout], [], [], _BOUND_SECONDS)[0]:
                os.killpg(process.pid, signal.SIGKILL)
                self._end()
                raise subprocess.TimeoutExpired([str(file), *args], _BOUND_SECONDS)
            code, output, errors = json.loads(process.stdout.readline())
        return subprocess.CompletedProcess([sys.executable, str(file), *args], code, output, errors)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(_FORKS)],
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # so that it can be ended together with its forks
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.communicate()


_forks = _Forks()
