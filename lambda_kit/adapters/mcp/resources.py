"""Resources: the result of a job, as a client reads it that was sent a link to it (MCP, Resources)."""

import asyncio
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS

from lambda_kit.adapters.mcp.caching import cacheable
from lambda_kit.adapters.mcp.content import ARTIFACT_URN_PREFIX, resource_pieces
from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.failure_texts import failure_text, refusal_text
from lambda_kit.adapters.mcp.feature import Feature
from lambda_kit.adapters.mcp.host import McpHost
from lambda_kit.adapters.mcp.messages import Json, McpError, Parts
from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.core.errors import JobNotFoundError, UnavailableError
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.event_envelope import one_line
from lambda_kit.core.model.job import JOB_URN_PREFIX, bare_job_id

__all__ = ["Resources"]

_NOT_FOUND = -32002
"""The code of an unknown resource before 2026-07-28, which has `INVALID_PARAMS` for it."""
_MOST_BYTES = 64 * 2**20
"""Of a result that is put into one message, for which some twice its size is taken in memory."""

_LARGE_BYTES = 2**20
"""A larger result is sent in parts."""

_TEMPLATE: Mapping[str, Any] = {
    "uriTemplate": f"{JOB_URN_PREFIX}{{job_id}}",
    "name": "job_result",
    "title": "Result of a job",
    "description": "What a call has returned, whole. Calls with large results link to it.",
}


class _Params(msgspec.Struct):
    uri: str


_decoder = msgspec.json.Decoder(_Params)


class Resources(Feature):
    """Answers ``resources/read``, ``resources/list`` and ``resources/templates/list``.

    Args:
        host: The server.
    """

    def __init__(self, host: McpHost) -> None:
        self._host = host
        self.handlers = {
            "resources/read": self._read,
            "resources/list": self._list,
            "resources/templates/list": self._list_templates,
        }

    def capabilities(self, *, is_stateless: bool) -> Mapping[str, Any]:
        """That there are resources. Nobody is told of their changes: a result never changes."""
        return {"resources": {}}

    async def _list(self, request: McpRequest, _exchange: Exchange) -> bytes:
        """None: results are linked to where they are sent, and a list of jobs is nothing for agents."""
        return msgspec.json.encode({"resources": [], **_cached(request)})

    async def _list_templates(self, request: McpRequest, _exchange: Exchange) -> bytes:
        return msgspec.json.encode({"resourceTemplates": [_TEMPLATE], **_cached(request)})

    async def _read(self, request: McpRequest, _exchange: Exchange) -> Json:
        uri = _decoder.decode(request.params).uri
        found = await self._find(request, uri)
        job, payload = found.job, found.result
        if not job.status.is_final:
            _not_found(request, uri, f"job '{job.id}' has not ended: it has no result yet")
        if payload is None:
            why = failure_text(job, debug=self._host.shows_tracebacks())
            _not_found(request, uri, f"job '{job.id}' has no result: {why}")
        if len(payload.content) > _MOST_BYTES:
            raise McpError(
                INTERNAL_ERROR,
                f"the result has {len(payload.content):,} bytes, too many for one message; GET /jobs/{job.id} sends it",
            )
        parts = Parts([b'{"contents":['])
        for piece in resource_pieces(payload, uri):
            parts.append(one_line(piece))
            await asyncio.sleep(0)  # for a large one others would wait long
        end = msgspec.json.encode(_cached(request))
        parts.append(b"]" + (b"}" if end == b"{}" else b"," + end[1:]))
        return parts if len(payload.content) > _LARGE_BYTES else b"".join(parts)

    async def _find(self, request: McpRequest, uri: str) -> WaitResult:
        job_id = bare_job_id(uri)
        if job_id is None or job_id == uri:
            known = f"the resources here are results of jobs, such as {JOB_URN_PREFIX}1234"
            is_artifact = uri.lower().startswith(ARTIFACT_URN_PREFIX)
            _not_found(request, uri, f"the platform gives it: {known}" if is_artifact else known)
        try:
            found = await request.caller.jobs.wait(job_id, wait_seconds=0.0)
        except JobNotFoundError as error:
            _not_found(request, uri, str(error))
        except UnavailableError as error:
            raise McpError(INTERNAL_ERROR, refusal_text(error)) from None
        tool = self._host.jobs.tools.get(found.job.tool)
        if tool is not None and not tool.options.mcp:
            _not_found(request, uri, str(JobNotFoundError(job_id)))
        return found


def _not_found(request: McpRequest, uri: str, message: str) -> NoReturn:
    code = INVALID_PARAMS if request.is_stateless else _NOT_FOUND
    raise McpError(code, message, {"uri": uri}) from None


def _cached(request: McpRequest) -> dict[str, Any]:
    """What 2026-07-28 has in a result that may be kept: that this one may not, as it is one caller's own."""
    return cacheable("private", milliseconds=0) if request.is_stateless else {}
