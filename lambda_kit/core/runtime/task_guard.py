"""Keeps what tools do in tasks of their own from ending the event loop, and with it the service."""

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine, Iterator
from typing import Any

from lambda_kit.core.runtime.running import running_job

__all__ = ["guard_tasks", "in_hook"]

in_hook: contextvars.ContextVar[bool] = contextvars.ContextVar("lambda_kit_in_hook", default=False)
"""Set while a tool's hook is called."""


@contextlib.contextmanager
def guard_tasks() -> Iterator[None]:
    """While the block lasts, a `SystemExit` in a task that a tool has started fails that task alone.

    asyncio lets it, and `KeyboardInterrupt`, out of the running event loop, from any task. No effect where the loop has
    a task factory already: it is somebody else's.
    """
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is not None:
        yield
        return
    loop.set_task_factory(_make_task)  # type: ignore[arg-type]  # its options differ between versions of Python
    try:
        yield
    finally:
        if loop.get_task_factory() is _make_task:
            loop.set_task_factory(None)


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> "asyncio.Task[Any]":
    if running_job.get() is not None or in_hook.get():
        coroutine = _guarded(coroutine)
    return asyncio.Task(coroutine, loop=loop, **options)


async def _guarded(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
