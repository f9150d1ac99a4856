"""``subscriptions/listen``: a standing stream on which a client of 2026-07-28 is told how its tasks go on.

MCP 2026-07-28, Subscriptions; SEP-2663, Task Status Notifications. Nothing else that a client can ask for ever changes
while a server runs, its list of tools among it: the acknowledgement names what is heard of.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from mcp_types.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST

from lambda_kit.adapters.mcp.exchange import COMMENT_SECONDS, Exchange
from lambda_kit.adapters.mcp.feature import Feature
from lambda_kit.adapters.mcp.messages import McpError, notification_frame
from lambda_kit.adapters.mcp.request import McpRequest
from lambda_kit.adapters.mcp.tasks import TaskReader, require_tasks
from lambda_kit.core.errors import JobNotFoundError, UnavailableError

__all__ = ["Listening"]

_SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"

_MOST_STREAMS = 1000
_MOST_STREAMS_OF_ONE = 100
"""Of one principal; without an authenticator of one address, which can be that of a proxy."""
_MOST_TASKS = 100
"""That are followed on one stream; the acknowledgement leaves out the others."""
_PAUSE_SECONDS = 0.5
"""Between two looks at tasks that change all the time, and before a store that was away is asked again."""


class _Filter(msgspec.Struct, rename="camel"):
    task_ids: list[str] = []


class _Params(msgspec.Struct):
    notifications: _Filter


_decoder = msgspec.json.Decoder(_Params)


class Listening(Feature):
    """Answers ``subscriptions/listen``.

    Args:
        tasks: Reads them.
    """

    def __init__(self, tasks: TaskReader) -> None:
        self._tasks = tasks
        self._streams: set[_Stream] = set()
        self._counts: Counter[str] = Counter()
        self._is_closed = False
        self.handlers = {"subscriptions/listen": self.listen}

    async def start(self) -> None:
        """Let streams stand: the server may have stopped before."""
        self._is_closed = False

    async def drained(self) -> None:
        """End all streams, and from now on each one when it has begun: the server stops."""
        self._is_closed = True
        for stream in self._streams:
            stream.close()

    async def listen(self, request: McpRequest, exchange: Exchange) -> bytes:
        """Tell of tasks until the client leaves or the server stops; then the subscription has ended in good order."""
        try:
            wanted = _decoder.decode(request.params).notifications.task_ids
        except msgspec.ValidationError as error:
            raise McpError(INVALID_PARAMS, f"params: {error}") from None
        if wanted:
            require_tasks(request)
        if not exchange.can_stream:
            raise McpError(INVALID_REQUEST, "the answer is an event stream: add text/event-stream to Accept")
        with self._counted(request):
            stream = _Stream(self._tasks, request, exchange)
            self._streams.add(stream)
            if self._is_closed:
                stream.close()
            try:
                await stream.run(wanted)
            finally:
                self._streams.discard(stream)
        return msgspec.json.encode({"resultType": "complete", "_meta": stream.meta})

    @contextlib.contextmanager
    def _counted(self, request: McpRequest) -> Iterator[None]:
        caller = request.caller
        if caller.principal is not None:
            key = f"principal {caller.principal.id}"
        else:
            address = None if caller.request_info is None else caller.request_info.client
            key = "address " + (address[0] if address else "")
        if self._counts.total() >= _MOST_STREAMS or self._counts[key] >= _MOST_STREAMS_OF_ONE:
            raise McpError(INTERNAL_ERROR, "too many subscriptions are open: end one, or name more tasks in one")
        self._counts[key] += 1
        try:
            yield
        finally:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]


class _Stream:
    """One subscription."""

    def __init__(self, tasks: TaskReader, request: McpRequest, exchange: Exchange) -> None:
        self._tasks = tasks
        self._request = request
        self._exchange = exchange
        self._news = asyncio.Event()
        self._is_closed = False
        self._changed: dict[str, None] = {}
        self._told: dict[str, tuple[str, Any]] = {}  # of each task that has not ended: what the client knows
        self.meta: Mapping[str, Any] = {_SUBSCRIPTION_ID: msgspec.Raw(request.id)}

    def close(self) -> None:
        """End it soon."""
        self._is_closed = True
        self._news.set()

    async def run(self, wanted: Iterable[str]) -> None:
        """Acknowledge it, tell how the tasks are, and then how they go on."""
        self._exchange.watch()
        gone = asyncio.ensure_future(self._exchange.gone.wait())
        gone.add_done_callback(lambda _: self.close())
        try:
            agreed = await self._agreed(wanted)
            unsubscribe = self._request.caller.jobs.subscribe_many(agreed, self._note)
            try:
                await self._notify(
                    "notifications/subscriptions/acknowledged", {"notifications": {"taskIds": agreed} if agreed else {}}
                )
                for task_id in agreed:  # it may have ended before
                    self._note(task_id)
                await self._tell()
            finally:
                unsubscribe()
        finally:
            gone.cancel()

    async def _agreed(self, wanted: Iterable[str]) -> list[str]:
        """Those of the tasks that there are for this client."""
        agreed: list[str] = []
        for task_id in dict.fromkeys(wanted):
            if len(agreed) >= _MOST_TASKS:
                break
            try:
                await self._tasks.find(self._request, task_id)
            except JobNotFoundError:
                continue
            except UnavailableError as error:
                wait = f"{error.retry_after_seconds:g}"
                raise McpError(INTERNAL_ERROR, f"the tasks can't be read now: try again in {wait} s") from None
            agreed.append(task_id)
        return agreed

    def _note(self, task_id: str) -> None:
        self._changed[task_id] = None
        self._news.set()

    async def _tell(self) -> None:
        while not self._is_closed:
            try:
                async with asyncio.timeout(COMMENT_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                await self._exchange.keep_alive()
                continue
            self._news.clear()
            changed, self._changed = self._changed, {}
            for task_id in changed:
                await self._tell_of(task_id)
            if changed and not self._is_closed:
                await asyncio.sleep(_PAUSE_SECONDS)  # changes in quick succession are one notification

    async def _tell_of(self, task_id: str) -> None:
        try:
            task = await self._tasks.read(self._request, task_id)
        except JobNotFoundError:  # it has expired
            return
        except UnavailableError:
            self._note(task_id)
            return
        known = (task.status, task.fields.get("statusMessage"))
        if self._told.get(task_id) != known:
            self._told[task_id] = known
            await self._notify("notifications/tasks", task.fields)

    async def _notify(self, method: str, params: Mapping[str, Any]) -> None:
        await self._exchange.notify(notification_frame(method, msgspec.json.encode({"_meta": self.meta, **params})))
