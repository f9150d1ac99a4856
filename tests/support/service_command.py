"""A service file that does something and ends, such as printing a description."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

from tests.support.forks import Fork, can_fork

__all__ = ["EXAMPLES", "ROOT", "run_for_bytes", "run_to_end"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

_BOUND_SECONDS = 90.0
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
    ended = run_for_bytes(file, *args, cwd=cwd, env=env, by_new_interpreter=by_new_interpreter)
    return subprocess.CompletedProcess(ended.args, ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def run_for_bytes(
    file: Path,
    *args: str,
    stdin: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    by_new_interpreter: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """The same, for what reads stdin, and for what need not be text."""
    env = {**_environment(), **(env or {})}
    command = [sys.executable, str(file), *args]
    if can_fork(command, env) and not by_new_interpreter:
        return _run_fork(command, stdin, cwd, env)
    return subprocess.run(
        command, cwd=cwd, env=env, input=stdin, capture_output=True, timeout=_BOUND_SECONDS, check=False
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return {name: value for name, value in kept.items() if not name.startswith(("IVCAP_", "LAMBDA_KIT_"))}


def _run_fork(
    command: list[str], stdin: bytes, cwd: Path | None, env: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    with TemporaryFile() as given, TemporaryFile() as output, TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        fork = Fork(command, env=env, cwd=cwd, stdin=given.fileno(), stdout=output.fileno(), stderr=errors.fileno())
        try:
            code = fork.wait(_BOUND_SECONDS)
        finally:
            fork.kill()
        said = []
        for file in (output, errors):
            file.seek(0)
            said.append(file.read())
    return subprocess.CompletedProcess(command, code, *said)
