"""The platform's artifact calls (TUS included), as much as ivcap-client makes of them, in memory."""

import base64
import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from lambda_kit.testing.recording_server import Answer
from tests.ivcap.recorder import Call

PREFIX = "urn:ivcap:artifact:"


@dataclass
class Kept:
    name: str
    mime_type: str
    policy: str | None
    content: bytearray = field(default_factory=bytearray)
    length: int = -1


class ArtifactPlatform:
    def __init__(self) -> None:
        self.artifacts: dict[str, Kept] = {}
        self._changing = threading.Lock()

    def add(self, content: bytes, name: str = "n.bin") -> str:
        """Keep an artifact; returns its URN."""
        with self._changing:
            urn = f"{PREFIX}{len(self.artifacts) + 1}"
            self.artifacts[urn] = Kept(name, "application/octet-stream", None, bytearray(content), len(content))
        return urn

    def answer(self, call: Call) -> Answer | None:
        path = unquote(call.path)
        if not path.startswith("/1/artifacts"):
            return None
        if call.method == "POST" and path == "/1/artifacts":
            return self._create(call)
        urn, _, blob = path.removeprefix("/1/artifacts/").partition("/")
        kept = self.artifacts.get(urn)
        if kept is None:
            return Answer(404, {"Content-Type": "application/json"}, b"{}")
        if not blob:
            return self._json(200, self._record(urn, kept))
        return self._blob(call, kept, path)

    def _create(self, call: Call) -> Answer:
        name = base64.b64decode(call.of("X-Name") or "").decode()
        urn = self.add(b"", name)
        kept = self.artifacts[urn]
        kept.mime_type, kept.policy = call.of("X-Content-Type") or "", call.of("X-Policy")
        kept.length = int(call.of("X-Content-Length") or -1)
        assert call.of("Tus-Resumable") == "1.0.0"
        return self._json(201, self._record(urn, kept))

    def _blob(self, call: Call, kept: Kept, path: str) -> Answer:
        tus = {"Tus-Resumable": "1.0.0"}
        if call.method == "GET":
            return Answer(200, {"Content-Type": kept.mime_type}, bytes(kept.content))
        if call.method == "POST":  # of an archive, whose length is told later
            assert call.of("Upload-Defer-Length") == "1"
            return Answer(201, {"Location": path, **tus}, b"")
        if call.method == "HEAD":
            return Answer(200, {"Upload-Offset": str(len(kept.content)), "Upload-Length": str(kept.length), **tus}, b"")
        assert call.method == "PATCH"
        if int(call.of("Upload-Offset") or -1) != len(kept.content):
            return Answer(409, tus, b"")
        kept.content += call.body
        return Answer(204, {"Upload-Offset": str(len(kept.content)), **tus}, b"")

    def _record(self, urn: str, kept: Kept) -> dict[str, Any]:
        href = f"https://elsewhere.example/1/artifacts/{quote(urn, safe='')}"
        return {
            "id": urn,
            "status": "ready",
            "links": [{"href": href, "rel": "self", "type": "application/json"}],
            "data-href": f"{href}/blob",
            "name": kept.name,
            "size": len(kept.content),
            "mime-type": kept.mime_type,
            "policy": kept.policy or "urn:ivcap:policy:default",
            "account": "urn:ivcap:account:1",
            "created-at": "2026-01-01T00:00:00Z",
            "last-modified-at": "2026-01-01T00:00:00Z",
        }

    @staticmethod
    def _json(status: int, body: Any) -> Answer:
        return Answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())
