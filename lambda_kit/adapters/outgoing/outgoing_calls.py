"""`OutgoingCalls`: what tools call by HTTP, marked with the job that calls."""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from types import ModuleType
from typing import Any

from lambda_kit.adapters.outgoing.httpx_calls import SEND, wrap_async_send, wrap_send
from lambda_kit.adapters.outgoing.patch import ImportWatch, MethodPatch
from lambda_kit.adapters.outgoing.platform_hosts import Platform
from lambda_kit.core.ports.observer import JobObserver

__all__ = ["OutgoingCalls", "outgoing_calls"]

logger = logging.getLogger("lambda_kit.outgoing")


class OutgoingCalls(JobObserver):
    """Has the calls of tools marked in worker processes too; the server enters `outgoing_calls` itself."""

    def around_worker(self) -> AbstractContextManager[object]:
        return outgoing_calls()


@contextlib.contextmanager
def outgoing_calls() -> Iterator[None]:
    """While the block lasts, HTTP calls of tools carry what docs/platform-calls.md says, in this process.

    `requests`, `httpx` and `httpx2` are patched if they are imported, or once they are. Several servers of a process
    share the patches: the first enters them, the last takes them out again.
    """
    _patches.enter()
    try:
        yield
    finally:
        _patches.leave()


class _Patches:
    """The patches of this process."""

    def __init__(self) -> None:
        self._users = 0
        self._changing = threading.Lock()
        self._platform = Platform()
        self._patches: list[MethodPatch] = []
        self._watch: ImportWatch | None = None

    def enter(self) -> None:
        """Patch, unless somebody has; the environment is read again."""
        with self._changing:
            self._platform = Platform.of_environment()
            if not self._users and self._platform.proxy is None and os.environ.get("IVCAP_PROXY_URL", "").strip():
                # its value may hold a password
                logger.warning("$IVCAP_PROXY_URL is no URL such as http://proxy.local:8080: calls go without a proxy")
            self._users += 1
            if self._users == 1:
                watch = ImportWatch({"requests": self._requests, "httpx": self._httpx, "httpx2": self._httpx})
                self._watch = watch
                watch.start()

    def leave(self) -> None:
        """Undo the patches, unless somebody else needs them."""
        with self._changing:
            self._users -= 1
            if self._users == 0 and self._watch is not None:
                self._watch.stop()
                self._watch = None
                for patch in reversed(self._patches):
                    patch.undo()
                self._patches.clear()

    def _requests(self, module: ModuleType) -> None:
        # it imports requests, which is there now
        from lambda_kit.adapters.outgoing.requests_calls import wrap_adapter_send  # noqa: PLC0415

        self._patch(module.adapters.HTTPAdapter, "send", partial(wrap_adapter_send, self._where))

    def _httpx(self, module: ModuleType) -> None:
        self._patch(module.Client, SEND, partial(wrap_send, module, self._where))
        self._patch(module.AsyncClient, SEND, partial(wrap_async_send, module, self._where))

    def _patch(self, owner: type, name: str, wrap: Callable[[Any, Callable[[], bool]], Any]) -> None:
        self._patches.append(MethodPatch(owner, name, wrap))

    def _where(self) -> Platform:
        return self._platform


_patches = _Patches()
