"""What every answer has besides its own header fields (docs/wire.md, What holds for every answer)."""

from collections.abc import Awaitable, Sequence
from typing import Any

from litestar.types import HTTPScope, Message, Send

from lambda_kit.adapters.http.origins import SharedOrigins
from lambda_kit.adapters.http.public_place import own_path
from lambda_kit.adapters.http.short_way import send_whole

__all__ = ["NOSNIFF", "NO_STORE", "Finish"]

NOSNIFF = (b"x-content-type-options", b"nosniff")
NO_STORE = (b"cache-control", b"no-store")

_Fields = list[tuple[bytes, bytes]]


class Finish:
    """Takes an answer in place of `send`, and adds to its header fields.

    Args:
        scope: The request's.
        send: Takes the finished answer.
        app: The Litestar app that is called.
        shared: The origins whose pages may read it, if any may.
        origin: That of the page which asks, if it is one of these.
        lasting_paths: Of GETs whose answers caches may keep.
    """

    __slots__ = ("_app", "_lasting_paths", "_origin", "_scope", "_send", "_shared")

    def __init__(
        self,
        scope: HTTPScope,
        send: Send,
        app: Any,
        shared: SharedOrigins | None,
        origin: bytes | None,
        lasting_paths: frozenset[str],
    ) -> None:
        self._scope = scope
        self._send = send
        self._app = app
        self._shared = shared
        self._origin = origin
        self._lasting_paths = lasting_paths

    def __call__(self, message: Message) -> Awaitable[None]:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            message["headers"] = self._finished([*message.get("headers", ())])
        return self._send(message)

    def send_whole(self, status: int, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send all of an answer, where that is possible (`short_way.send_whole`)."""
        return send_whole(self._send, status, self._finished([*fields]), body)

    def _finished(self, fields: _Fields) -> _Fields:
        names = [name for name, _ in fields]
        if b"x-content-type-options" not in names:
            fields.append(NOSNIFF)
        if b"cache-control" not in names and not self._may_last():
            fields.append(NO_STORE)
        if self._scope["method"] == "OPTIONS" and b"allow" in names:
            fields = self._with_all_methods(fields)
        shared = self._shared
        if shared is not None:
            if self._origin is not None:
                fields += shared.fields(self._origin)
            if shared.vary:
                fields = _varying(fields, shared.vary)
        return fields

    def _may_last(self) -> bool:
        if self._scope["method"] not in ("GET", "HEAD"):
            return False
        return own_path(self._scope, self._app) in self._lasting_paths

    def _with_all_methods(self, fields: _Fields) -> _Fields:
        """Litestar's own has the methods of a route's first handler alone (RFC 9110, 9.3.7)."""
        template = self._scope.get("path_template")
        methods = {
            method
            for route in self._app.routes
            if route.path_format == template
            for method in getattr(route, "methods", ())
        }
        if not methods:
            return fields
        allow = ", ".join(sorted(methods)).encode()
        return [(name, allow if name == b"allow" else value) for name, value in fields]


def _varying(fields: _Fields, with_field: bytes) -> _Fields:
    """The fields with one more in ``Vary``, which may stand there once."""
    given = [value for name, value in fields if name == b"vary"]
    rest = [field for field in fields if field[0] != b"vary"]
    return [*rest, (b"vary", b", ".join([*given, with_field]))]
