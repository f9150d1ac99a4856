"""`RawClient`: sends MCP's HTTP requests by hand, so that tests see each event of the answers."""

import contextlib
import itertools
import json
from collections.abc import Generator, Iterator, Mapping
from typing import Any, NamedTuple, Self

import httpx

__all__ = ["LATEST", "MODERN", "RawClient", "SseEvent", "progress_of", "result_of"]

LATEST = "2025-11-25"
MODERN = "2026-07-28"


class SseEvent(NamedTuple):
    """An event of a stream, or a comment."""

    id: str | None
    data: str | None
    """None: it has none, as a comment or a time to wait."""
    retry: int | None = None

    @property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message."""
        assert self.data, self
        message: dict[str, Any] = json.loads(self.data)
        return message


class RawClient:
    """A client of one server. It is initialized where its version has sessions.

    Args:
        url: Of the server, without ``/mcp``.
        version: Of the protocol.
        headers: Sent with each request.
        session: One that was given out already. None: get one.
        has_session: Whether to have one at all, where the version has sessions.
        takes_tasks: Whether to declare the extension of tasks, where the version has it.
    """

    def __init__(
        self,
        url: str,
        version: str = LATEST,
        *,
        headers: Mapping[str, str] | None = None,
        session: str | None = None,
        has_session: bool = True,
        takes_tasks: bool = False,
    ) -> None:
        self.version = version
        self.session: str | None = session
        self._url = f"{url}/mcp"
        self._capabilities: dict[str, Any] = (
            {"extensions": {"io.modelcontextprotocol/tasks": {}}} if takes_tasks else {}
        )
        self._has_session = has_session and version != MODERN
        self._http = httpx.Client(timeout=60.0, headers=headers or {})
        self._ids = itertools.count(1000)

    def __enter__(self) -> Self:
        if self._has_session and self.session is None:
            params = {
                "protocolVersion": self.version,
                "capabilities": {},
                "clientInfo": {"name": "tests", "version": "1"},
            }
            response = self.post("initialize", params, request_id=0)
            assert response.json()["result"]["protocolVersion"] == self.version
            self.session = response.headers["mcp-session-id"]
            assert self.notify("notifications/initialized", {}).status_code == 202
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def post(self, method: str, params: Mapping[str, Any], *, request_id: Any = None) -> httpx.Response:
        """Send a request, and return the whole answer."""
        return self._http.post(self._url, **self._request(method, params, request_id))

    def call(self, name: str, arguments: Mapping[str, Any], *, request_id: Any = None) -> dict[str, Any]:
        """The result of a call, which must have one."""
        with self.stream(name, arguments, request_id=request_id) as events:
            *_, answer = events
        return result_of(answer)

    @contextlib.contextmanager
    def stream(
        self, name: str, arguments: Mapping[str, Any], *, request_id: Any = None, token: Any = None
    ) -> Generator[Iterator[SseEvent]]:
        """The events of the answer to a call, as they come. A plain answer is one event without an id.

        When the block is left the connection is closed.
        """
        meta = {} if token is None else {"progressToken": token}
        params = {"name": name, "arguments": arguments, "_meta": meta}
        with self._http.stream("POST", self._url, **self._request("tools/call", params, request_id)) as response:
            assert response.status_code == 200, response.read()
            yield _events_of(response)

    @contextlib.contextmanager
    def resumed(self, last_event_id: str) -> Generator[Iterator[SseEvent]]:
        """The events of a stream behind that one."""
        with self._http.stream("GET", self._url, headers=self._resume_fields(last_event_id)) as response:
            assert response.status_code == 200, (response.status_code, response.read())
            yield _events_of(response)

    def resume_status(self, last_event_id: str) -> int:
        """How a stream that can't be resumed is answered."""
        return self._http.get(self._url, headers=self._resume_fields(last_event_id)).status_code

    def notify(self, method: str, params: Mapping[str, Any]) -> httpx.Response:
        """Send a notification."""
        body = {"jsonrpc": "2.0", "method": method, "params": params}
        return self._http.post(self._url, json=body, headers=self._fields(method, params))

    def cancel(self, request_id: Any) -> None:
        """Say that a request is not wanted any more."""
        assert self.notify("notifications/cancelled", {"requestId": request_id}).status_code == 202

    def _resume_fields(self, last_event_id: str) -> dict[str, str]:
        return {**self._fields("", {}), "accept": "text/event-stream", "last-event-id": last_event_id}

    def _request(self, method: str, params: Mapping[str, Any], request_id: Any) -> dict[str, Any]:
        meta: dict[str, Any] = dict(params.get("_meta", {}))
        if self.version == MODERN:
            meta["io.modelcontextprotocol/protocolVersion"] = MODERN
            meta["io.modelcontextprotocol/clientInfo"] = {"name": "tests", "version": "1"}
            meta["io.modelcontextprotocol/clientCapabilities"] = self._capabilities
        sent = {**params, "_meta": meta} if meta else {k: v for k, v in params.items() if k != "_meta"}
        number = next(self._ids) if request_id is None else request_id
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": sent}
        return {"json": body, "headers": self._fields(method, params)}

    def _fields(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        fields = {"accept": "application/json, text/event-stream", "mcp-protocol-version": self.version}
        if self.session is not None:
            fields["mcp-session-id"] = self.session
        if self.version == MODERN:
            fields["mcp-method"] = method
            if "name" in params:
                fields["mcp-name"] = params["name"]
        return fields


def _events_of(response: httpx.Response) -> Iterator[SseEvent]:
    if response.headers["content-type"] == "application/json":
        yield SseEvent(None, response.read().decode())
        return
    assert response.headers["content-type"].startswith("text/event-stream"), response.headers
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line.startswith(":"):
            yield SseEvent(None, None)
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif fields:
            retry = fields.get("retry")
            yield SseEvent(fields.get("id"), fields.get("data"), None if retry is None else int(retry))
            fields = {}


def result_of(event: SseEvent) -> dict[str, Any]:
    """The result that an event brings."""
    message = event.message
    assert "result" in message, message
    result: dict[str, Any] = message["result"]
    return result


def progress_of(events: Iterator[SseEvent]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What was told of progress, and the answer, behind which nothing may come."""
    told: list[dict[str, Any]] = []
    for event in events:
        if not event.data:
            continue
        message = event.message
        if "result" in message:
            assert [later for later in events if later.data] == []
            return told, message
        assert message["method"] == "notifications/progress", message
        told.append(message["params"])
    raise AssertionError(f"there was no answer, but {told}")
