"""`ServerLife`: starts what a server runs on, and stops it again."""

import contextlib
import logging
from collections.abc import Mapping, Sequence

from lambda_kit.adapters.http.asgi_server import warn_of_other_processes
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.ivcap.environment import sidecar_url
from lambda_kit.adapters.ivcap.platform_life import platform_told
from lambda_kit.adapters.outgoing.outgoing_calls import outgoing_calls
from lambda_kit.adapters.telemetry.telemetry import Telemetry
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.jobs.engine import JobEngine
from lambda_kit.core.ports.part import ServerPart
from lambda_kit.core.runtime.bounded import bounded
from lambda_kit.core.runtime.credentials import guard_logs
from lambda_kit.core.runtime.shared_life import SharedLife
from lambda_kit.core.runtime.task_guard import guard_tasks
from lambda_kit.core.runtime.temporary_files import remove_left_behind
from lambda_kit.core.runtime.threads import read_off_loop
from lambda_kit.core.tools.lifecycle import ToolLifecycle
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["ServerLife"]

logger = logging.getLogger("lambda_kit.server")


class ServerLife:
    """The life of a server: its users share it, the first starts it and the last stops it.

    Args:
        engine: Runs the jobs.
        tools: By name.
        set_up_here: The tools that are set up in this process.
        telemetry: Whether there is any.
        http_settings: Get what is around each request.
    """

    def __init__(
        self,
        engine: JobEngine,
        tools: Mapping[str, BoundTool],
        set_up_here: Sequence[BoundTool],
        telemetry: Telemetry,
        http_settings: HttpSettings,
    ) -> None:
        self._engine = engine
        self._tools = tools
        self._lifecycle = ToolLifecycle(set_up_here)
        self._telemetry = telemetry
        self._http_settings = http_settings
        self._parts: list[ServerPart] = []
        self._shared = SharedLife(self._start)

    def add_part(self, part: ServerPart) -> None:
        """As `ToolServer.add_part`.

        Raises:
            ConfigurationError: if the server is running.
        """
        if self._shared.is_used:
            raise ConfigurationError("add_part: the server is running: add parts before it starts")
        self._parts.append(part)

    async def enter(self) -> None:
        """Start, unless it runs.

        Raises:
            ConfigurationError: if that can't be done; says why.
        """
        await self._shared.enter()

    async def leave(self) -> None:
        """Stop when the last user has left: jobs end, tools are torn down."""
        await self._shared.leave()

    async def drain(self) -> None:
        """As `ToolServer.drain`."""
        await self._engine.drain()
        for part in self._parts:
            await bounded(f"{type(part).__name__}.drained", part.drained())

    async def why_not_ready(self) -> str | None:
        """Why no job can be taken now, in words. None: the service is ready."""
        return await self._engine.why_not_ready() or await self._lifecycle.why_not_ready()

    async def _start(self, opened: contextlib.AsyncExitStack) -> None:
        if not self._engine.store.is_shared:
            warn_of_other_processes()
        self._engine.begin_start()
        if (access := self._http_settings.access) is not None:
            await access.start(opened, self._engine.observers)
            if sidecar_url() and not access.hands_on:
                logger.warning(
                    "the platform gets results and events without an Authorization: no authenticator hands one on "
                    "(hand_on=True, for tokens that are meant for the platform)"
                )
        elif (limits := self._engine.caller_limits) is not None and not limits.by_address:
            logger.warning(
                "caller_limits limit nobody who comes over HTTP: without an authenticator there are no principals; set "
                "CallerLimits(by_address=True) to tell callers apart by their addresses"
            )
        await opened.enter_async_context(self._telemetry.live(self._engine.observers, self._http_settings))
        opened.enter_context(guard_tasks())
        opened.enter_context(guard_logs())
        opened.enter_context(outgoing_calls())
        if any(tool.read.form is not None for tool in self._tools.values()):
            await read_off_loop(remove_left_behind)
        await self._lifecycle.set_up()
        opened.push_async_callback(self._lifecycle.tear_down)
        result_types = {tool.name: tool.signature.result_type for tool in self._tools.values()}
        await opened.enter_async_context(platform_told(self._engine, result_types))
        await self._engine.start()
        opened.push_async_callback(self._engine.stop)
        for part in self._parts:
            await opened.enter_async_context(part)
