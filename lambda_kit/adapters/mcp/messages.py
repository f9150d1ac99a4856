"""JSON-RPC 2.0 messages: one is read, and answers and notifications are put together as bytes.

Ids and progress tokens keep their JSON type and value: "1" is not 1 (MCP, Basic protocol, Requests).
"""

import re
from typing import Any, TypeAlias

import msgspec
from mcp_types.jsonrpc import INVALID_REQUEST, PARSE_ERROR

from lambda_kit.core.model.event_envelope import one_line

__all__ = [
    "Json",
    "McpError",
    "Message",
    "Parts",
    "cancelled_id",
    "error_frame",
    "notification_frame",
    "read_batch",
    "read_message",
    "result_frame",
]

_MOST_ID_BYTES = 1024
"""An id is sent back, and kept with the job."""

_MOST_MESSAGES = 100
"""In a batch."""

_WHOLE_NUMBER = re.compile(rb"-?[0-9]+")


class Parts(list[bytes]):
    """JSON in parts, of some 1 MB at most, each on one line: all of it is too large to be copied on the event loop.

    The last part is the end of an object that has members.
    """


Json: TypeAlias = bytes | Parts
"""A result, or a message that has one."""


class McpError(Exception):
    """A JSON-RPC error, for the client.

    Args:
        code: Of `mcp_types.jsonrpc`.
        message: One sentence that says what is wrong and how to mend it.
        data: More of it, as plain data.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A request, where it has an `id`, a notification, or a response."""

    method: str
    """Empty: it is a response. Nobody waits for it, since we send no requests."""
    id: bytes | None
    """As it was sent: ``b"1"`` or ``b'"1"'``. None: it is a notification or a response."""
    params: bytes
    """A JSON object."""

    @property
    def is_response(self) -> bool:
        """Whether it is a response."""
        return not self.method


class _Envelope(msgspec.Struct):
    jsonrpc: str | msgspec.UnsetType = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Cancelled(msgspec.Struct, rename="camel"):
    request_id: msgspec.Raw


_decoder = msgspec.json.Decoder(_Envelope)
_cancelled_decoder = msgspec.json.Decoder(_Cancelled)
_batch_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def read_message(body: bytes) -> Message:
    """Read one message.

    Raises:
        McpError: if it is no JSON, or no JSON-RPC message.
    """
    envelope: _Envelope = _decoded(_decoder, body, "the body must be one JSON-RPC message, an object")
    if envelope.jsonrpc != "2.0":
        raise McpError(INVALID_REQUEST, 'jsonrpc: must be "2.0"')
    if not envelope.method:
        if envelope.result is msgspec.UNSET and envelope.error is msgspec.UNSET:
            raise McpError(INVALID_REQUEST, "method: it is missing")
        return Message(method="", id=None, params=b"{}")
    request_id = None if envelope.id is msgspec.UNSET else _checked_id(bytes(envelope.id))
    params = b"{}" if envelope.params is msgspec.UNSET else bytes(envelope.params)
    if not params.startswith(b"{"):
        if params != b"null":
            raise McpError(INVALID_REQUEST, "params: must be an object")
        params = b"{}"
    return Message(method=envelope.method, id=request_id, params=params)


def read_batch(body: bytes) -> list[bytes] | None:
    """The messages of a batch (JSON-RPC 2.0, 6), each still to be read. None: it is no batch.

    Raises:
        McpError: if it is no JSON, or has too many.
    """
    if not body.lstrip(b" \t\r\n").startswith(b"["):
        return None
    messages: list[msgspec.Raw] = _decoded(_batch_decoder, body, "the body must be a JSON-RPC message")
    if len(messages) > _MOST_MESSAGES:
        raise McpError(INVALID_REQUEST, f"the batch has more than {_MOST_MESSAGES} messages: send it in parts")
    return [bytes(message) for message in messages]


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes, remedy: str) -> Any:
    try:
        if not body.isascii():
            body.decode()  # what is passed on as it came is not looked at by the decoder
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise McpError(INVALID_REQUEST, remedy) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise McpError(PARSE_ERROR, "the body is not JSON in UTF-8, or has half of a surrogate pair") from None
    except RecursionError:
        raise McpError(PARSE_ERROR, "the body is nested too deeply") from None


def _checked_id(request_id: bytes) -> bytes:
    if len(request_id) > _MOST_ID_BYTES:
        raise McpError(INVALID_REQUEST, f"id: must be no longer than {_MOST_ID_BYTES} bytes")
    if not request_id.startswith(b'"') and not _WHOLE_NUMBER.fullmatch(request_id):
        raise McpError(INVALID_REQUEST, "id: must be a string or a whole number")
    return request_id


def cancelled_id(params: bytes) -> bytes | None:
    """The id of the request that ``notifications/cancelled`` is about, as it was sent. None: it names none.

    Args:
        params: Of the notification.
    """
    try:
        return _checked_id(bytes(_cancelled_decoder.decode(params).request_id))
    except (msgspec.DecodeError, McpError):
        return None


def result_frame(request_id: bytes, result: Json) -> Json:
    """The answer to a request: its result is put in as it is."""
    if isinstance(result, Parts):
        return Parts([b'{"jsonrpc":"2.0","id":%b,"result":' % request_id, *result, b"}"])
    return one_line(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, result))


def error_frame(request_id: bytes | None, error: McpError) -> bytes:
    """The answer to a request that failed; its id is null where it could not be read."""
    content = {"code": error.code, "message": str(error)}
    if error.data is not None:
        content["data"] = error.data
    return one_line(b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (request_id or b"null", msgspec.json.encode(content)))


def notification_frame(method: str, params: bytes) -> bytes:
    """A notification."""
    return one_line(b'{"jsonrpc":"2.0","method":"%b","params":%b}' % (method.encode(), params))
