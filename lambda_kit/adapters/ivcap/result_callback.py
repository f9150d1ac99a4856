"""`ResultCallback`: calls what `ivcap_service.set_result_callback` was given."""

import contextlib
import logging
import queue
import threading
from collections.abc import Mapping
from typing import Any

import ivcap_service.ivcap
from ivcap_service import ExecutionError, IvcapResult

from lambda_kit.adapters.ivcap.sidecar_messages import execution_error, platform_content_type
from lambda_kit.core.model.job import Job, Payload
from lambda_kit.core.runtime.credentials import credentials_in_use
from lambda_kit.core.tools.results import decode_result

__all__ = ["ResultCallback"]

logger = logging.getLogger("lambda_kit.delivery")

_MOST_WAITING = 1000
"""How many results wait for a callback that is slow; further ones are dropped."""
_TEXTS = ("application/json", "text/plain; charset=utf-8")
"""What is passed as text, not as bytes: JSON, and what a tool returned as a ``str``."""

_Call = tuple[Job, Payload | None, str | None]


class ResultCallback:
    """Calls the callback for the end of each job, on a thread of its own, one after the other.

    It is called whether or not there is a sidecar, in the process that ran the job. What it raises is logged.

    Args:
        result_types: The return annotations of the tools, by name.
    """

    def __init__(self, result_types: Mapping[str, Any]) -> None:
        self._result_types = result_types
        self._calls: queue.Queue[_Call | None] = queue.Queue(_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._is_stopping = False

    def ended(self, job: Job, result: Payload | None, authorization: str | None) -> None:
        """A job has ended. Returns at once."""
        if ivcap_service.ivcap.result_callback is None or job.is_in_process:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="lambda_kit-result-callback", daemon=True)
            self._thread.start()
        try:
            self._calls.put_nowait((job, result, authorization))
        except queue.Full:
            self._dropped += 1
            if self._dropped & (self._dropped - 1) == 0:  # the first, the second, the fourth, ...
                text = "the callback of set_result_callback is slower than the jobs: %d results were not passed to it"
                logger.error(text, self._dropped)

    def stop(self) -> "threading.Thread | None":
        """End the thread when it has made its calls. Returns it, if there is one, so that it can be waited for."""
        thread, self._thread = self._thread, None
        self._is_stopping = True
        if thread is not None:
            with contextlib.suppress(queue.Full):  # then it need not be woken
                self._calls.put_nowait(None)
        return thread

    def _work(self) -> None:
        while not (self._is_stopping and self._calls.empty()) and (call := self._calls.get()) is not None:
            job, result, authorization = call
            callback = ivcap_service.ivcap.result_callback
            with credentials_in_use(authorization):
                try:
                    if callback is not None:
                        callback(self._told(job, result), job.id_as_given, authorization)
                except Exception:
                    logger.exception("job %s: the callback of set_result_callback failed", job.id)
            del call, job, result, authorization

    def _told(self, job: Job, result: Payload | None) -> IvcapResult | ExecutionError:
        if result is None:
            return execution_error(job, job.failure)
        content: bytes | str = result.content
        if result.content_type in _TEXTS:
            content = result.content.decode(errors="replace")
        raw = decode_result(result, self._result_types.get(job.tool, Any))
        return IvcapResult(content=content, content_type=platform_content_type(result.content_type), raw=raw)
