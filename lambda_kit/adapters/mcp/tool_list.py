"""``tools/list``: the tools that a caller may run."""

from collections.abc import Mapping
from typing import Any

import msgspec
from mcp_types.jsonrpc import INVALID_PARAMS

from lambda_kit.adapters.mcp.caching import FRESH_MILLISECONDS, cacheable
from lambda_kit.adapters.mcp.catalog import Catalog, Scopes, as_listed
from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.feature import Feature
from lambda_kit.adapters.mcp.messages import McpError
from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.adapters.mcp.versions import has_links

__all__ = ["ToolList"]

_MOST_ANSWERS = 64

_MOST_CHARACTERS = 500_000
"""More than that Claude Code takes from no tool."""
_ROOM_CHARACTERS = 4096
"""For links, and for what is said of a preview."""


class _Params(msgspec.Struct):
    cursor: str | None = None


_decoder = msgspec.json.Decoder(_Params)


class ToolList(Feature):
    """Answers ``tools/list``. All tools are on one page.

    Args:
        catalog: The tools.
        max_result_bytes: `McpOptions.max_result_bytes`.
    """

    def __init__(self, catalog: Catalog, max_result_bytes: int) -> None:
        self._catalog = catalog
        # what is longer than 50,000 characters Claude Code puts into a file else, and shows the agent 2 KB of it
        characters = min(max_result_bytes + _ROOM_CHARACTERS, _MOST_CHARACTERS)
        self._meta = {"anthropic/maxResultSizeChars": characters}
        self._answers: dict[tuple[str, frozenset[Scopes]], bytes] = {}
        self.handlers = {"tools/list": self._list}

    def capabilities(self, *, is_stateless: bool) -> Mapping[str, Any]:
        """That there are tools; which ones does not change while the server runs."""
        return {"tools": {}}

    async def _list(self, request: McpRequest, _exchange: Exchange) -> bytes:
        if _decoder.decode(request.params).cursor:
            raise McpError(INVALID_PARAMS, "there is no page of this cursor: all tools are on the first one")
        key = request.version, self._catalog.scopes_lacking(request.caller.principal)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._encoded(request, key[1])
            if len(self._answers) < _MOST_ANSWERS:
                self._answers[key] = answer
        return answer

    def _encoded(self, request: McpRequest, lacking: frozenset[Scopes]) -> bytes:
        meta = {"_meta": self._meta} if has_links(request.version) else {}
        tools = self._catalog.listed(lacking, has_tasks=request.is_stateless)
        result: dict[str, Any] = {"tools": [as_listed(tool, request.version) | meta for tool in tools]}
        if request.is_stateless:
            result |= cacheable("private" if self._catalog.scopes else "public", milliseconds=FRESH_MILLISECONDS)
        return msgspec.json.encode(result)
