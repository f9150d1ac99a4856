"""A project with poetry-plugin-ivcap, and the real `poetry` in it; `ivcap` and `docker` are stand-ins."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx

from tests.support.missing_service import missing_service
from tests.support.service_process import ROOT, free_port

__all__ = ["ACCOUNT", "TOKEN", "PoetryProject"]

STAND_INS = Path(__file__).with_name("stand_ins")
ACCOUNT = "urn:ivcap:account:45a06508-5c3a-4678-8e6d-e6399bf27538"
TOKEN = "the-token-of-the-stand-in"

_SECONDS = 240.0  # poetry takes seconds to begin, and many where other people have the processor
_UNWANTED = ("HOST", "PORT", "VERSION", "VIRTUAL_ENV", "PYTEST_ADDOPTS")


def _poetry() -> Path:
    folder = ROOT / os.environ.get("LAMBDA_KIT_POETRY", ".poetry")
    command = folder / "bin" / "poetry"
    if not command.exists():
        missing_service("poetry with poetry-plugin-ivcap; scripts/poetry_tools.sh installs them into .poetry")
    return command


class PoetryProject:
    """A copy of a project, in a git repository of its own.

    Args:
        source: The project.
        folder: Where the copy goes.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        self._poetry = _poetry()
        self.folder = folder / source.name
        shutil.copytree(source, self.folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache", "artifacts"))
        self._notes = folder / "stand-ins"
        self._notes.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "A project"]):
            self._git(*command)
        self.commit = self._git("rev-parse", "--short", "HEAD").strip()

    def _git(self, *args: str) -> str:
        who = {f"GIT_{role}_{what}": "x@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.run(
            ["git", *args], cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        ).stdout

    @property
    def calls(self) -> list[dict[str, Any]]:
        """How the stand-ins were called, in order."""
        file = self._notes / "calls.jsonl"
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []

    def calls_of(self, *words: str) -> list[dict[str, Any]]:
        """The calls that begin with these words."""
        return [call for call in self.calls if call["command"][: len(words)] == list(words)]

    def _environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
        kept = {name: value for name, value in kept.items() if not name.startswith(("IVCAP_", "POETRY_", "OTEL_"))}
        python = Path(sys.executable).parent
        path = os.pathsep.join([str(STAND_INS), str(self._poetry.parent), str(python), os.environ["PATH"]])
        return kept | {
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "VIRTUAL_ENV": str(python.parent),  # `poetry run` uses the environment that is active
            "POETRY_CACHE_DIR": str(self._notes / "cache"),
            "STAND_IN_FOLDER": str(self._notes),
            "STAND_IN_IVCAP_URL": self.url,
            "STAND_IN_TOKEN": TOKEN,
            **more,
        }

    def poetry(self, *args: str, **env: str) -> str:
        """Run ``poetry ARGS`` to its end; returns what it wrote to stdout."""
        done = subprocess.run(
            [str(self._poetry), *args],
            cwd=self.folder,
            env=self._environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == 0, (
            f"poetry {' '.join(args)} exited with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    @contextlib.contextmanager
    def following(self, *args: str) -> Iterator[Iterator[str]]:
        """Run ``poetry ARGS``, whose lines are read while it runs; at the end it is killed."""
        with self._started(*args) as (_, stdout):
            yield iter(stdout.readline, "")

    @contextlib.contextmanager
    def running_service(self, *flags: str, **env: str) -> Iterator[list[str]]:
        """``poetry ivcap run -- FLAGS`` on `port`, until the block is left; gives the lines that it writes."""
        lines: list[str] = []
        with self._started("ivcap", "run", "--", "--port", str(self.port), *flags, **env) as (process, stdout):
            reader = threading.Thread(target=lambda: lines.extend(stdout), daemon=True)
            reader.start()
            self._wait_until_ready(process, lines)
            yield lines
            os.killpg(process.pid, signal.SIGTERM)
            reader.join(_SECONDS)  # to the last line of the last process
            assert not reader.is_alive(), f"the service did not end:\n{''.join(lines)}"

    @contextlib.contextmanager
    def _started(self, *args: str, **env: str) -> Iterator[tuple["subprocess.Popen[str]", IO[str]]]:
        process = subprocess.Popen(
            [str(self._poetry), *args],
            cwd=self.folder,
            env=self._environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # the plugin starts further processes: a signal is for all of them
        )
        assert process.stdout is not None
        with process.stdout as stdout:
            try:
                yield process, stdout
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(_SECONDS)

    def _wait_until_ready(self, process: "subprocess.Popen[str]", lines: list[str]) -> None:
        for _ in range(int(_SECONDS / 0.2)):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/_healtz", timeout=_SECONDS).status_code == 200:
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.2)
                raise AssertionError(f"poetry ivcap run exited with {code}:\n{''.join(lines)}")
        raise AssertionError(f"poetry ivcap run did not answer:\n{''.join(lines)}")
