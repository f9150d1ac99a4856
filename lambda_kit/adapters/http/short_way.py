"""The short way between an ASGI server and an app: a body, or an answer, that is there as a whole is passed at once.

ASGI passes both in messages, each by a coroutine. The objects whose methods `receive` and `send` are may have methods
beside them that do the same in one call: our own server has them (`lambda_kit.cli.http_cycle`), and `Finish`. Where
anything has wrapped `receive` or `send`, there is no short way.
"""

from collections.abc import Sequence
from typing import Any

__all__ = ["send_whole", "take_body"]


def take_body(receive: Any) -> bytes | None:
    """The whole body of a request, in place of all calls of `receive` for it.

    Returns:
        None if there is no short way, or the body is not all there: nothing was done.
    """
    take = getattr(getattr(receive, "__self__", None), "take_body", None)
    return None if take is None else take()


def send_whole(send: Any, status: int, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
    """Send a whole answer, in place of both calls of `send` for it.

    Args:
        send: Of the request.
        status: Of the answer.
        fields: Its header fields, with ``content-length`` where the status allows one.
        body: All of its body.

    Returns:
        False if there is no short way, or anything is odd: nothing was done.
    """
    whole = getattr(getattr(send, "__self__", send), "send_whole", None)
    return whole is not None and whole(status, fields, body)
