"""`StdioEra`: which protocol the client at the other end of standard input speaks."""

from typing import Any

from mcp_types.jsonrpc import INVALID_REQUEST, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS

from lambda_kit.adapters.mcp.envelope import check_envelope
from lambda_kit.adapters.mcp.host import McpCaller
from lambda_kit.adapters.mcp.http_head import DEFAULT_VERSION
from lambda_kit.adapters.mcp.messages import McpError, Message
from lambda_kit.adapters.mcp.request import McpRequest, read_request
from lambda_kit.adapters.mcp.versions import agreed_version
from lambda_kit.core.model.job import new_job_id

__all__ = ["StdioEra"]


class StdioEra:
    """The era of a connection, which its first request decides, as for the SDK (`serve_dual_era_loop`).

    A request whose ``_meta`` names a version opens a connection of 2026-07-28; any other, ``initialize`` in any case,
    one of the versions before. A request of the other era is refused from then on.
    """

    def __init__(self) -> None:
        self._is_stateless: bool | None = None
        self.version = DEFAULT_VERSION
        """That of the connection, as agreed; without a handshake as over HTTP."""
        self.session = new_job_id()
        """Tells the requests of this connection from all others: a cancel reaches no other client's."""

    def request(self, message: Message, request_id: bytes, caller: McpCaller) -> McpRequest:
        """Read a request.

        Raises:
            McpError: if it is not of this era, or of a version that is not served.
        """
        request = read_request(message, request_id, version=self.version, caller=caller, session=self.session)
        is_initialize = request.method == "initialize"
        if self._is_stateless is None:
            self._is_stateless = request.has_envelope and not is_initialize
            if self._is_stateless:
                self.version = LATEST_MODERN_VERSION
                return self.request(message, request_id, caller)
        if self._is_stateless and is_initialize:
            raise _too_late(request.plain.get("protocolVersion"))
        if self._is_stateless:
            check_envelope(request, None)
        elif request.has_envelope and not is_initialize:
            raise McpError(
                INVALID_REQUEST,
                f"this connection was begun without a version in _meta: send requests of {LATEST_MODERN_VERSION} on a "
                "connection of their own",
            )
        elif is_initialize:  # now: what follows may have been sent already
            self.version = agreed_version(request.plain.get("protocolVersion"))
        return request


def _too_late(requested: Any) -> McpError:
    return McpError(
        UNSUPPORTED_PROTOCOL_VERSION,
        "this connection was begun without a handshake, and takes none: each request says its version",
        {"supported": list(MODERN_PROTOCOL_VERSIONS), "requested": str(requested)},
    )
