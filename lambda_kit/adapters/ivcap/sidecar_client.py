"""`SidecarClient`: the calls of the sidecar, over a pool of connections of its own."""

import asyncio
import math
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from lambda_kit.adapters.ivcap.http_client import new_client
from lambda_kit.adapters.ivcap.sidecar_times import SidecarTimes
from lambda_kit.core.runtime.own_calls import own_calls

__all__ = ["Answer", "Fields", "NoAnswerError", "NoConnectionError", "SidecarClient", "retry_after_seconds"]

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields."""

_MOST_CONNECTIONS, _MOST_IDLE_CONNECTIONS = 256, 32
_TEXT_BYTES = 2048
"""How much of an answer is read: its text is for the log."""
_BYTES_PER_SECOND = 1_000_000
"""What is sent more slowly counts as not answered."""


class NoConnectionError(Exception):
    """There is no connection to the sidecar: nothing was sent."""


class NoAnswerError(Exception):
    """The call was sent, as far as one can tell, and was not answered.

    Args:
        message: Why.
        is_time_out: Whether the time was up. False: the connection broke.
    """

    def __init__(self, message: str, *, is_time_out: bool) -> None:
        super().__init__(message)
        self.is_time_out = is_time_out


class Answer(msgspec.Struct, frozen=True):
    """What the sidecar has answered."""

    status: int
    text: str
    """How its body begins, in one line."""
    retry_after_seconds: float | None
    """What ``Retry-After`` says. None: it is missing, or says nothing that can be understood."""

    @property
    def is_delivered(self) -> bool:
        """Whether the sidecar has taken what was sent."""
        return 200 <= self.status < 300

    @property
    def is_final_refusal(self) -> bool:
        """Whether it would be answered in the same way again."""
        return 400 <= self.status < 500 and self.status not in (408, 429)

    def __str__(self) -> str:
        return f"it answered {self.status}{': ' if self.text else ''}{self.text}"


class SidecarClient:
    """Makes calls of the sidecar, with a client of its own (`new_client`).

    Args:
        base_url: The sidecar's URL, without a slash at its end.
        times: How long a call may take.
    """

    def __init__(self, base_url: str, times: SidecarTimes) -> None:
        self.base_url = base_url
        self._times = times
        self._client: httpx.AsyncClient | None = None
        self._event_seconds = times.answer
        self._event_bounds: set[asyncio.Timeout] = set()

    async def open(self) -> None:
        """Get ready to call, on the running event loop."""
        self._event_seconds = self._times.answer
        self._client = await new_client(
            self.base_url,
            httpx.Timeout(self._times.answer, connect=self._times.connect),
            most_connections=_MOST_CONNECTIONS,
            most_idle_connections=_MOST_IDLE_CONNECTIONS,
        )

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def hurry(self) -> None:
        """Wait less for answers to events, also to those that are under way (`SidecarTimes.stop`)."""
        self._event_seconds = min(self._times.stop, self._times.answer)
        latest = asyncio.get_running_loop().time() + self._event_seconds
        for bound in self._event_bounds:
            if not bound.expired() and (bound.when() or latest) > latest:
                bound.reschedule(latest)

    async def post(self, path: str, content: bytes, fields: Fields, *, is_event: bool = False) -> Answer:
        """Send a POST.

        Args:
            path: Where.
            content: What.
            fields: Its header fields.
            is_event: Whether it is an event: no more than that is lost if it is not answered.

        Raises:
            NoConnectionError: if there is no connection.
            NoAnswerError: if it was not answered in time, or the connection broke.
            httpx.LocalProtocolError: if the fields can't be sent.
            httpx.InvalidURL: if the path can't be.
        """
        if self._client is None:
            raise NoConnectionError("the client is closed")
        response: httpx.Response | None = None
        text = ""
        answer_seconds = self._event_seconds if is_event else self._times.answer
        bound = asyncio.timeout(answer_seconds + len(content) / _BYTES_PER_SECOND)
        if is_event:
            self._event_bounds.add(bound)
        try:
            async with bound:
                request = self._client.build_request(
                    "POST", self.base_url + path, content=content, headers=list(fields)
                )
                with own_calls():  # it may run in the context of any job
                    response = await self._client.send(request, stream=True)
                try:
                    text = await _beginning(response)
                finally:
                    await response.aclose()
        except (httpx.TransportError, TimeoutError) as error:
            if response is None or not response.is_success:  # else it was taken, though its answer has no end
                raise _failure(error, answer_seconds) from None
        finally:
            self._event_bounds.discard(bound)
        retry_after = response.headers.get("retry-after")
        return Answer(response.status_code, text, None if retry_after is None else retry_after_seconds(retry_after))


async def _beginning(response: httpx.Response) -> str:
    """How the body begins. The rest is not read: then the connection is not used again."""
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) >= _TEXT_BYTES:
            break
    return " ".join(body[:_TEXT_BYTES].decode(errors="replace").split())


def retry_after_seconds(value: str) -> float | None:
    """What ``Retry-After`` says: seconds, or a date (RFC 9110, 10.2.3), in seconds from now. None: it is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])  # an int of any length would be slow to read
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _failure(error: httpx.TransportError | TimeoutError, answer_seconds: float) -> Exception:
    """What is raised where a call has failed."""
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return NoConnectionError(_words(error))
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return NoAnswerError(f"it did not answer within {answer_seconds:g} s", is_time_out=True)
    if isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError)):
        return NoAnswerError(f"the connection broke: {_words(error)}", is_time_out=False)
    return error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
