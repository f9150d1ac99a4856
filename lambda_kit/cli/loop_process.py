"""A process that runs jobs on an event loop, and serves no port: its signals and its end."""

import asyncio
import contextlib
import logging
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType

from lambda_kit.cli.forked_children import leave_to_children
from lambda_kit.cli.process_end import LastResort, bound_exit, end_at_once, run_to_end
from lambda_kit.cli.stop_bounds import StopBounds

__all__ = ["LoopProcess"]

_FAILED = 1


class LoopProcess(ABC):
    """Runs `main` on an event loop of its own. A second signal ends the process at once.

    Args:
        bounds: How long the end may take.
    """

    signals: Sequence[int] = (signal.SIGTERM, signal.SIGINT)
    """Those that begin the end."""

    def __init__(self, bounds: StopBounds) -> None:
        self.bounds = bounds
        self.last_resort = LastResort()
        self.signalled: int | None = None
        """The first signal that came. None: there was none."""
        self._loop: asyncio.AbstractEventLoop | None = None

    @abstractmethod
    async def main(self) -> int:
        """Do the work; returns the exit code."""

    @abstractmethod
    def on_signal(self, sig: int) -> None:
        """Begin the end: the first signal has come. Called on the event loop."""

    def run(self) -> int:
        """Run it to its end; returns the exit code."""
        code = _FAILED
        logging.raiseExceptions = False  # a tool that has closed stderr must not keep the service from stopping
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                main = self._loop.create_task(self._main())
                with contextlib.suppress(asyncio.CancelledError), _handling(self.signals, self.handle_exit):
                    run_to_end(self._loop, main)
                    code = main.result()
                # asyncio waits for what tools have left on the loop or in its thread pool, without a bound
                self.last_resort.end_within(self.bounds.leftovers_seconds, code)
        finally:
            self.last_resort.cancel()
            bound_exit(code, self.bounds.leftovers_seconds)
        return code

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end at the first signal; at the second, end."""
        del frame
        if self.signalled is not None:
            end_at_once(sig, self.bounds.last_words_seconds)
        self.signalled = sig
        if self._loop is not None:
            # on the loop: here, in the middle of anything, a lock that is needed may be held, that of a log handler
            self._loop.call_soon_threadsafe(self.on_signal, sig)

    def socket_descriptors(self) -> Iterable[int]:
        """It listens on nothing."""
        return ()

    async def _main(self) -> int:
        leave_to_children(self)
        return await self.main()


@contextlib.contextmanager
def _handling(signals: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have signals handled while the block lasts. Only the main thread can: elsewhere there are none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {sig: signal.signal(sig, handler) for sig in signals}
    try:
        yield
    finally:
        for sig, old in before.items():
            signal.signal(sig, old)
