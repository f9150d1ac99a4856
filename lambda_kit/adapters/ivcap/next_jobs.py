"""Asks the platform for the next job of a batch service: ``GET /next_job``."""

import asyncio
import logging
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from lambda_kit.adapters.ivcap.http_client import new_client
from lambda_kit.core.runtime.own_calls import own_calls

__all__ = ["HandedOut", "NextJobs", "NoSidecarError", "pauses", "wait"]

logger = logging.getLogger("lambda_kit.batch")

_TIMEOUT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_BYTES_PER_SECOND = 1_000_000
"""An answer may take so long as a whole, and a second more for each megabyte that has come."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 8.0
_NO_CONTENT = 204


class NoSidecarError(Exception):
    """Nobody has handed out a job, for so long that it was given up; says why."""


class HandedOut(msgspec.Struct, frozen=True):
    """What ``next_job`` has answered."""

    body: bytes
    authorization: str | None = None
    """The ``Authorization`` of the job."""
    traceparent: str | None = None
    tracestate: str | None = None

    def __repr__(self) -> str:
        return f"HandedOut({len(self.body)} bytes)"  # the rest may be secret


class NextJobs:
    """Asks for jobs, one at a time. An asynchronous context manager.

    Nothing of a job goes with the calls (`new_client`).

    Args:
        base_url: What ``$IVCAP_BASE_URL`` says.
        wait_seconds: For how long a sidecar that can't be reached, or has answered with an error, is asked again.
        max_bytes: An answer that is larger counts as an error: it may have no end.
    """

    def __init__(self, base_url: str, *, wait_seconds: float, max_bytes: int = 256 * 1024 * 1024) -> None:
        self.url = f"{base_url.rstrip('/')}/next_job"
        self.wait_seconds = wait_seconds
        self._max_bytes = max_bytes
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        self._client = await new_client(self.url, httpx.Timeout(_TIMEOUT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, stopping: asyncio.Event) -> HandedOut | None:
        """Wait for the next job. A question that is under way is never broken off: its answer may be a job.

        Args:
            stopping: When it is set, nothing is asked any more.

        Returns:
            What was handed out. None: nothing was, before `stopping` was set.

        Raises:
            NoSidecarError: if there was no answer, or only errors, for `wait_seconds`.
        """
        more_pauses, since = pauses(), None
        while not stopping.is_set():
            trouble = await self._ask_once()
            if isinstance(trouble, HandedOut):
                if since is not None:
                    logger.info("%s answers again", self.url)
                return trouble
            now = time.monotonic()
            if trouble is None:  # it has none now
                since, pause_seconds = None, next(more_pauses)
            else:
                since = now if since is None else since
                left_seconds = self.wait_seconds - (now - since)
                if left_seconds <= 0:
                    raise NoSidecarError(f"{self.url} has handed out no job for {now - since:.0f} s: {trouble}")
                pause_seconds = min(next(more_pauses), left_seconds)
                logger.warning("no job from %s: %s; asking again in %.1f s", self.url, trouble, pause_seconds)
            await wait(stopping, pause_seconds)
        return None

    async def _ask_once(self) -> HandedOut | str | None:
        """What was handed out; why nothing was, in words; or None, where there is no job now."""
        client = self._client
        if client is None:
            raise RuntimeError("NextJobs is used as 'async with NextJobs(...) as jobs'")
        try:
            async with asyncio.timeout(_ANSWER_SECONDS) as bound:
                with own_calls():
                    answer = await client.send(client.build_request("GET", self.url), stream=True)
                try:
                    body = await self._read(answer, bound)
                finally:
                    await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}".rstrip(": ")
        except TimeoutError:
            return "its answer has not ended in time"
        if answer.status_code == _NO_CONTENT:
            return None
        if not answer.is_success:
            return f"it answered {answer.status_code} {answer.reason_phrase}".rstrip()
        if body is None:
            return f"its answer has more than {self._max_bytes} bytes, and was not read to its end"
        headers: Any = answer.headers
        return HandedOut(body, headers.get("authorization"), headers.get("traceparent"), headers.get("tracestate"))

    async def _read(self, answer: httpx.Response, bound: asyncio.Timeout) -> bytes | None:
        """The body of an answer that may be a job. None: it is too large."""
        if not answer.is_success:
            return b""
        began, body = asyncio.get_running_loop().time(), bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > self._max_bytes:
                return None
            bound.reschedule(began + _ANSWER_SECONDS + len(body) / _BYTES_PER_SECOND)
        return bytes(body)


def pauses() -> Iterator[float]:
    """The pauses between questions: 1, 2, 4, 8, 8, ... seconds."""
    pause_seconds = _FIRST_PAUSE_SECONDS
    while True:
        yield pause_seconds
        pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
