"""Who blocks the event loop: a thread that names the tool and the line."""

import asyncio
import contextvars
import gc
import linecache
import logging
import sys
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any

from lambda_kit.core.runtime.running import running_job

__all__ = ["LoopWatchdog"]

logger = logging.getLogger("lambda_kit.watchdog")

# the frame that runs a tool on the loop, whose "self" knows the job: `ToolRun.run_async`
_RUN_MODULE, _RUN_NAME = "lambda_kit.core.tools.run", "ToolRun.run_async"
_SHOWN_CALLS = 6
_KNOWN_PLACES = 256
_JOIN_SECONDS = 2.0


class LoopWatchdog:
    """Warns when an event loop does not turn, and names the tool whose ``async def run`` blocks it, with the line.

    A thread asks the loop for a sign again and again, and looks at what the loop's thread does when none comes. One
    hold-up is one warning of the logger ``lambda_kit.watchdog``, and a line at INFO when it is over.

    Args:
        interval_seconds: How long after one sign the next is asked for.
        threshold_seconds: How long the loop may take to give it.
        repeat_seconds: For how long the same place is not warned about again; it is logged at DEBUG meanwhile.
    """

    def __init__(
        self, *, interval_seconds: float = 0.5, threshold_seconds: float = 1.0, repeat_seconds: float = 60.0
    ) -> None:
        self._interval_seconds = interval_seconds
        self._threshold_seconds = threshold_seconds
        self._repeat_seconds = repeat_seconds
        self._watch: _Watch | None = None

    def start(self) -> None:
        """Watch the running loop, and no other any more. To be called on it.

        Raises:
            RuntimeError: if no event loop runs in this thread.
        """
        loop = asyncio.get_running_loop()
        self.stop()
        self._watch = _Watch(loop, self._interval_seconds, self._threshold_seconds, _Repetitions(self._repeat_seconds))
        self._watch.start()

    def stop(self) -> None:
        """End the thread, from any thread. Where there is none: no effect."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()


class _Watch:
    """One loop, being watched by one thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, interval_seconds: float, threshold_seconds: float, seen: "_Repetitions"
    ) -> None:
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._interval_seconds = interval_seconds
        self._threshold_seconds = threshold_seconds
        self._seen = seen
        self._stopping = threading.Event()
        self._beat = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lambda_kit watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._beat.set()
        self._thread.join(_JOIN_SECONDS)  # a log handler may hang

    def _work(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            self._beat.clear()
            if self._stopping.is_set():  # in between: what woke `_beat` is cleared
                return
            try:
                self._loop.call_soon_threadsafe(self._beat.set)
            except RuntimeError:  # the loop is closed
                return
            seconds = self._wait_until_overdue()
            if seconds is not None:
                self._tell(seconds)

    def _wait_until_overdue(self) -> float | None:
        """How long the loop has been silent, in seconds. None if it gave its sign, or is closed."""
        while True:
            since, cpu_since = time.monotonic(), time.process_time()
            if self._beat.wait(self._threshold_seconds):
                return None
            seconds, cpu_seconds = time.monotonic() - since, time.process_time() - cpu_since
            if self._loop.is_closed():
                return None
            if not self._loop.is_running():  # between two runs it owes no sign
                continue
            late = seconds - self._threshold_seconds
            # This thread itself was held up. Where the process worked meanwhile, one call into C kept the interpreter's
            # lock; where not, the process was suspended, or got no processor, and the loop is to have another chance.
            if late > self._threshold_seconds / 2 and cpu_seconds < late / 2:
                continue
            return seconds

    def _tell(self, seconds: float) -> None:
        began = time.monotonic() - seconds
        finding = self._look()
        if finding is None or self._beat.is_set():  # the loop turned meanwhile: what was seen may be innocent
            return
        is_new, repeated = self._seen.note(finding.identity)
        logger.log(
            logging.WARNING if is_new else logging.DEBUG,
            "%s%s",
            finding.describe(seconds),
            f" It has happened there {repeated} more times since the last warning." if repeated else "",
        )
        while not self._beat.wait(self._threshold_seconds):
            if self._loop.is_closed():
                return
        if is_new and not self._stopping.is_set():
            logger.info("The event loop turns again, after %.1f s: %s", time.monotonic() - began, finding.culprit)

    def _look(self) -> "_Finding | None":
        try:
            return _find(self._loop, self._loop_thread)
        except (AttributeError, LookupError, RuntimeError) as error:  # the frames changed while they were looked at
            logger.debug("Could not see what blocks the event loop: %s", repr(error))  # its traceback holds frames
            return None


class _Repetitions:
    """Which places were warned about lately, and how often each was seen since."""

    def __init__(self, repeat_seconds: float) -> None:
        self._repeat_seconds = repeat_seconds
        self._places: dict[_Identity, tuple[float, int]] = {}

    def note(self, place: "_Identity") -> tuple[bool, int]:
        """Whether to warn about the place now, and how often it was seen since the last warning, before this time."""
        now = time.monotonic()
        warned_at, count = self._places.get(place, (None, 0))
        if warned_at is not None and now - warned_at < self._repeat_seconds:
            self._places[place] = (warned_at, count + 1)
            return False, 0
        self._places.pop(place, None)  # so that the dict is in the order of the warnings
        self._places[place] = (now, 0)
        if len(self._places) > _KNOWN_PLACES:
            del self._places[next(iter(self._places))]
        return True, count


@dataclass(frozen=True, slots=True)
class _Spot:
    """A line of code."""

    file: str
    line: int
    function: str

    @classmethod
    def of(cls, frame: FrameType) -> "_Spot":
        return cls(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname)

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"

    @property
    def with_source(self) -> str:
        source = linecache.getline(self.file, self.line).strip()
        return f"{self}: `{source}`" if source else str(self)


_Identity = tuple[str | None, tuple[_Spot, ...]]


@dataclass(frozen=True, slots=True)
class _Finding:
    """What the loop's thread was seen at. It holds no frame, which would keep what the frame's variables refer to."""

    calls: tuple[_Spot, ...]
    """From the tool's own code inwards; where no tool is known, from the loop's code inwards."""
    tool: str | None = None
    job_id: str | None = None
    is_tools_code: bool = False

    @property
    def place(self) -> _Spot:
        """Where it is to be mended."""
        return self.calls[0] if self.is_tools_code else self.calls[-1]

    @property
    def identity(self) -> _Identity:
        """The same for what is the same to the reader."""
        # tools may share the code; and the innermost line alone may be one that all wait in, of `threading` for example
        return self.tool, (self.place,) if self.is_tools_code else self.calls[-_SHOWN_CALLS:]

    @property
    def culprit(self) -> str:
        """Who did it, in short."""
        return str(self.place) if self.tool is None else f"tool '{self.tool}' in job {self.job_id}"

    def describe(self, seconds: float) -> str:
        """The warning."""
        if self.tool is None:
            return (
                f"The event loop has been blocked for {seconds:.1f} s, and no tool is known to do it: "
                f"{self.place.with_source}{self._callers()}. No request is answered meanwhile. "
                "Await an async library there, or asyncio.to_thread(...)."
            )
        where = "" if self.is_tools_code else " while its request is read or its result encoded"
        return (
            f"Tool '{self.tool}' has blocked the event loop for {seconds:.1f} s in job {self.job_id}{where}: "
            f"{self.place.with_source}{self._inner() if self.is_tools_code else self._callers()}. "
            "No request is answered meanwhile. "
            "Make it a plain 'def run', which runs on a thread, or await an async library or asyncio.to_thread(...)."
        )

    def _inner(self) -> str:
        if len(self.calls) == 1:
            return ""
        between = [str(call) for call in self.calls[1:-1][-_SHOWN_CALLS:]]
        return "; from there " + ", then ".join([*between, self.calls[-1].with_source])

    def _callers(self) -> str:
        callers = [str(call) for call in self.calls[:-1][-_SHOWN_CALLS:]]
        return "; called from " + ", from ".join(reversed(callers)) if callers else ""


def _find(loop: asyncio.AbstractEventLoop, thread_id: int) -> _Finding | None:
    frames = _frames_of(thread_id)
    if not frames:
        return None
    for depth, frame in enumerate(frames):
        if frame.f_code.co_qualname == _RUN_NAME and frame.f_globals.get("__name__") == _RUN_MODULE:
            run = frame.f_locals["self"]
            inside = frames[:depth] or [frame]
            is_tools_code = inside[-1].f_code.co_filename != frame.f_code.co_filename
            return _Finding(_spots(inside), run.tool.name, run.job_id, is_tools_code)
    return _find_by_task(asyncio.current_task(loop), frames)


def _find_by_task(task: "asyncio.Task[Any] | None", frames: list[FrameType]) -> _Finding:
    """A tool may have tasks of its own, from `asyncio.gather` for example: they have its context variables."""
    outermost = None if task is None else getattr(task.get_coro(), "cr_frame", None)
    if task is None or outermost not in frames:
        return _Finding(_spots(frames))
    inside = frames[: frames.index(outermost) + 1]
    context = _context_of(task)
    make = None if context is None else context.get(running_job)
    # what the framework itself starts while a tool calls it has these context variables too
    if make is None or str(outermost.f_globals.get("__name__")).startswith("lambda_kit."):
        return _Finding(_spots(inside))
    job = make()
    return _Finding(_spots(inside), job.tool, job.job_id, is_tools_code=True)


def _context_of(task: "asyncio.Task[Any]") -> contextvars.Context | None:
    if sys.version_info >= (3, 12):
        return task.get_context()
    # Python 3.11 has no call for it
    return next((it for it in gc.get_referents(task) if isinstance(it, contextvars.Context)), None)


def _frames_of(thread_id: int) -> list[FrameType]:
    """What a thread does now, innermost first."""
    frames = []
    frame = sys._current_frames().get(thread_id)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _spots(frames: list[FrameType]) -> tuple[_Spot, ...]:
    return tuple(_Spot.of(frame) for frame in reversed(frames))
