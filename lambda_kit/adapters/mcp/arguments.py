"""From the ``arguments`` of a call to the request that its job has (MCP, Tools, Calling Tools)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from lambda_kit.adapters.mcp.catalog import CatalogTool
from lambda_kit.core.errors import RequestValidationError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.tools.agent_schema import REQUEST

__all__ = ["request_body"]


class _Wrapped(msgspec.Struct):
    request: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Wrapped)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def request_body(tool: CatalogTool, arguments: bytes) -> Payload:
    """What is kept of a call's arguments: the same as of that request over HTTP.

    Args:
        tool: What is called.
        arguments: JSON as it was sent, so that its numbers keep their digits. Empty or null: none were sent, which is
            as good as an empty object.

    Raises:
        RequestValidationError: if it does not have the request, or is to be a file and is none.
    """
    if arguments in (b"", b"null"):
        arguments = b"{}"
    if tool.agent.wraps_request:
        arguments = _unwrapped(arguments)
    elif tool.bound.agents_member is not None:
        arguments = _without_member(tool.bound.agents_member, tool.agent.input_schema, arguments)
    return tool.bound.json_payload(arguments)


def _without_member(name: str, schema: Mapping[str, Any], arguments: bytes) -> bytes:
    """The request, if it was sent as the only member of that name, and the schema knows no such member."""
    if name in schema.get("properties", ()) or schema.get("additionalProperties"):
        return arguments
    try:
        members = _members_decoder.decode(arguments)
    except (msgspec.DecodeError, RecursionError):  # the tool's model says what is wrong
        return arguments
    request = bytes(members.get(name, b""))
    return request if len(members) == 1 and request.startswith(b"{") else arguments


def _unwrapped(arguments: bytes) -> bytes:
    request = bytes(_decoder.decode(arguments).request)
    if not request:
        raise RequestValidationError(
            f"the arguments have no member '{REQUEST}'",
            [{"loc": ["body"], "msg": f'Field required: send {{"{REQUEST}": ...}}', "type": "missing"}],
        )
    return request
