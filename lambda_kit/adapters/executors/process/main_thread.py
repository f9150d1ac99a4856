"""`MainThread`: makes the calls of plain tools on the main thread of a worker process."""

from typing import Any

from lambda_kit.core.runtime.threads import DaemonPool

__all__ = ["MainThread"]


class MainThread(DaemonPool[Any]):
    """A pool of one thread: that which calls `work`. Calls are made one after the other.

    Some libraries want the main thread (signal handlers, some user interfaces), others always the same one (CUDA
    contexts, connections of sqlite3).
    """

    def __init__(self) -> None:
        super().__init__("lambda_kit-main")

    def work(self) -> None:
        """Make the calls, until this is closed."""
        self._work()

    def close(self) -> None:
        """End `work`, after the calls that were asked for before."""
        self._calls.put(None)

    def _start_thread(self) -> None:
        """It is there."""
