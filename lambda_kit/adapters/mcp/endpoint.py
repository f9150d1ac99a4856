"""`McpEndpoint`: finds the handler of a request, whatever transport it came by."""

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
from mcp_types import methods
from mcp_types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND
from pydantic import ValidationError

from lambda_kit.adapters.mcp.built_in_tools import built_in_tools
from lambda_kit.adapters.mcp.calls import ToolCalls
from lambda_kit.adapters.mcp.catalog import Catalog
from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.feature import Feature, Handler
from lambda_kit.adapters.mcp.host import McpHost
from lambda_kit.adapters.mcp.job_tools import JobTools
from lambda_kit.adapters.mcp.listen import Listening
from lambda_kit.adapters.mcp.messages import Json, McpError
from lambda_kit.adapters.mcp.open_calls import OpenCalls
from lambda_kit.adapters.mcp.request import McpNotification, McpRequest, McpResume
from lambda_kit.adapters.mcp.resources import Resources
from lambda_kit.adapters.mcp.results import CallAnswers
from lambda_kit.adapters.mcp.resume import StreamResume
from lambda_kit.adapters.mcp.server_info import ServerInfo, ServerStamp
from lambda_kit.adapters.mcp.tasks import TaskReader, TaskRequests
from lambda_kit.adapters.mcp.tool_list import ToolList

__all__ = ["McpEndpoint"]

logger = logging.getLogger("lambda_kit.mcp")


class McpEndpoint:
    """Answers the requests of all clients. It keeps nothing of a client between two of them.

    Args:
        host: The server.
    """

    def __init__(self, host: McpHost) -> None:
        self.host = host
        instructions: str | None = getattr(host.service, "instructions", None)
        self.catalog = Catalog(host.jobs.tools.values(), built_in_tools(host.options), instructions)
        open_calls = OpenCalls()
        answers = CallAnswers(host, self.catalog)
        tasks = TaskReader(host, answers)
        self.features: Sequence[Feature] = (
            ServerInfo(host, self._capabilities),
            ToolList(self.catalog, host.options.max_result_bytes),
            Listening(tasks),  # before the calls: at a stop its streams end first
            ToolCalls(host, self.catalog, answers, open_calls, JobTools(host, answers)),
            TaskRequests(tasks),
            Resources(host),
        )
        """Each brings handlers; the order is that of their ends."""
        self._streams = StreamResume(host, answers, open_calls)
        self._stamp = ServerStamp(host)
        self._handlers: Mapping[str, Handler] = {
            method: handler for feature in self.features for method, handler in feature.handlers.items()
        }
        self._extension_handlers: Mapping[str, Handler] = {
            method: handler for feature in self.features for method, handler in feature.extension_handlers.items()
        }

    async def answer(self, request: McpRequest, exchange: Exchange) -> Json:
        """The JSON of the result.

        Raises:
            McpError: if there is none; its text is for the client.
            NoAnswer: if the stream ends without an answer.
        """
        handler = self._handlers.get(request.method)
        if handler is not None:
            _check_params(request)
        else:
            handler = self._extension_handlers.get(request.method) if request.is_stateless else None
            if handler is None:
                raise McpError(METHOD_NOT_FOUND, f"there is no method {request.method[:80]!r}")
        result = await handler(request, exchange)
        return self._stamp.put_on(result) if request.is_stateless else result

    async def notified(self, notification: McpNotification) -> None:
        """Do what a notification asks for; one that nobody knows is ignored. It fails into the log."""
        for feature in self.features:
            handler = feature.notification_handlers.get(notification.method)
            if handler is not None:
                try:
                    await handler(notification)
                except Exception:
                    logger.exception("a notification failed: %s", notification.method)

    async def resume(self, resume: McpResume, exchange: Exchange) -> Json:
        """Go on with a stream that was cut: what follows, and then the JSON-RPC message that ends it.

        Raises:
            JobNotFoundError: if there is no such stream for this caller. Nothing was sent then.
            NoAnswer: if the stream ends without an answer.
        """
        return await self._streams.resume(resume, exchange)

    def _capabilities(self, is_stateless: bool) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for feature in self.features:
            for name, more in feature.capabilities(is_stateless=is_stateless).items():
                said[name] = {**said.get(name, {}), **more}
        return said

    # --- the life of the server ---

    async def __aenter__(self) -> Self:
        """Begin."""
        for feature in self.features:
            await feature.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End."""
        await self.drained()  # where nobody drains the server, as in another app

    async def drained(self) -> None:
        """The jobs of this process have ended: standing streams end, and open calls get their answers."""
        for feature in self.features:
            await feature.drained()


def _check_params(request: McpRequest) -> None:
    if request.method == "tools/call" and _is_usual_call(request):
        return
    try:
        methods.validate_client_request(request.method, request.version, request.plain)
    except KeyError:
        raise McpError(METHOD_NOT_FOUND, f"there is no method {request.method} in version {request.version}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise McpError(INVALID_PARAMS, f"{where[:200]}: {first['msg']}") from None


# --- the usual call, of which the models would say the same in ten times the time ---

_CALL_MEMBERS = frozenset(["name", "arguments", "_meta"])
_CHECKED_BEFORE = frozenset(["progressToken", "traceparent", "tracestate", "baggage"])
"""Members of ``_meta`` that differ from call to call: `read_request` has looked at them."""
_LONGEST_META_BYTES = 2048


def _is_usual_call(request: McpRequest) -> bool:
    plain = request.plain
    if not (_CALL_MEMBERS.issuperset(plain) and isinstance(plain.get("name"), str)):
        return False
    meta = plain.get("_meta", {})
    if not (isinstance(plain.get("arguments", {}), dict) and isinstance(meta, dict)):
        return False
    rest = msgspec.json.encode({name: value for name, value in meta.items() if name not in _CHECKED_BEFORE})
    return len(rest) <= _LONGEST_META_BYTES and _is_fine_meta(request.version, rest)


@functools.lru_cache(maxsize=256)
def _is_fine_meta(version: str, meta: bytes) -> bool:
    """Whether ``_meta`` fits its model. A client sends the same with each call."""
    call = {"name": "x", "arguments": {}, "_meta": msgspec.json.decode(meta)}
    try:
        methods.validate_client_request("tools/call", version, call)
    except (KeyError, ValidationError):
        return False
    return True
