"""What a client is told of the server: ``initialize`` and ``server/discover`` (MCP, Lifecycle)."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from mcp_types import SERVER_INFO_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lambda_kit.adapters.mcp.caching import FRESH_MILLISECONDS, cacheable
from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.feature import Feature
from lambda_kit.adapters.mcp.host import McpHost
from lambda_kit.adapters.mcp.messages import Json, Parts
from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.adapters.mcp.versions import agreed_version

__all__ = ["ServerInfo", "ServerStamp"]

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ServerInfo(Feature):
    """Answers ``initialize``, ``server/discover`` and ``ping``.

    Args:
        host: The server.
        capabilities: Those of all features; told whether they are for a client of 2026-07-28.
    """

    def __init__(self, host: McpHost, capabilities: Callable[[bool], dict[str, Any]]) -> None:
        self._host = host
        self._capabilities = capabilities
        self.handlers = {"initialize": self.initialize, "ping": self.ping, "server/discover": self.discover}

    async def initialize(self, request: McpRequest, _exchange: Exchange) -> bytes:
        """Agree on a version."""
        return self._with_instructions(
            {
                "protocolVersion": agreed_version(request.plain["protocolVersion"]),
                "capabilities": self._capabilities(False),
                "serverInfo": _implementation(self._host),
            }
        )

    async def discover(self, _request: McpRequest, _exchange: Exchange) -> bytes:
        """Say what there is, to a client of 2026-07-28."""
        return self._with_instructions(
            {
                "supportedVersions": list(MODERN_PROTOCOL_VERSIONS),
                "capabilities": self._capabilities(True),
                **cacheable("public", milliseconds=FRESH_MILLISECONDS),
                "_meta": {SERVER_INFO_META_KEY: _implementation(self._host)},
            }
        )

    async def ping(self, _request: McpRequest, _exchange: Exchange) -> bytes:
        """Answer."""
        return b"{}"

    def _with_instructions(self, result: dict[str, Any]) -> bytes:
        instructions = getattr(self._host.service, "instructions", None)
        return msgspec.json.encode({**result, "instructions": instructions} if instructions else result)


class ServerStamp:
    """Says in every result of 2026-07-28 who has sent it (MCP 2026-07-28, ``ResultMetaObject``).

    Args:
        host: The server.
    """

    def __init__(self, host: McpHost) -> None:
        said = msgspec.json.encode({"name": host.service.name, "version": host.version})
        self._member = b'"%b":%b' % (SERVER_INFO_META_KEY.encode(), said)

    def put_on(self, result: Json) -> Json:
        """A result with it, unless it says that already.

        Args:
            result: A JSON object with ``resultType`` at least; one in parts says nothing of it.
        """
        if isinstance(result, Parts):
            return Parts([*result[:-1], b'%b,"_meta":{%b}}' % (result[-1][:-1], self._member)])
        if b'"_meta"' not in result:
            return b'%b,"_meta":{%b}}' % (result[:-1], self._member)
        members = _members_decoder.decode(result)
        meta = bytes(members.get("_meta", b"{}"))
        if SERVER_INFO_META_KEY.encode() in meta:
            return result
        joined = b"{%b}" % self._member if meta == b"{}" else b"%b,%b}" % (meta[:-1], self._member)
        return msgspec.json.encode({**members, "_meta": msgspec.Raw(joined)})


def _implementation(host: McpHost) -> Mapping[str, Any]:
    service = host.service
    website = service.contact.url or ""
    known = {
        "name": service.name,
        "version": host.version,
        "description": getattr(service, "description", None),
        "websiteUrl": website if website.startswith(("https://", "http://")) else None,
    }
    return {name: value for name, value in known.items() if value}
