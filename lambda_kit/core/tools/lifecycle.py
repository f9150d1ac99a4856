"""Calls the hooks of the tools: set-up, readiness, tear-down."""

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.runtime.task_guard import in_hook
from lambda_kit.core.runtime.threads import DaemonPool
from lambda_kit.core.tools.tool import BoundTool, LambdaTool

__all__ = ["ToolLifecycle"]

logger = logging.getLogger("lambda_kit.lifecycle")

_LEAST_TEARDOWN_SECONDS = 1.0


def _is_asked_to_end() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class ToolLifecycle:
    """Sets tools up, asks whether they are ready, and tears them down. Plain hooks are called on a thread.

    Args:
        tools: Whose hooks are called here.
        ready_seconds: How long `is_ready` may take; longer counts as "no".
        teardown_seconds: How long the `teardown` of all tools may take together, of which each has at least a second;
            then it is given up.
        thread: Calls plain `setup` and `teardown`. None: a thread of this.
    """

    def __init__(
        self,
        tools: Iterable[BoundTool],
        *,
        ready_seconds: float = 2.0,
        teardown_seconds: float = 10.0,
        thread: DaemonPool[Any] | None = None,
    ) -> None:
        self._tools = list(tools)
        self._ready_seconds = ready_seconds
        self._teardown_seconds = teardown_seconds
        self._to_tear_down: list[BoundTool] = []
        self._asked: dict[str, asyncio.Future[Any]] = {}
        self._pool: DaemonPool[Any] = DaemonPool("lambda_kit-hook")
        self._thread = thread

    async def set_up(self) -> None:
        """Call `setup` of each tool, one after the other.

        Raises:
            ConfigurationError: if one fails, with the tool's name. Those that were set up are torn down again.
        """
        for tool in self._tools:
            self._to_tear_down.append(tool)
            try:
                value = await self._call(tool, "setup")
                if value is not None:
                    text = "tool '%s': setup returned a %s, which nothing uses: keep it in self, and return nothing"
                    logger.warning(text, tool.name, type(value).__name__)
            except GeneratorExit:  # the event loop is gone: nothing can be awaited any more
                raise
            except BaseException as error:
                await self.tear_down()
                if not isinstance(error, (Exception, SystemExit)):  # the start was given up, or a test was
                    raise
                raise ConfigurationError(
                    f"tool '{tool.name}': setup failed: {type(error).__name__}: {error}"
                ) from error

    async def tear_down(self) -> None:
        """Call `teardown` of each tool whose set-up was begun, the last first. One that fails or hangs is logged."""
        deadline = time.monotonic() + self._teardown_seconds
        while self._to_tear_down:
            left_seconds = deadline - time.monotonic()
            await self._tear_down(self._to_tear_down.pop(), max(_LEAST_TEARDOWN_SECONDS, left_seconds))
        self._pool.close()
        self._pool = DaemonPool("lambda_kit-hook")

    async def _tear_down(self, tool: BoundTool, seconds: float) -> None:
        bound = asyncio.timeout(seconds)
        try:
            # in this task, not one of its own: what `setup` has entered may be left only where it was entered
            async with bound:
                await self._call(tool, "teardown")
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException:  # whatever it is, the other tools are torn down
            if bound.expired():
                logger.warning("tool '%s': teardown is not done after %.3g s: going on without it", tool.name, seconds)
            else:
                logger.exception("tool '%s': teardown failed", tool.name)

    async def why_not_ready(self) -> str | None:
        """Which tool is not ready, in words. None: all are. A tool that fails or takes too long to say is not ready."""
        for tool in self._tools:
            if type(tool.tool).is_ready is LambdaTool.is_ready:
                continue
            try:
                is_ready = await self._ask(tool)
            except TimeoutError:
                return f"tool '{tool.name}' does not say whether it is ready"
            except BaseException as error:  # a tool that can't say is not ready
                if isinstance(error, asyncio.CancelledError) and _is_asked_to_end():
                    raise
                logger.warning("tool '%s': is_ready failed: %s: %s", tool.name, type(error).__name__, error)
                return f"tool '{tool.name}' is not ready"
            if is_ready is None:
                return f"tool '{tool.name}' is not ready: its is_ready returned None, not True or False"
            if not is_ready:
                return f"tool '{tool.name}' is not ready"
        return None

    async def _ask(self, tool: BoundTool) -> Any:
        asked = self._asked.get(tool.name)
        if asked is None:  # a call that hangs is waited for, not repeated
            asked = self._asked[tool.name] = asyncio.ensure_future(self._call(tool, "is_ready"))
            asked.add_done_callback(lambda _: self._asked.pop(tool.name, None))
        async with asyncio.timeout(self._ready_seconds):
            return await asyncio.shield(asked)

    async def _call(self, tool: BoundTool, hook: str) -> Any:
        if getattr(type(tool.tool), hook) is getattr(LambdaTool, hook):
            return None
        method: Callable[[], Any] = getattr(tool.tool, hook)
        token = in_hook.set(True)
        try:
            # `is_ready` may hang, and is asked again and again: it has none of the tool's own
            pool = self._pool if self._thread is None or hook == "is_ready" else self._thread
            return await self._call_method(method, pool)
        finally:
            in_hook.reset(token)

    @staticmethod
    async def _call_method(method: Callable[[], Any], pool: DaemonPool[Any]) -> Any:
        if inspect.iscoroutinefunction(method):
            try:
                return await method()
            except (SystemExit, KeyboardInterrupt) as error:  # out of a task they would end the event loop
                raise RuntimeError(f"{type(error).__name__}: {error}") from error
        value = await pool.call(method)
        return await value if isinstance(value, Awaitable) else value
