"""From the events of a job to ``notifications/progress`` (MCP, Basic protocol, Utilities, Progress)."""

import math
import time
from typing import Any

import msgspec

from lambda_kit.adapters.mcp.messages import notification_frame
from lambda_kit.core.model.events import Event, EventKind
from lambda_kit.core.model.job import Progress

__all__ = ["Pace", "ProgressNote", "ProgressNotes"]

_HALF_WAY_SECONDS = 60.0
"""After so long without a number of the tool, half of the way to the next step is shown."""

_LATE_SECONDS = 1.0
"""An event can be read so much later than it happened, by the next stream too: "still running" leaves it room."""

_PERCENT = 100


class ProgressNote(msgspec.Struct, frozen=True):
    """What a client is told of a job's progress."""

    value: int | float
    text: str | None
    event: int | None
    """The number of the event in the job's log. None: it is of no event."""


class ProgressNotes:
    """Makes the notifications of one call. Their numbers increase with each (a MUST of all versions).

    What the tool says is passed on as it is, where it is more than what was said before. What has no number, as the
    events of `ctx.report` and "still running", goes a part of the way to the next step of the tool, by the time that
    has gone by since its last number: so it never reaches that step, and a stream that is resumed, at any replica, goes
    on where it was.

    Args:
        token: The progress token, as it was sent.
        has_text: Whether the version of the client knows ``message`` (2025-03-26 and later).
        began_at: When the job was requested, in seconds since the epoch.
        heartbeat_seconds: How long it is between two "still running".
        is_resumed: Whether the client may have heard "still running" in a stream before this one.
    """

    def __init__(
        self, token: bytes, *, has_text: bool, began_at: float, heartbeat_seconds: float, is_resumed: bool = False
    ) -> None:
        self._token = msgspec.Raw(token)
        self._has_text = has_text
        self._said: int | float = 0
        self._said_at = began_at
        self._said_here = time.monotonic()
        self._total: int | float | None = None
        self._sent: int | float = -math.inf
        self._is_resumed = is_resumed
        self._late_seconds = min(_LATE_SECONDS, heartbeat_seconds / 2)

    def begin_with(self, progress: Progress | None) -> ProgressNote | None:
        """What the tool has said up to now, where its events are not read from the first on."""
        return None if progress is None else self._number(progress, time.time(), None)

    def of(self, event: Event) -> ProgressNote | None:
        """What an event of the job's log says. None: nothing of its progress."""
        if event.kind is not EventKind.REPORT:
            return None
        body: dict[str, Any] = msgspec.json.decode(event.body)
        options = body.get("options")
        options = options if isinstance(options, dict) else {}
        if body.get("name") == "progress" and (progress := _progress_in(options)) is not None:
            return self._number(progress, event.timestamp, event.seq)
        return ProgressNote(self._between(event.timestamp), _text_of(event.schema, body, options), event.seq)

    def heartbeat(self, text: str) -> ProgressNote:
        """What is said while the tool is silent."""
        return ProgressNote(self._between(time.time(), self._late_seconds), text, None)

    def skip(self, note: ProgressNote) -> None:
        """Take a note for sent: the client has it."""
        self._sent = max(self._sent, note.value)

    def frame(self, note: ProgressNote) -> bytes | None:
        """The notification. None: it is held back, since its number is not higher than the last one that was sent."""
        if not note.value > self._sent:
            return None
        self._sent = note.value
        params: dict[str, Any] = {"progressToken": self._token, "progress": note.value}
        if self._total is not None and self._total >= note.value:
            params["total"] = self._total
        if note.text and self._has_text:
            params["message"] = note.text
        return notification_frame("notifications/progress", msgspec.json.encode(params))

    def _number(self, progress: Progress, timestamp: float, seq: int | None) -> ProgressNote:
        if self._is_resumed:  # of steps that are parts of one, what was heard before may be beyond the next one
            self._sent = max(self._sent, self._between(timestamp))
        self._said, self._said_at, self._said_here = progress.done, timestamp, time.monotonic()
        self._total = progress.total
        return ProgressNote(progress.done, progress.message, seq)

    def _between(self, now: float, late_seconds: float = 0.0) -> int | float:
        """A number behind the tool's last one and ahead of its next step. Where there is none: the last one.

        Args:
            now: What it is for, in seconds since the epoch.
            late_seconds: It leaves room for what has happened within so long before.
        """
        seconds = now - self._said_at
        if seconds <= 0:  # the clocks of two machines differ
            seconds = time.monotonic() - self._said_here
        seconds = max(seconds - late_seconds, seconds / 2)
        following = self._next_step()
        value = self._said + (following - self._said) * seconds / (seconds + _HALF_WAY_SECONDS)
        return value if self._said < value < following else self._said

    def _next_step(self) -> float:
        if self._total is not None and 0 < self._total <= 1:  # it is counted in parts of one
            return self._said + self._total / _PERCENT
        return math.floor(self._said) + 1.0


def _progress_in(options: dict[str, Any]) -> Progress | None:
    try:
        return msgspec.convert(options, Progress)
    except msgspec.ValidationError:
        return None


def _text_of(schema: str, body: dict[str, Any], options: dict[str, Any]) -> str | None:
    """An event as a line for people. What an exception says stays here: it is the tool's own business."""
    if "error" in body:
        context = body.get("context")
        if not body.get("stacktrace"):
            return f"{context}: {body['error']}" if context else str(body["error"])
        return f"{context}: failed" if context else "an error"
    name = body.get("name")
    if not isinstance(name, str):
        return None
    if (message := options.get("message")) and isinstance(message, str):
        return message
    if schema.endswith("step.start.1"):
        return f"{name}: started"
    return f"{name}: finished" if schema.endswith("step.finish.1") else name


class Pace:
    """How quickly notifications follow each other: some at once, then one in each interval.

    Args:
        at_once: So many may go at once.
        interval_seconds: After so long, one more may.
    """

    def __init__(self, at_once: int = 10, interval_seconds: float = 0.1) -> None:
        self._at_once = at_once
        self.interval_seconds = interval_seconds
        self._left: float = at_once
        self._looked_at = time.monotonic()

    def take(self) -> bool:
        """Whether one may go now. Then it is counted."""
        now = time.monotonic()
        self._left = min(self._at_once, self._left + (now - self._looked_at) / self.interval_seconds)
        self._looked_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
