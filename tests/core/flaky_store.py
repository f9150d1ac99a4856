"""A durable store whose connection is not to be relied on: calls fail, and answers of what was done are lost."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lambda_kit import SqliteJobStore
from lambda_kit.core.errors import UnavailableError
from lambda_kit.core.ports.store import Change, OnChange

__all__ = ["FlakyStore"]

_METHODS = (
    "create", "get", "find_by_key", "get_result", "claim", "renew", "finish", "release", "request_cancel",
    "reap", "heartbeat", "workers", "expire_worker", "adopt", "list_jobs", "append_events", "read_events",
    "acquire_slot", "release_slot", "register_sink", "undelivered", "read_delivery", "mark_delivered",
    "drop_undelivered", "purge",
)  # fmt: skip


class FlakyStore(SqliteJobStore):
    """Each of two servers opens one of its own, on the same file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.is_away = False
        """Whether nothing is done."""
        self.lost: Counter[str] = Counter()
        """How many answers of a method are lost yet, of what was done."""
        self.errors: dict[str, list[Exception | None]] = {}
        """What is raised by a method, one after the other, in place of doing anything. None: it is done."""
        self.calls: Counter[str] = Counter()
        self.delay_seconds = 0.0
        """How long each failure takes."""
        self.is_deaf = False
        """Whether changes are not told."""
        self._told: list[OnChange] = []
        for method in _METHODS:
            setattr(self, method, self._flaky(method))

    def _flaky(self, method: str) -> Any:
        original = getattr(self, method)

        async def call(*args: Any, **how: Any) -> Any:
            self.calls[method] += 1
            error = self.errors[method].pop(0) if self.errors.get(method) else None
            if error is not None:
                raise error
            if self.is_away:
                await asyncio.sleep(self.delay_seconds)
                raise UnavailableError("the store is away")
            answer = await original(*args, **how)
            if self.lost[method]:
                self.lost[method] -= 1
                raise UnavailableError("the answer was lost")
            return answer

        return call

    def subscribe(self, on_change: OnChange) -> Callable[[], None]:
        self._told.append(on_change)
        return super().subscribe(lambda change: None if self.is_deaf else on_change(change))

    def hear_again(self) -> None:
        """End the deafness, and say so."""
        self.is_deaf = False
        for on_change in self._told:
            on_change(Change(None))
