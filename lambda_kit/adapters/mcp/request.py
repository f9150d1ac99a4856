"""`McpRequest` and its kin: what a client sent, read and checked."""

from collections.abc import Mapping
from typing import Any

import msgspec
from mcp_types import CLIENT_CAPABILITIES_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp_types.jsonrpc import INVALID_PARAMS

from lambda_kit.adapters.mcp.host import McpCaller
from lambda_kit.adapters.mcp.messages import McpError, Message
from lambda_kit.adapters.mcp.versions import is_stateless_version

__all__ = [
    "TASKS_EXTENSION",
    "McpNotification",
    "McpRequest",
    "McpResume",
    "Meta",
    "read_request",
]

TASKS_EXTENSION = "io.modelcontextprotocol/tasks"
"""The extension by which a call becomes a task (SEP-2663)."""


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of ``params._meta``."""

    progress_token: bytes | None = None
    """JSON: a string or a whole number, 0 and "" too. None: no progress is wanted."""
    client_capabilities: Mapping[str, Any] = {}
    """Of a stateless request; empty otherwise."""
    traceparent: str | None = None
    tracestate: str | None = None
    baggage: str | None = None

    @property
    def takes_tasks(self) -> bool:
        """Whether the client has declared the extension of tasks in this request."""
        extensions = self.client_capabilities.get("extensions")
        return isinstance(extensions, Mapping) and isinstance(extensions.get(TASKS_EXTENSION), Mapping)


class McpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a client."""

    id: bytes
    """As it was sent: ``b"1"`` or ``b'"1"'``."""
    method: str
    params: bytes
    """The JSON object, valid for the method and version."""
    plain: Mapping[str, Any] = {}
    """`params` as plain data, but for the content of ``arguments``, of which an object is an empty one here."""
    arguments: bytes = b"{}"
    """``params.arguments`` as it was sent; an empty object if it was not."""
    version: str
    """The protocol version: over HTTP of the header field, on standard input as agreed or of the request."""
    session: str | None = None
    """The session that we have given out, before 2026-07-28. None: it has none of ours."""
    meta: Meta = Meta()
    caller: McpCaller

    @property
    def is_stateless(self) -> bool:
        """Whether it is of the era without sessions (2026-07-28)."""
        return is_stateless_version(self.version)

    @property
    def has_envelope(self) -> bool:
        """Whether ``_meta`` names a protocol version, as that of every request of 2026-07-28 does."""
        meta = self.plain.get("_meta")
        return isinstance(meta, Mapping) and PROTOCOL_VERSION_META_KEY in meta


_MOST_PARAMS_BYTES = 256 * 1024
"""Of all params but the arguments of a call, which only their tool reads: these are read on the event loop."""
_LONGEST_TOKEN = 1024
"""A progress token is sent with each notification, and kept with the job."""


class _Arguments(msgspec.Struct):
    arguments: msgspec.Raw = msgspec.Raw()


_arguments_decoder = msgspec.json.Decoder(_Arguments)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_request(
    message: Message, request_id: bytes, *, version: str, caller: McpCaller, session: str | None = None
) -> McpRequest:
    """Make a request of a message. Of its params only the progress token has been checked.

    Args:
        message: The message.
        request_id: Its id.
        version: Of the protocol.
        caller: Who sent it.
        session: The session of ours that it belongs to.

    Raises:
        McpError: -32602 if a member of the params can't be read, or is too large.
    """
    if len(message.params) > _MOST_PARAMS_BYTES:
        own_bytes = len(message.params) - len(_arguments_decoder.decode(message.params).arguments)
        if own_bytes > _MOST_PARAMS_BYTES:
            text = f"params: must have no more than {_MOST_PARAMS_BYTES} bytes besides arguments"
            raise McpError(INVALID_PARAMS, text)
    arguments = b"{}"
    plain: dict[str, Any] = {}
    try:
        for name, raw in _members_decoder.decode(message.params).items():
            if name == "arguments":
                arguments = bytes(raw)
                plain[name] = {} if arguments.startswith(b"{") else msgspec.json.decode(raw)
            else:
                plain[name] = msgspec.json.decode(raw)
    except (ValueError, RecursionError):  # it is JSON, as the whole message is
        raise McpError(INVALID_PARAMS, "params: a number is too large") from None
    meta = plain.get("_meta")
    return McpRequest(
        id=request_id,
        method=message.method,
        params=message.params,
        plain=plain,
        arguments=arguments,
        version=version,
        session=session,
        meta=_read_meta(meta, is_stateless=is_stateless_version(version))
        if meta and isinstance(meta, dict)
        else Meta(),
        caller=caller,
    )


def _read_meta(meta: Mapping[str, Any], *, is_stateless: bool) -> Meta:
    token = meta.get("progressToken")
    if token is not None and (isinstance(token, bool) or not isinstance(token, str | int)):
        raise McpError(INVALID_PARAMS, "params._meta.progressToken: must be a string or a whole number")
    if isinstance(token, str) and len(token) > _LONGEST_TOKEN:
        text = f"params._meta.progressToken: must be no longer than {_LONGEST_TOKEN} characters"
        raise McpError(INVALID_PARAMS, text)
    capabilities = meta.get(CLIENT_CAPABILITIES_META_KEY) if is_stateless else None
    trace = {
        name: value for name in ("traceparent", "tracestate", "baggage") if isinstance(value := meta.get(name), str)
    }
    return Meta(
        progress_token=None if token is None else _as_json(token),
        client_capabilities=capabilities if isinstance(capabilities, dict) else {},
        **trace,
    )


def _as_json(token: str | int) -> bytes:
    return b"%d" % token if isinstance(token, int) else msgspec.json.encode(token)


class McpNotification(msgspec.Struct, frozen=True, kw_only=True):
    """A notification of a client."""

    method: str
    params: bytes
    """A JSON object; no more is known of it."""
    version: str
    """As of `McpRequest`."""
    session: str | None = None
    """As of `McpRequest`."""
    caller: McpCaller


class McpResume(msgspec.Struct, frozen=True, kw_only=True):
    """A client of before 2026-07-28 goes on with a stream that was cut."""

    last_event_id: str
    """The last event that it has seen, as it says."""
    version: str
    session: str | None = None
    caller: McpCaller
