"""Keeps the cyclic garbage collector from looking at what is just being made."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_paused"]


class _Pauses:
    """How many blocks last now; there is one collector, for all of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._was_on = False

    def begin(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._was_on = gc.isenabled()
                gc.disable()

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0 and self._was_on:
                gc.enable()


_pauses = _Pauses()


@contextmanager
def collector_paused() -> Iterator[None]:
    """While any such block lasts, on whatever thread, garbage is not collected by itself. No effect if it is off.

    For who makes millions of objects in one call that holds the interpreter, such as a decoder: Python looks through
    those that are there again and again meanwhile, which takes five times as long as to make them.
    """
    _pauses.begin()
    try:
        yield
    finally:
        _pauses.end()
