"""Marks the HTTP calls that lambda_kit makes for itself: they are no calls of a tool, whatever context they run in."""

import contextlib
import contextvars
from collections.abc import Iterator

__all__ = ["is_own_call", "own_calls"]

_is_own: contextvars.ContextVar[bool] = contextvars.ContextVar("lambda_kit_own_calls", default=False)


@contextlib.contextmanager
def own_calls() -> Iterator[None]:
    """While the block lasts, calls are sent as they are: no header of a job is added, and no proxy put in between."""
    token = _is_own.set(True)
    try:
        yield
    finally:
        _is_own.reset(token)


def is_own_call() -> bool:
    """Whether the calling code is in `own_calls`."""
    return _is_own.get()
