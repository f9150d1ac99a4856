"""The envelope of a request of 2026-07-28: what its ``_meta``, and over HTTP its header fields, have to say of it.

MCP 2026-07-28, Basic protocol, Per-request protocol fields; Transports, Streamable HTTP, Routing headers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from mcp.shared.inbound import (
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    decode_header_value,
    find_duplicated_routing_header,
    unsupported_protocol_version_rejection,
    validate_mcp_param_headers,
)
from mcp_types.jsonrpc import HEADER_MISMATCH

from lambda_kit.adapters.mcp.messages import McpError
from lambda_kit.adapters.mcp.request import McpRequest

__all__ = ["check_argument_fields", "check_envelope", "check_version"]

_TASK_METHODS = frozenset(["tasks/get", "tasks/update", "tasks/cancel"])


def check_envelope(request: McpRequest, fields: Sequence[tuple[str, str]] | None) -> None:
    """See that a request says which version it is of and what its client can, and the header fields say the same.

    Args:
        request: Of 2026-07-28.
        fields: The header fields that begin with ``mcp-``, names in lower case. None: it came on standard input.

    Raises:
        McpError: -32602, -32020 or -32022.
    """
    if fields is None:
        _refuse(classify_inbound_request({"method": request.method, "params": request.plain}))
        return
    if (twice := find_duplicated_routing_header(fields)) is not None:
        raise McpError(HEADER_MISMATCH, f"{twice}: it was sent more than once")
    by_name = dict(fields)
    if not request.has_envelope and MCP_PROTOCOL_VERSION_HEADER in by_name:
        check_version(by_name[MCP_PROTOCOL_VERSION_HEADER])  # of a client that may know no envelopes
    _refuse(classify_inbound_request({"method": request.method, "params": request.plain}, headers=by_name))
    name = by_name.get(MCP_NAME_HEADER)
    # fastmcp-tasks sends none
    if (
        request.method in _TASK_METHODS
        and name is not None
        and decode_header_value(name) != request.plain.get("taskId")
    ):
        raise McpError(HEADER_MISMATCH, f"{MCP_NAME_HEADER}: it is not the taskId of the body")


def check_version(version: str) -> None:
    """See that a version without sessions is served.

    Raises:
        McpError: -32022 if it is not.
    """
    _refuse(unsupported_protocol_version_rejection(version))


def check_argument_fields(
    request: McpRequest, fields: Sequence[tuple[str, str]], input_schema: Mapping[str, Any]
) -> None:
    """See that the ``Mcp-Param-*`` fields of a call say what its arguments say.

    Args:
        request: A ``tools/call`` of 2026-07-28.
        fields: As for `check_envelope`.
        input_schema: Of the tool; it has ``x-mcp-header`` somewhere.

    Raises:
        McpError: -32020.
    """
    try:
        arguments = msgspec.json.decode(request.arguments)
    except (ValueError, RecursionError):  # the tool's model says why
        return
    if isinstance(arguments, dict):
        _refuse(validate_mcp_param_headers(input_schema, arguments, _Pairs(fields)))


class _Pairs(dict[str, str]):
    """Header fields whose `items` has those that came twice, too."""

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__(fields)
        self._fields = fields

    def items(self) -> Any:
        return self._fields


def _refuse(rejection: object) -> None:
    if isinstance(rejection, InboundLadderRejection):
        raise McpError(rejection.code, rejection.message, rejection.data)
