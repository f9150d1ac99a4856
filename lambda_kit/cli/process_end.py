"""How the process of a service ends: bounded, whatever tools have left in it."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from typing import Any, NoReturn

__all__ = ["SIGNAL_BASE", "LastResort", "bound_exit", "end_at_once", "end_by_force", "run_to_end"]

logger = logging.getLogger("lambda_kit.server")

SIGNAL_BASE = 128
"""A shell's exit code of a process that was ended by signal N is 128 + N."""


class LastResort:
    """Ends the process by force when it takes too long to end by itself."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def end_within(self, seconds: float, code: int) -> None:
        """End it after so many seconds, with this exit code. What was said before does not count any more."""
        self.cancel()
        self._timer = threading.Timer(seconds, end_by_force, (code,))
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Do not end it."""
        if self._timer is not None:
            self._timer.cancel()


def run_to_end(loop: asyncio.AbstractEventLoop, main: "asyncio.Task[Any]") -> None:
    """Run until the task has ended, also where a tool stops the event loop, or exits in a callback."""
    while not main.done():
        try:
            loop.run_until_complete(main)
        except (SystemExit, KeyboardInterrupt, RuntimeError) as error:
            if main.done() or loop.is_closed():
                raise
            logger.error("a tool has stopped the event loop; it goes on", exc_info=error)


def end_at_once(sig: int, last_words_seconds: float) -> NoReturn:
    """End the process now, with the exit code of the signal.

    Args:
        sig: The signal.
        last_words_seconds: How long logging that may take.
    """
    code = SIGNAL_BASE + sig
    try:
        # the log may be what hangs
        threading.Timer(last_words_seconds, os._exit, (code,)).start()
        logger.warning("%s again: ending at once, whatever still runs", signal.Signals(sig).name)
        _flush()
    finally:
        os._exit(code)


def end_by_force(code: int) -> None:
    """End the process now, whatever still runs in it, and say so. From any thread."""
    try:
        logger.warning("something that a tool or a part has left behind does not end: ending the process without it")
        _flush()
    finally:
        os._exit(code)


def bound_exit(code: int, leftovers_seconds: float) -> None:
    """Have the process end soon after the main program has: it waits for threads that tools have left, without a bound.

    `atexit` comes too late for that, after the wait; the hook before it, which `concurrent.futures` uses, has no public
    name.
    """
    is_ending = threading.Event()

    def watch() -> None:
        is_ending.wait()
        time.sleep(leftovers_seconds)
        end_by_force(code)

    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        threading.Thread(target=watch, name="lambda_kit exit", daemon=True).start()
        register(is_ending.set)


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
