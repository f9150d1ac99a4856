"""From a job to what ``tools/call`` answers (MCP, Tools, Tool Result)."""

import logging
import re
from collections.abc import Sequence

import msgspec

from lambda_kit.adapters.mcp.built_in_tools import JOB_CANCEL, JOB_RESULT
from lambda_kit.adapters.mcp.catalog import Catalog, CatalogTool
from lambda_kit.adapters.mcp.content import (
    artifact_links,
    base64_bytes,
    beginning_of,
    file_block,
    is_text,
    link_block,
    text_block,
    text_of,
)
from lambda_kit.adapters.mcp.failure_texts import failure_text, refusal_text
from lambda_kit.adapters.mcp.host import McpHost
from lambda_kit.adapters.mcp.passed_through import passed_through
from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.adapters.mcp.versions import has_any_structure, has_links, has_structure
from lambda_kit.core.errors import LambdaKitError
from lambda_kit.core.jobs.waiting import WaitResult
from lambda_kit.core.model.job import Job, JobStatus, Payload
from lambda_kit.core.model.media_type import JSON, essence_of
from lambda_kit.core.model.refusal_reasons import INTERNAL_ERROR, reason_of
from lambda_kit.core.tools.agent_schema import RESULT

__all__ = ["CallAnswers", "refusal_result", "text_result"]

logger = logging.getLogger("lambda_kit.mcp")

_PREVIEW_PART = 8
"""So much of the limit, its eighth, is shown of what is larger: enough to see what it is."""

_MOST_EVENT_BYTES = 1_000_000
"""The official client and all that use it take events of 1 MiB at most [mcp/client/streamable_http.py]."""

_NULL = b"null"
_OBJECT = re.compile(rb"\s*\{")
_json_decoder = msgspec.json.Decoder(msgspec.Raw)


def text_result(request: McpRequest, text: str, *, is_error: bool = False) -> bytes:
    """A result of one text.

    Args:
        request: What is answered.
        text: For the agent.
        is_error: Whether the call failed.
    """
    return _result(request, [text_block(text)], is_error=is_error)


def refusal_result(request: McpRequest, error: LambdaKitError, tool: CatalogTool | None = None) -> bytes:
    """What a call answers that did not become a job: a text that an agent can act on.

    Args:
        request: What is answered.
        error: Why.
        tool: What was called.
    """
    if reason_of(error) == INTERNAL_ERROR:  # the client is told that the log has the details
        logger.error("a call could not be made a job", exc_info=error)
    wraps_request = tool is not None and tool.agent.wraps_request
    return text_result(request, refusal_text(error, wraps_request=wraps_request), is_error=True)


class CallAnswers:
    """What calls answer as to their jobs: at once, by ``job_result``, in a stream that is resumed, or in a task.

    Args:
        host: The server.
        catalog: Its tools.
    """

    def __init__(self, host: McpHost, catalog: Catalog) -> None:
        self._host = host
        self._catalog = catalog

    async def answer(
        self, request: McpRequest, found: WaitResult, *, is_declared: bool = True, in_stream: bool = False
    ) -> bytes:
        """The result of a job that has ended, well or not; else how to get it.

        Args:
            request: What is answered.
            found: The job, with its result if it has ended.
            is_declared: Whether the client knows the output schema of the job's tool, as it does not where another tool
                (``job_result``) was called. Where it does, the whole result is structured content, however large:
                clients drop a result that lacks it.
            in_stream: Whether the answer is an event of a stream. Clients drop those of more than 1 MiB; such a result
                is the preview alone, and an error where it can't do without structured content.
        """
        job, payload = found.job, found.result
        tool = self._catalog.tools.get(job.tool)
        is_checked = is_declared and tool is not None and tool.output is not None and has_structure(request.version)
        if not job.status.is_final:
            return text_result(request, _still_running_text(job), is_error=is_checked)
        if payload is None:
            return text_result(request, failure_text(job, debug=self._host.shows_tracebacks()), is_error=True)
        answer = await self._whole_result(request, tool, job, payload, is_declared=is_declared)
        if not in_stream or len(answer) <= _MOST_EVENT_BYTES:
            return answer
        preview = _large(job, payload, self._host.options.max_result_bytes, with_link=has_links(request.version))
        if not is_checked:
            return _result(request, preview)
        excuse = "the tool has succeeded, but its result is too large for the structured content of this answer"
        return _result(request, [text_block(excuse), *preview], is_error=True)

    async def _whole_result(
        self, request: McpRequest, tool: CatalogTool | None, job: Job, payload: Payload, *, is_declared: bool
    ) -> bytes:
        if tool is not None and tool.makes_call_results:
            passed = passed_through(payload, job.urn, request.version)
            if passed is not None:
                return passed
        max_bytes = self._host.options.max_result_bytes
        wraps = tool is not None and tool.agent.wraps_result and has_structure(request.version)
        data = _data(payload, wraps=wraps)
        content = _content(request, job, payload, data, max_bytes)
        if not has_structure(request.version):
            return _result(request, content)
        if tool is None or tool.output is None:
            return _result(request, content, _small_structure(data, request.version, max_bytes))
        if data is None or not _OBJECT.match(data):
            fault: str | None = f"it is {_said_of(payload)}"
        else:
            fault = await tool.output.fault(data)
        if fault is None:
            return _result(
                request, content, data if is_declared else _small_structure(data, request.version, max_bytes)
            )
        misfit = f"the tool has succeeded, but its result does not fit its output schema: {fault}"
        return _result(request, [text_block(misfit), *content], is_error=True)


def _still_running_text(job: Job) -> str:
    """How to get the result of a job that has not ended.

    It is no error. But of a tool with an output schema clients take nothing that does not fit it, except errors: of the
    SDKs those for Python and TypeScript raise, and the agent would never learn of the job.
    """
    state = "still running" if job.status is not JobStatus.PENDING else "still running: it waits for its turn"
    return (
        f"{state}. job_id: {job.id}\n\nThis is no failure: do not call the tool again. Call the tool {JOB_RESULT} with "
        f'{{"job_id": "{job.id}"}} to wait for the result, again until it is there. To stop the work, call '
        f"{JOB_CANCEL} with the same."
    )


def _data(payload: Payload, *, wraps: bool) -> bytes | None:
    """A result that is JSON, as agents get it. None: it is a text or a file."""
    if payload.content_type != JSON:
        return None
    try:
        payload.content.decode()
        _json_decoder.decode(payload.content)  # half of a surrogate pair is no JSON for it, and for clients
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None  # a `BinaryResult` can say of anything that it is JSON
    return b'{"%b":%b}' % (RESULT.encode(), payload.content) if wraps else payload.content


def _small_structure(data: bytes | None, version: str, max_bytes: int) -> bytes | None:
    """The structured content of a result of which the client knows no schema."""
    if data is None or len(data) > max_bytes or data == _NULL:
        return None
    return data if has_any_structure(version) or _OBJECT.match(data) else None


def _content(request: McpRequest, job: Job, payload: Payload, data: bytes | None, max_bytes: int) -> list[bytes]:
    """The blocks that show a result, or a preview of it."""
    links = has_links(request.version)
    shown = payload.content if data is None else data
    if (len(shown) if data is not None or is_text(payload) else base64_bytes(shown)) > max_bytes:
        return _large(job, payload, max_bytes, with_link=links)
    if data == _NULL:
        return [text_block("done; the result is null")]
    is_plain = data is None and essence_of(payload.content_type) == "text/plain"
    text = text_of(payload) if is_plain else data.decode() if data is not None else None
    if text is None:
        return [file_block(payload, job.urn, request.version)]
    return [text_block(text), *(artifact_links(shown) if links else ())]


def _large(job: Job, payload: Payload, max_bytes: int, *, with_link: bool) -> list[bytes]:
    """What is shown of a result that is too large: how it begins, where that is a text, and where all of it is."""
    lines = [f"The result is {_said_of(payload)}: too large to be shown here. All of it is the resource {job.urn}"]
    head = beginning_of(payload, max_bytes // _PREVIEW_PART)
    if head is not None:
        lines.append(f"It begins:\n\n{head}")
    blocks = [text_block(". ".join(lines))]
    if with_link:
        about = "The whole result."
        blocks.append(link_block(job.urn, f"result of {job.tool}", about, payload.content_type, len(payload.content)))
    return blocks


def _said_of(payload: Payload) -> str:
    return f"{len(payload.content):,} bytes of {essence_of(payload.content_type)}"


def _result(
    request: McpRequest, content: Sequence[bytes], structured: bytes | None = None, *, is_error: bool = False
) -> bytes:
    parts = [b'{"content":[', b",".join(content), b"]"]
    if structured is not None:
        parts += [b',"structuredContent":', structured]
    if is_error:
        parts.append(b',"isError":true')
    if request.is_stateless:
        parts.append(b',"resultType":"complete"')
    parts.append(b"}")
    return b"".join(parts)
