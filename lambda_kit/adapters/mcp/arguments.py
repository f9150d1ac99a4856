"""From the ``arguments`` of a call to the request that its job has (MCP, Tools, Calling Tools)."""

import msgspec

from lambda_kit.adapters.mcp.catalog import CatalogTool
from lambda_kit.core.errors import RequestValidationError
from lambda_kit.core.model.job import Payload
from lambda_kit.core.tools.agent_schema import REQUEST

__all__ = ["request_body"]


class _Wrapped(msgspec.Struct):
    request: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Wrapped)


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
    return tool.bound.json_payload(_unwrapped(arguments) if tool.agent.wraps_request else arguments)


def _unwrapped(arguments: bytes) -> bytes:
    request = bytes(_decoder.decode(arguments).request)
    if not request:
        raise RequestValidationError(
            f"the arguments have no member '{REQUEST}'",
            [{"loc": ["body"], "msg": f'Field required: send {{"{REQUEST}": ...}}', "type": "missing"}],
        )
    return request
