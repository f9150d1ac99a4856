"""A server on 127.0.0.1 that answers every call, and keeps what it was sent."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Self

from lambda_kit.testing.recording_server import Answer, RecordingServer

COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
}


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    headers: "Message[str, str]"
    body: bytes

    @property
    def host(self) -> str:
        """Without the port."""
        return self.headers["Host"].rpartition(":")[0]

    def of(self, name: str) -> str | None:
        """The value of a field that must not stand twice. None: it is missing."""
        values = self.headers.get_all(name) or []
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None


class Recorder:
    """Answers ``/to/<url>`` with a redirect, completions with one, the rest with 200."""

    def __init__(self, answer: Callable[[Call], Answer | None] | None = None) -> None:
        self.calls: list[Call] = []
        self._answer = answer
        self._changing = threading.Lock()

    def __enter__(self) -> Self:
        self._server = RecordingServer(0, self._on_request)
        self.port = self._server.port
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def url(self, host: str, path: str = "/x") -> str:
        return f"http://{host}:{self.port}{path}"

    def take(self) -> list[Call]:
        """What came since the last time."""
        with self._changing:
            calls, self.calls = self.calls, []
        return calls

    def _on_request(self, method: str, path: str, headers: "Message[str, str]", body: bytes) -> Answer | None:
        call = Call(method, path, headers, body)
        with self._changing:
            self.calls.append(call)
        own = None if self._answer is None else self._answer(call)
        if own is not None:
            return own
        if path.startswith("/to/"):
            return Answer(302, {"Location": path.removeprefix("/to/")}, b"")
        if path.endswith("/chat/completions"):
            return Answer(200, {"Content-Type": "application/json"}, json.dumps(COMPLETION).encode())
        return Answer(200, {"Content-Type": "text/plain"}, b"ok")
