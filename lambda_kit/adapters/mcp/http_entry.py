"""Streamable HTTP: one ASGI app for all methods at ``/mcp``, in both eras (MCP, Transports).

As the SDK does (`mcp.server.streamable_http_manager`), the field ``MCP-Protocol-Version`` decides the era: without it,
or with a version of the handshake, sessions; with any other 2026-07-28, whose rules say what is wrong. Only a request
without the field that has the envelope of 2026-07-28 is taken for one, too: it is told that the field is missing.
"""

import logging
from collections.abc import Sequence
from functools import partial

from litestar.types import HTTPScope, Receive, Send
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS, x_mcp_header_map
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST

from lambda_kit.adapters.mcp.batch import ExchangeInBatch, answer_batch, check_batch
from lambda_kit.adapters.mcp.endpoint import McpEndpoint
from lambda_kit.adapters.mcp.envelope import check_argument_fields, check_envelope, check_version
from lambda_kit.adapters.mcp.exchange import Exchange, NoAnswer
from lambda_kit.adapters.mcp.host import McpCaller
from lambda_kit.adapters.mcp.http_exchange import HttpExchange
from lambda_kit.adapters.mcp.http_head import HttpHead
from lambda_kit.adapters.mcp.messages import (
    Json,
    McpError,
    Message,
    error_frame,
    read_batch,
    read_message,
    result_frame,
)
from lambda_kit.adapters.mcp.request import McpNotification, McpRequest, McpResume, read_request
from lambda_kit.core.errors import (
    AuthenticationError,
    JobNotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UnavailableError,
)
from lambda_kit.core.model.job import new_job_id
from lambda_kit.core.model.refusal_reasons import client_text

__all__ = ["HttpEntry"]

logger = logging.getLogger("lambda_kit.mcp")

_OF_HTTP = (AuthenticationError, PermissionDeniedError, RateLimitedError, UnavailableError)
"""What of a handler has a status and header fields that clients know what to do with."""

_OPTIONS = (b"allow", b"POST, GET, OPTIONS")
_ALLOW = (b"allow", b"POST, OPTIONS")


class HttpEntry:
    """The ASGI app.

    Args:
        endpoint: Answers the requests.
        fields: What every answer has.
    """

    def __init__(self, endpoint: McpEndpoint, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self._endpoint = endpoint
        self._host = endpoint.host
        self._fields = fields
        self._schemas_with_fields = {
            name: tool.agent.input_schema
            for name, tool in endpoint.catalog.tools.items()
            if x_mcp_header_map(tool.agent.input_schema)
        }

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request.

        Raises:
            LambdaKitError: if it is refused before any of it is read as a message. Nothing was sent.
        """
        head = HttpHead.of(scope)
        is_resumed = scope["method"] == "GET" and bool(head.last_event_id) and not head.is_stateless
        accepted = head.accepted._replace(json=False) if is_resumed else head.accepted
        exchange = HttpExchange(receive, send, self._host.send_whole, self._fields, accepted)
        try:
            if scope["method"] == "POST":
                await self._post(scope, receive, head, exchange)
            elif is_resumed:
                await self._resume(scope, head, exchange)
            else:
                await self._refuse_method(scope, exchange)
        finally:
            exchange.close()

    # --- POST ---

    async def _post(self, scope: HTTPScope, receive: Receive, head: HttpHead, exchange: HttpExchange) -> None:
        caller = await self._host.caller_of(scope)
        if not any(head.accepted):
            await _refuse(exchange, 406, "Accept: it must allow application/json or text/event-stream, best both")
            return
        if not head.is_json:
            await _refuse(exchange, 415, "Content-Type: send JSON in UTF-8 as 'application/json'")
            return
        body = await self._host.read_body(scope, receive, head.content_length)
        try:
            messages = read_batch(body)
            if messages is None:
                await self._answer_one(read_message(body), head, caller, exchange)
            else:
                await self._answer_batch(messages, head, caller, exchange)
        except McpError as error:  # there is no request that it could be the answer to
            await exchange.finish(400, error_frame(None, error))

    async def _answer_one(self, message: Message, head: HttpHead, caller: McpCaller, exchange: HttpExchange) -> None:
        if message.id is None:
            await self._take(message, head, caller)
            await exchange.finish_without_frame(202)
            return
        if message.method == "initialize" and not head.is_stateless:
            exchange.add_field(b"mcp-session-id", new_job_id().encode())
        try:
            status, frame = await self._outcome(message, message.id, head, caller, exchange)
        except NoAnswer as end:
            await exchange.break_off(end.retry_seconds)
        else:
            await exchange.finish(status, frame)

    async def _answer_batch(
        self, messages: list[bytes], head: HttpHead, caller: McpCaller, exchange: HttpExchange
    ) -> None:
        check_batch(messages, head.handshake_version)
        answer = partial(self._frame_in_batch, head=head, caller=caller, exchange=ExchangeInBatch(exchange))
        frame = await answer_batch(messages, answer)
        if frame is None:
            await exchange.finish_without_frame(202)
        else:
            await exchange.finish(200, frame)

    async def _frame_in_batch(self, body: bytes, head: HttpHead, caller: McpCaller, exchange: Exchange) -> Json | None:
        try:
            message = read_message(body)
            if message.id is None:
                await self._take(message, head, caller)
                return None
            if message.method == "initialize":
                return error_frame(message.id, McpError(INVALID_REQUEST, "initialize: send it by a POST of its own"))
            return (await self._outcome(message, message.id, head, caller, exchange))[1]
        except McpError as error:
            return error_frame(None, error)
        except NoAnswer:
            return None

    async def _take(self, message: Message, head: HttpHead, caller: McpCaller) -> None:
        """Take a message that is not answered.

        Raises:
            McpError: if its version is not served, or it is a response to a request that no version lets us send.
        """
        if head.version is not None and head.is_stateless:
            check_version(head.version)
            # a client cancels by closing the stream of its call, so that nobody can cancel another's by its id
            if message.is_response:
                raise McpError(INVALID_REQUEST, "the body must be one JSON-RPC request or notification")
        elif not message.is_response:
            await self._endpoint.notified(
                McpNotification(
                    method=message.method,
                    params=message.params,
                    version=head.handshake_version,
                    session=head.session,
                    caller=caller,
                )
            )

    # --- a request ---

    async def _outcome(
        self, message: Message, request_id: bytes, head: HttpHead, caller: McpCaller, exchange: Exchange
    ) -> tuple[int, Json]:
        """The status and the frame of an answer.

        Raises:
            NoAnswer: if there is none.
            LambdaKitError: if the client is to be told by an answer of HTTP. Nothing was sent.
        """
        is_stateless = head.is_stateless
        try:
            request = read_request(
                message, request_id, version=head.handshake_version, session=head.session, caller=caller
            )
            is_stateless = is_stateless or (head.version is None and request.has_envelope)
            if is_stateless:
                self._check_stateless(request, head)
            return 200, result_frame(request_id, await self._endpoint.answer(request, exchange))
        except McpError as error:
            # before 2026-07-28 a status of 404 means that the session has ended
            status = ERROR_CODE_HTTP_STATUS.get(error.code, 200) if is_stateless else 200
            return status, error_frame(request_id, error)
        except NoAnswer:
            raise
        except Exception as error:
            if isinstance(error, _OF_HTTP):
                if isinstance(exchange, HttpExchange) and not exchange.has_begun:
                    raise
                return 200, error_frame(request_id, McpError(INTERNAL_ERROR, client_text(error)))
            logger.exception("an MCP request failed: %s", message.method[:80])
            return 200, error_frame(request_id, McpError(INTERNAL_ERROR, "internal error"))

    def _check_stateless(self, request: McpRequest, head: HttpHead) -> None:
        check_envelope(request, head.mcp_fields)
        if request.method == "tools/call" and self._schemas_with_fields:
            name = request.plain.get("name")
            if isinstance(name, str) and (schema := self._schemas_with_fields.get(name)) is not None:
                check_argument_fields(request, head.mcp_fields, schema)

    # --- the other methods ---

    async def _resume(self, scope: HTTPScope, head: HttpHead, exchange: HttpExchange) -> None:
        caller = await self._host.caller_of(scope)
        if not head.accepted.events:
            await _refuse(exchange, 406, "Accept: it must allow text/event-stream")
            return
        resume = McpResume(
            last_event_id=head.last_event_id or "",
            version=head.handshake_version,
            session=head.session,
            caller=caller,
        )
        try:
            await exchange.finish(200, await self._endpoint.resume(resume, exchange))
        except NoAnswer as end:
            if exchange.has_begun or end.retry_seconds is not None:
                await exchange.break_off(end.retry_seconds)
            else:  # the client has all of it: 204 says to come no more (HTML, 9.2.3, Processing model)
                await exchange.finish_without_frame(204)
        except JobNotFoundError:
            await _refuse(exchange, 404, "Last-Event-ID: there is no such stream")

    async def _refuse_method(self, scope: HTTPScope, exchange: HttpExchange) -> None:
        if scope["method"] == "OPTIONS":
            exchange.add_field(*_OPTIONS)
            await exchange.finish_without_frame(204)
            return
        await self._host.caller_of(scope)
        exchange.add_field(*_ALLOW)
        await _refuse(
            exchange,
            405,
            "there are no sessions here, and nothing is sent that was not asked for: POST is for messages, and GET "
            "with Last-Event-ID resumes a stream",
        )


async def _refuse(exchange: HttpExchange, status: int, message: str) -> None:
    await exchange.finish(status, error_frame(None, McpError(INVALID_REQUEST, message)))
