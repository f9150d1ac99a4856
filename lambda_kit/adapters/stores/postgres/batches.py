"""How `PostgresJobStore` writes: what many callers ask for at once is done by one statement, in one commit."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lambda_kit.core.errors import PayloadTooLargeError, UnavailableError

if TYPE_CHECKING:
    from lambda_kit.adapters.stores.postgres.database import Database, Row

__all__ = ["Batches", "Item"]

_MOST_UNDER_WAY = 4  # the others gather meanwhile: fewer and larger statements take less of everybody's time
_MOST_ITEMS = 100
_SMALL_BYTES = 64 * 1024  # what is larger goes alone, so that nobody waits for it


class Item:
    """What one caller asks for.

    Args:
        key: No two items of one statement have the same. It is in the row of the answer, as `Batches.key`.
        values: Of the statement's columns.
        events: Numbers and bytes of what is appended to the job's log.
        size: How many bytes that are, roughly.
    """

    __slots__ = ("events", "future", "job_id", "key", "size", "values")

    def __init__(
        self, key: object, job_id: str, values: Sequence[Any], events: Sequence[tuple[int, bytes]], body_size: int = 0
    ) -> None:
        self.key = key
        self.job_id = job_id
        self.values = values
        self.events = events
        self.size = body_size + sum(len(event) for _, event in events)
        self.future: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()


class Batches:
    """The calls of one statement, which takes arrays: one for each column, and three for the events.

    Args:
        database: Where.
        sql: The statement. Its rows answer the items that were done.
        key: The column that says which item a row answers.
        on_doubt: Called with the job of each item whose caller has left before the answer came.
        answer_size: How many bytes an answer may have.
    """

    def __init__(
        self, database: "Database", sql: str, *, key: str, on_doubt: Callable[[str], None], answer_size: int = 0
    ) -> None:
        self._database = database
        self._sql = sql
        self._key = key
        self._on_doubt = on_doubt
        self._answer_size = answer_size
        self._waiting: deque[Item] = deque()
        self._is_scheduled = False
        self._under_way: set[asyncio.Task[None]] = set()
        self._alone: set[asyncio.Task[None]] = set()

    async def do(self, item: Item) -> "Row | None":
        """Do what an item asks for; returns its row of the answer. None: it was not done.

        Raises:
            PayloadTooLargeError: if the database can't keep so much in one piece.
            UnavailableError: if the database can't be reached. Whether it was done is not known then.
        """
        if item.size > _SMALL_BYTES:
            task = asyncio.get_running_loop().create_task(self._exchange([item]))
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)
        else:
            self._waiting.append(item)
            self._send_soon()
        return await item.future

    async def close(self) -> None:
        """Wait until what is under way has ended: the database is closed."""
        while tasks := self._under_way | self._alone:
            await asyncio.wait(tasks)

    def _send_soon(self) -> None:
        """With what else comes in this turn of the event loop."""
        if not self._is_scheduled and len(self._under_way) < _MOST_UNDER_WAY:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._is_scheduled = False
        if self._waiting:
            task = asyncio.get_running_loop().create_task(self._exchange(self._next_items()))
            self._under_way.add(task)
            task.add_done_callback(self._has_ended)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._waiting:
            self._send_soon()

    def _next_items(self) -> list[Item]:
        items: dict[object, Item] = {}
        later: list[Item] = []
        size = 0
        while self._waiting and len(items) < _MOST_ITEMS and size <= _SMALL_BYTES * 4:
            item = self._waiting.popleft()
            if item.key in items:
                later.append(item)
            else:
                items[item.key] = item
                size += item.size
        self._waiting.extendleft(reversed(later))
        return list(items.values())

    async def _exchange(self, items: Sequence[Item]) -> None:
        try:
            rows = await self._database.rows(
                self._sql, *_arrays(items), body_size=sum(item.size for item in items) + self._answer_size
            )
        except (UnavailableError, PayloadTooLargeError) as error:
            for item in items:
                if not item.future.done():
                    item.future.set_exception(error)
                else:
                    self._on_doubt(item.job_id)
        except Exception as error:  # noqa: BLE001 - it is passed on, whatever it is
            if len(items) > 1:  # one of them has something that the database does not take: only that one fails
                for item in items:
                    await self._exchange([item])
            elif not items[0].future.done():
                items[0].future.set_exception(error)
        else:
            answers = {row[self._key]: row for row in rows}
            for item in items:
                if not item.future.done():
                    item.future.set_result(answers.get(item.key))
                else:
                    self._on_doubt(item.job_id)


def _arrays(items: Sequence[Item]) -> list[Sequence[Any]]:
    events = [(n, *event) for n, item in enumerate(items, 1) for event in item.events]
    columns: list[Sequence[Any]] = [*zip(*(item.values for item in items), strict=True)]
    return [*columns, *(zip(*events, strict=True) if events else ((), (), ()))]
