"""Reads Server-Sent Events as the standard's clients do, byte by byte: nothing is mended on the way."""

import contextlib
import json
import re
import time
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import httpx

__all__ = ["Frame", "follow", "frames", "read_all"]

_FRAME = re.compile(rb"id: (\d+)\nevent: ([a-z.]+)\ndata: ([^\r\n]+)")
_SECONDS = 60.0


class Frame(NamedTuple):
    """One event, or a comment: then `kind` is empty."""

    number: int
    kind: str
    envelope: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """What the event says."""
        data: dict[str, Any] = self.envelope["data"]
        return data


def frames(answer: httpx.Response, *, comments: bool = False) -> Iterator[Frame]:
    """The events of an open stream, as they come; each must have the one form."""
    waiting = b""
    deadline = time.monotonic() + _SECONDS
    for piece in answer.iter_raw():
        assert time.monotonic() < deadline, "the stream goes on and on"
        waiting += piece
        *complete, waiting = waiting.split(b"\n\n")
        for text in complete:
            if text.startswith(b":"):
                assert b"\n" not in text
                if comments:
                    yield Frame(0, "", {})
                continue
            match = _FRAME.fullmatch(text)
            assert match, text
            yield Frame(int(match[1]), match[2].decode(), json.loads(match[3]))
    assert waiting == b"", "the stream ended within an event"


@contextlib.contextmanager
def follow(url: str, place: str, headers: dict[str, str] | None = None) -> Generator[httpx.Response]:
    """Open a stream on a connection of its own; it is closed when the block is left."""
    with (
        httpx.Client(base_url=url, timeout=_SECONDS) as client,
        client.stream("GET", place, headers=headers) as answer,
    ):
        if answer.status_code != 200:
            answer.read()
        yield answer


def read_all(url: str, job_id: str, after: int | None = None) -> list[Frame]:
    """All events of a job from there on, until the stream is closed."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    with follow(url, f"/jobs/{job_id}/events", headers) as answer:
        assert answer.status_code == 200, answer.text
        return list(frames(answer))
