"""A service with ``--with-mcp-stdio`` as a real process, and its client: every line that it writes must be JSON-RPC."""

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.forks import Fork, can_fork
from tests.support.service_process import ROOT

__all__ = ["LEGACY", "MODERN", "McpStdio", "stdio_environment"]

LEGACY, MODERN = "2025-11-25", "2026-07-28"

_UNWANTED = ("HOST", "PORT", "VERSION", "PYTHONUNBUFFERED")
_BOUND_SECONDS = 90.0  # also where other people have the processor


def stdio_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a service, with nothing in it that a service reads but `env`."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    kept = {name: value for name, value in kept.items() if not name.startswith(("IVCAP_", "LAMBDA_KIT_"))}
    return kept | {"PYTHONPATH": str(ROOT), **(env or {})}


class McpStdio:
    """Starts ``python FILE --with-mcp-stdio ...``, and speaks to it. It is killed at the end of the block.

    At the end of the block every line of its stdout must have been a JSON-RPC message.

    Args:
        file: The service file.
        args: Further arguments.
        env: Further environment variables.
        version: The protocol version that requests are of.
        takes_tasks: Whether requests of 2026-07-28 declare the extension of tasks.
        flags: Of Python itself.
        by_new_interpreter: Start Python for it, not a fork of one that has imported what services need. For what is
            there from the start of the interpreter, and for services that start further processes.
    """

    def __init__(
        self,
        file: Path,
        *args: str,
        env: Mapping[str, str] | None = None,
        version: str = LEGACY,
        takes_tasks: bool = False,
        flags: tuple[str, ...] = (),
        by_new_interpreter: bool = False,
    ) -> None:
        self._command = [sys.executable, *flags, str(file), "--with-mcp-stdio", *args]
        self._env = stdio_environment(env)
        self._by_new_interpreter = by_new_interpreter
        self._version = version
        self._capabilities: dict[str, Any] = (
            {"extensions": {"io.modelcontextprotocol/tasks": {}}} if takes_tasks else {}
        )
        self._ids = itertools.count(1)
        self._log: list[str] = []
        self._lines: list[bytes] = []
        self._messages: list[dict[str, Any]] = []
        self._batches: list[list[dict[str, Any]]] = []
        self._not_json: list[bytes] = []
        self._news = threading.Condition()
        self._may_read = threading.Event()
        self._may_read.set()

    def __enter__(self) -> Self:
        (stdin, its_end), (self._stdout, stdout), (self._stderr, stderr) = (os.pipe() for _ in range(3))
        try:
            self.process = self._started(stdin, stdout, stderr)
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        self.stdin = os.fdopen(its_end, "wb")
        self._leave, self._left = socket.socketpair()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read_out, self._read_log)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(30)
        self._leave.close()
        with contextlib.suppress(BrokenPipeError):  # there may be something that it did not read
            self.stdin.close()
        if exc_type is None:
            assert not self._not_json, f"on stdout: {self._not_json}"
            assert all(message["jsonrpc"] == "2.0" for message in self.messages)

    def _started(self, stdin: int, stdout: int, stderr: int) -> "subprocess.Popen[bytes] | Fork":
        if can_fork(self._command, self._env) and not self._by_new_interpreter:
            return Fork(self._command, env=self._env, stdin=stdin, stdout=stdout, stderr=stderr)
        return subprocess.Popen(self._command, env=self._env, stdin=stdin, stdout=stdout, stderr=stderr)

    # --- what it says ---

    @property
    def log(self) -> str:
        """Its stderr until now."""
        with self._news:
            return "".join(self._log)

    @property
    def raw_lines(self) -> list[bytes]:
        """The lines of its stdout until now, as they are."""
        with self._news:
            return list(self._lines)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The same, decoded."""
        with self._news:
            return list(self._messages)

    def answers_to(self, request_id: Any) -> list[dict[str, Any]]:
        """The answers to a request until now."""
        is_same = lambda other: type(other) is type(request_id) and other == request_id  # noqa: E731
        return [one for one in self.messages if "method" not in one and is_same(one["id"])]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The notifications of a kind until now."""
        return [one for one in self.messages if one.get("method") == f"notifications/{kind}"]

    def progress_of(self, token: Any) -> list[dict[str, Any]]:
        """The params of the progress notifications until now."""
        return [one["params"] for one in self.told("progress") if one["params"]["progressToken"] == token]

    def wait_until(self, is_so: Callable[[], Any], what: str = "it") -> Any:
        """Wait until something is so of what it has written; returns what that gives."""
        with self._news:
            if found := self._news.wait_for(is_so, _BOUND_SECONDS):
                return found
        raise AssertionError(f"{what} did not come; messages: {str(self.messages)[-3000:]}\nlog: {self.log}")

    def wait_for_answer(self, request_id: Any) -> dict[str, Any]:
        """Wait for the answer to a request."""
        return self.wait_for_answers(request_id, 1)[0]

    def wait_for_answers(self, request_id: Any, count: int) -> list[dict[str, Any]]:
        """Wait for so many answers to requests of an id."""
        what = f"an answer to {request_id!r}"
        self.wait_until(lambda: len(self.answers_to(request_id)) >= count, what)
        return self.answers_to(request_id)

    def wait_for_log(self, text: str) -> None:
        """Wait until a text is on its stderr."""
        self.wait_until(lambda: text in self.log, f"{text!r} in the log")

    # --- what it is told ---

    @property
    def is_legacy(self) -> bool:
        """Whether its requests are of the era with a handshake."""
        return self._version != MODERN

    def be_of(self, version: str) -> None:
        """From now on requests are of that version."""
        self._version = version

    def send(self, message: Any) -> None:
        """Send a message."""
        self.send_raw(json.dumps(message).encode() + b"\n")

    def send_raw(self, data: bytes) -> None:
        """Send bytes."""
        self.stdin.write(data)
        self.stdin.flush()

    def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, request_id: Any = None, token: Any = None
    ) -> Any:
        """Send a request; returns its id."""
        request_id = next(self._ids) if request_id is None else request_id
        meta: dict[str, Any] = {} if token is None else {"progressToken": token}
        if self._version == MODERN:
            meta |= {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": self._capabilities,
            }
        params = {**(params or {}), **({"_meta": meta} if meta else {})}
        self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return request_id

    def call(self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """Send a ``tools/call``; returns its id."""
        return self.request("tools/call", {"name": tool, "arguments": dict(arguments or {})}, **more)

    def cancel(self, request_id: Any) -> None:
        """Send that a request is cancelled."""
        params = {"requestId": request_id, "reason": "not wanted any more"}
        self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Send a request, and wait for its result."""
        answer = self.wait_for_answer(self.request(method, params))
        assert "result" in answer, answer
        return answer["result"]

    def run(self, tool: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call a tool, and wait for its result; again, while the service is still starting after 10 s."""
        while "the service is still starting" in str(
            result := self.ask("tools/call", {"name": tool, "arguments": dict(arguments or {})})
        ):
            continue
        return result

    def initialize(self) -> Any:
        """Do the handshake, if the version has one; returns what the server says of itself."""
        if self._version == MODERN:
            return self.ask("server/discover")
        client = {"name": "tests", "version": "1"}
        said = self.ask("initialize", {"protocolVersion": self._version, "capabilities": {}, "clientInfo": client})
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return said

    def wait_for_batch(self, batch: list[Any]) -> list[dict[str, Any]]:
        """Send a batch, and wait for the batch that answers it."""
        self.send(batch)
        self.wait_until(lambda: self._batches, "a batch")
        return self._batches.pop()

    # --- its end ---

    def close(self) -> None:
        """End its input."""
        self.stdin.close()

    @contextlib.contextmanager
    def reading_paused(self) -> Iterator[None]:
        """Read none of its output while the block lasts, after what is being read."""
        self._may_read.clear()
        try:
            yield
        finally:
            self._may_read.set()

    def stop_reading(self) -> None:
        """Read nothing more of its output: who writes there is told that nobody does."""
        self._leave.close()
        self._threads[0].join(30)

    def hang_up(self) -> None:
        """End as a client does that has been killed."""
        self.stop_reading()
        self.close()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, *, log_ends: bool = True) -> int:
        """Wait for its end, and for all that it has written; returns the exit code.

        Args:
            log_ends: Whether nobody that it has left behind has its stderr.
        """
        try:
            code = self.process.wait(_BOUND_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {_BOUND_SECONDS} s:\n{self.log}") from None
        for thread in self._threads[: 2 if log_ends else 1]:
            thread.join(30)
            assert not thread.is_alive(), "somebody that it has left behind has its streams"
        return code

    def _read_out(self) -> None:
        """Read its stdout until its end, or until told not to: nobody has it then."""
        rest = b""
        with self._left, os.fdopen(self._stdout, "rb") as stdout:
            left = self._left.fileno()
            while left not in select.select([stdout.fileno(), left], [], [])[0]:
                self._may_read.wait()
                piece = os.read(stdout.fileno(), 1 << 20)
                if not piece:
                    break
                *lines, rest = (rest + piece).split(b"\n")
                self._take(lines)
        if rest:
            self._take([rest])

    def _take(self, lines: list[bytes]) -> None:
        with self._news:
            for line in lines:
                self._lines.append(line)
                try:
                    message: Any = json.loads(line)
                    to: list[Any] = self._batches if isinstance(message, list) else self._messages
                    to.append(message)
                except ValueError:
                    self._not_json.append(line)
            self._news.notify_all()

    def _read_log(self) -> None:
        with os.fdopen(self._stderr, errors="replace", newline="\n") as stderr:
            for line in stderr:
                with self._news:
                    self._log.append(line)
                    self._news.notify_all()
