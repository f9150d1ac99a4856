"""`ToolServer`: puts the parts together and owns their life."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args, overload

import ivcap_service
from litestar import Litestar
from litestar.config.compression import CompressionConfig
from litestar.config.cors import CORSConfig
from litestar.plugins import InitPlugin
from litestar.types import Guard, Middleware, OnAppInitHandler

from lambda_kit.adapters.auth.urls import authenticators_of_environment
from lambda_kit.adapters.executors.built_in import OWN_POOLS, built_in_executors
from lambda_kit.adapters.http.limits import HttpLimits
from lambda_kit.adapters.http.routes import check_paths
from lambda_kit.adapters.http.served_app import ServedApp
from lambda_kit.adapters.http.service_version import service_version
from lambda_kit.adapters.http.settings import HttpSettings
from lambda_kit.adapters.http.tool_app import AppHooks
from lambda_kit.adapters.http.tool_plugin import PluggedServer
from lambda_kit.adapters.ivcap.environment import sidecar_url
from lambda_kit.adapters.mcp.options import McpOptions
from lambda_kit.adapters.metrics.prometheus import PrometheusMetrics
from lambda_kit.adapters.outgoing.outgoing_calls import OutgoingCalls
from lambda_kit.adapters.stores.urls import as_store, store_of_environment
from lambda_kit.adapters.telemetry.telemetry import Telemetry
from lambda_kit.cli.mcp_extra import needs_mcp
from lambda_kit.core.errors import ConfigurationError
from lambda_kit.core.jobs.access import Access
from lambda_kit.core.jobs.authorization_sealer import Sealer
from lambda_kit.core.jobs.caller_limits import CallerLimits
from lambda_kit.core.jobs.engine import JobEngine
from lambda_kit.core.jobs.in_process import run_in_process
from lambda_kit.core.jobs.service import JobService
from lambda_kit.core.jobs.settings import JobSettings, Roles
from lambda_kit.core.jobs.tool_binding import (
    assign_executors,
    bind_tools,
    check_names,
    find_tool,
    listed,
    require_instance,
)
from lambda_kit.core.model.job import Job
from lambda_kit.core.model.request_info import KeptFields
from lambda_kit.core.ports.authenticator import Authenticator
from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.ports.observer import JobObserver
from lambda_kit.core.ports.part import ServerPart
from lambda_kit.core.ports.sink import JobSink
from lambda_kit.core.ports.store import JobStore
from lambda_kit.core.tools.run_types import Runs, RunsAsync
from lambda_kit.core.tools.tool import BoundTool, LambdaTool, concrete_tools
from lambda_kit.server_life import ServerLife

if TYPE_CHECKING:
    from lambda_kit.adapters.mcp.endpoint import McpEndpoint

__all__ = ["ToolServer"]

R = TypeVar("R")


class ToolServer:
    """Serves tools: over HTTP as `app`, from the command line by `serve`, in-process by `run_tool`.

    Nothing is shared between two servers in one process but what you give to both.

    Args:
        service: Who offers the tools.
        tools: Classes, or instances where the constructor takes arguments. None: every concrete subclass of
            `LambdaTool` that has been defined so far.
        store: Keeps the jobs: a store, or the URL of one, such as ``sqlite:///jobs.db``. None: the one that
            ``$LAMBDA_KIT_STORE`` names, else a `MemoryJobStore`.
        executor: An executor of your own, or several. One with the name of a built-in (``asyncio``, ``thread``,
            ``process``) takes its place; a single one with another name runs every tool that names none.
        sinks: Receive events and results. Where ``$IVCAP_BASE_URL`` is set when the server starts, the platform's
            sidecar does too (`lambda_kit.adapters.ivcap.IvcapSidecarSink`).
        observers: See jobs come, start and end, for metrics, traces and logs.
        roles: What this process does with a shared store: ``"both"``, ``"accept"`` (takes requests and runs no jobs) or
            ``"run"`` (runs the jobs of others and takes no requests).
        job_list: Whether ``GET /jobs`` is served. Who knows a job's id can read its result.
        debug: Whether clients are shown tracebacks.
        max_body_bytes: Larger request bodies are refused with 413, and the connection is closed.
        max_upload_bytes: Forms with files (``multipart/form-data``) whose parts are larger together are refused with
            413.
        keep_headers: Names of header fields that are kept with a job, beside those of docs/wire.md (What is kept of a
            request).
        http: What one connection may take, where the service is run from its file.
        try_later_body: Whether "try later" is always a 202 with a body.
        middleware: Litestar's, around all routes of `app`.
        guards: Litestar's, on all routes by which a job is made, read or cancelled. Descriptions, the OpenAPI document,
            health and metrics are open.
        cors: The origins whose pages may use the service, besides its own.
        compression: Of answers, but for event streams.
        allowed_hosts: The hosts by which the service may be called, such as ``api.example.com`` and ``*.example.com``;
            others are refused with 403. None: ``$LAMBDA_KIT_ALLOWED_HOSTS``, else any.
        root_path: The prefix under which a proxy has the service, where it does not say so itself. None:
            ``$LAMBDA_KIT_ROOT_PATH``, else none.
        forwarded_allow_ips: The proxies whose ``Forwarded`` and ``X-Forwarded-*`` are taken: addresses, networks,
            ``unix`` or ``*``. None: ``$FORWARDED_ALLOW_IPS``, else 127.0.0.1, ::1 and callers in this process.
        authenticator: Finds out who sent a request, or several that are asked in order. Then each principal has its own
            jobs, and others' do not exist for it. None: those that ``$LAMBDA_KIT_AUTH`` names; if it names none, or
            with ``[]``, who knows a job's id may read it.
        open_routes: With an authenticator, what everybody may still read: of ``"descriptions"`` (of tools),
            ``"openapi"`` (the document, and the page at ``/api``) and ``"metrics"``. Health is always open.
        mcp: Whether the tools are served by MCP at ``/mcp`` too, or how (docs/mcp.md). It needs the extra ``mcp``.
        on_app_init: Called with Litestar's ``AppConfig`` when `app` is made, to add anything else to it.
        settings: Durations of leases and of the shutdown, and how many jobs are taken and run at once.
        caller_limits: How much one caller may ask for (docs/operations.md, Fair shares). None: anything.
        encryption_key: With it the authorization of each job is kept in the store, encrypted, so that a job which is
            taken up after a restart has it; a key of Fernet (``cryptography``), or several, comma-separated, of which
            the first encrypts. None: ``$LAMBDA_KIT_ENCRYPTION_KEY``; without any it is not kept.

    Raises:
        ToolDefinitionError: if a tool can't be served; names class, parameter and remedy.
        ConfigurationError: if the parts don't fit together.
    """

    def __init__(
        self,
        service: ivcap_service.Service,
        tools: Sequence[type[LambdaTool] | LambdaTool] | None = None,
        *,
        store: JobStore | str | None = None,
        executor: Executor | Sequence[Executor] | None = None,
        sinks: Sequence[JobSink] = (),
        observers: Sequence[JobObserver] = (),
        roles: Roles = "both",
        job_list: bool = False,
        debug: bool = False,
        max_body_bytes: int = 16 * 1024 * 1024,
        max_upload_bytes: int = 256 * 1024 * 1024,
        keep_headers: Sequence[str] = (),
        http: HttpLimits | None = None,
        try_later_body: bool = False,
        middleware: Sequence[Middleware] = (),
        guards: Sequence[Guard] = (),
        cors: CORSConfig | None = None,
        compression: CompressionConfig | None = None,
        allowed_hosts: str | Sequence[str] | None = None,
        root_path: str | None = None,
        forwarded_allow_ips: str | Sequence[str] | None = None,
        authenticator: Authenticator | Sequence[Authenticator] | None = None,
        open_routes: Sequence[str] = ("descriptions", "openapi"),
        mcp: bool | McpOptions = False,
        on_app_init: Sequence[OnAppInitHandler] = (),
        settings: JobSettings | None = None,
        caller_limits: CallerLimits | None = None,
        encryption_key: str | None = None,
    ) -> None:
        if not isinstance(service, ivcap_service.Service):
            raise ConfigurationError(
                f"ToolServer({service!r}, ...): the first argument must be a Service(name=..., contact={{...}})"
            )
        own = listed("executor", executor, Executor)
        sinks, observers = listed("sinks", sinks, JobSink), listed("observers", observers, JobObserver)
        bound = bind_tools(concrete_tools() if tools is None else tools)
        check_paths({tool.name: tool.path for tool in bound})
        executors, bound = assign_executors(bound, built_in_executors(), own, OWN_POOLS)
        check_names("sinks", sinks)
        for argument, given, kind in (
            ("settings", settings, JobSettings),
            ("caller_limits", caller_limits, CallerLimits),
            ("http", http, HttpLimits),
            ("compression", compression, CompressionConfig),
        ):
            if given is not None:
                require_instance(argument, given, kind)
        if roles not in get_args(Roles):
            raise ConfigurationError(f"ToolServer(roles={roles!r}): must be one of {', '.join(get_args(Roles))}")
        self.service = service
        self._file: str | None = sys._getframe(1).f_globals.get("__file__")  # the service file
        self.tools: Mapping[str, BoundTool] = {tool.name: tool for tool in bound}
        """The tools by name, in order."""
        self.http_settings = HttpSettings(
            max_body_bytes=max_body_bytes,
            max_upload_bytes=max_upload_bytes,
            try_later_body=try_later_body,
            job_list=job_list,
            debug=debug,
            kept_fields=KeptFields(keep_headers),
            guards=list(guards),
            limits=http or HttpLimits(),
        )
        self._auth_trouble: ConfigurationError | None = None
        authenticators = listed("authenticator", authenticator, Authenticator)
        if authenticator is None:
            authenticators, self._auth_trouble = authenticators_of_environment()
        access = Access(authenticators, open_routes)
        # who is to be let in can't be told: nobody is
        self.http_settings.access = access if authenticators or self._auth_trouble else None
        self._http_trouble = self.http_settings.take_environment()
        self.http_settings.change(
            allowed_hosts=allowed_hosts, cors=cors, root_path=root_path, forwarded_allow_ips=forwarded_allow_ips
        )
        self._store_trouble: ConfigurationError | None = None
        if store is None:
            store, self._store_trouble = store_of_environment()
        sealer, self._key_trouble = (
            Sealer.of_environment() if encryption_key is None else (Sealer(encryption_key), None)
        )
        self._engine = JobEngine(
            bound,
            as_store(store),
            executors,
            sinks=sinks,
            observers=[*observers, OutgoingCalls()],
            settings=settings,
            sealer=sealer,
            roles=roles,
            caller_limits=caller_limits,
        )
        self.jobs = JobService(self._engine)
        """The door to the jobs, for the service's own code: it sees every job."""
        plugged = PluggedServer(
            self.jobs,
            self.http_settings,
            lambda: self.version,
            self.why_not_ready,
            PrometheusMetrics(self._engine, self.why_not_ready).render,
            lambda: self,
        )
        self._http = ServedApp(service, plugged, AppHooks(middleware, compression, on_app_init))
        self._has_platform_api = False
        self._mcp: McpEndpoint | None = None
        self._telemetry = Telemetry(service.name, lambda: self.version)
        set_up_here = [tool for tool in bound if roles != "accept" and executors[tool.executor].runs_in_server]
        self._life = ServerLife(self._engine, self.tools, set_up_here, self._telemetry, self.http_settings)
        if mcp is not False:
            if mcp is not True:
                require_instance("mcp", mcp, McpOptions)
            self.add_mcp(None if mcp is True else mcp)

    def add_part(self, part: ServerPart) -> None:
        """Give a part the life of the server: it is entered after the jobs can run, and left before they stop.

        Args:
            part: An asynchronous context manager, such as an adapter with connections of its own. Its `drained` is
                called when the jobs have ended and before anything is closed.

        Raises:
            ConfigurationError: if the server is running.
        """
        self._life.add_part(part)

    # --- over HTTP ---

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The ASGI app, as `app`: ``uvicorn my_service:server``, or ``Mount("/tools", server)`` in another app.

        An app that does not pass its lifespan on to what is mounted in it, as Starlette and FastAPI don't, has to run
        the server itself: ``async with server:`` in its own lifespan.
        """
        await self.app(scope, receive, send)

    @cached_property
    def app(self) -> Litestar:
        """The Litestar app, for any ASGI server. It is made once, on first use."""
        return self._http.app

    def plugin(self, *, metrics: bool = True) -> InitPlugin:
        """A Litestar plugin that adds the tools to an app that exists: ``Litestar(..., plugins=[server.plugin()])``.

        The server's `middleware` and `guards` hold for its routes there. `compression` and `on_app_init` are for an app
        of its own, and are left to that app; so is `cors`, where it has some.

        Args:
            metrics: Whether to serve ``GET /metrics``: not where the app has that path already.
        """
        return self._http.plugin(metrics=metrics)

    def enable(
        self,
        *,
        job_list: bool = False,
        debug: bool = False,
        grace_seconds: float | None = None,
        store: JobStore | str | None = None,
        max_body_bytes: int | None = None,
        max_upload_bytes: int | None = None,
        allowed_hosts: str | Sequence[str] | None = None,
        root_path: str | None = None,
        forwarded_allow_ips: str | Sequence[str] | None = None,
        with_telemetry: bool | None = None,
        is_batch: bool = False,
    ) -> None:
        """Switch on what the command line asks for, also where `app` has been made already.

        Args:
            job_list: Serve ``GET /jobs``.
            debug: Show tracebacks to clients.
            grace_seconds: For how long a stop waits for the jobs that were taken. None: leave it.
            store: Where jobs are kept, as for the constructor. None: leave it.
            max_body_bytes: How large a request body may be. None: leave it.
            max_upload_bytes: How large all parts of a form may be together. None: leave it.
            allowed_hosts: As for the constructor. None: leave them.
            root_path: As for the constructor. None: leave it.
            forwarded_allow_ips: As for the constructor. None: leave them.
            with_telemetry: Whether to have OpenTelemetry. None: leave it.
            is_batch: Whether jobs come from the platform, one after another: telemetry has the platform's span then.

        Raises:
            ConfigurationError: if one is wrong, or another store is asked for and the server has started already.
        """
        self.http_settings.change(
            allowed_hosts=allowed_hosts,
            root_path=root_path,
            forwarded_allow_ips=forwarded_allow_ips,
            max_body_bytes=max_body_bytes,
            max_upload_bytes=max_upload_bytes,
        )
        self._telemetry.choose(with_telemetry, is_batch=is_batch)
        if store is not None:
            self._engine.use_store(as_store(store))
            self._store_trouble = None
        if grace_seconds is not None:
            self._engine.settings = replace(self._engine.settings, grace_seconds=grace_seconds)
        if job_list:
            self._http.show_job_list()
        if debug:
            self._http.show_tracebacks()

    def add_platform_api(self, *, artifacts: str | Path = "artifacts") -> None:
        """Serve the platform's job API under ``/1``, beside the tools: for a laptop (docs/laptop.md).

        Whoever can reach the service can list its jobs, and read and write its artifacts. No effect if it has it.

        Args:
            artifacts: The folder of the artifacts. It is made with the first of them.
        """
        from lambda_kit.cli.platform_api import make_platform_api  # noqa: PLC0415 - for laptops only

        if not self._has_platform_api:
            self._has_platform_api = True
            self._http.add(make_platform_api(self.service, self.jobs, self.http_settings, self._file, artifacts))

    def add_mcp(self, options: McpOptions | None = None) -> "McpEndpoint":
        """Serve the tools by MCP at ``/mcp``. No effect if that is done already.

        Args:
            options: How. None: `McpOptions()`.

        Returns:
            What answers the clients, for a transport of one's own.

        Raises:
            MissingExtraError: if the packages of MCP are not installed.
            ConfigurationError: if the server is running.
        """
        if self._mcp is not None:
            return self._mcp
        with needs_mcp("MCP"):
            from lambda_kit.adapters.mcp.routes import McpRoutes  # noqa: PLC0415 - half a second
            from lambda_kit.cli.mcp import make_mcp  # noqa: PLC0415
        self._mcp = make_mcp(self.service, self.version, self.jobs, self.http_settings, options or McpOptions())
        self.add_part(self._mcp)
        routes = McpRoutes(self._mcp)
        self._http.add(routes, routes.entries)
        return self._mcp

    def serve(
        self,
        argv: Sequence[str] | None = None,
        *,
        custom_args: Callable[[argparse.ArgumentParser], argparse.Namespace] | None = None,
        run_opts: Mapping[str, Any] | None = None,
        with_telemetry: bool | None = None,
        batch: bool | None = None,
    ) -> None:
        """Run the command line of a service file: by default, serve the tools with uvicorn until a signal comes.

        Args:
            argv: The arguments. None: those of the process.
            custom_args: Adds flags to the parser and returns ``parser.parse_args()``.
            run_opts: Further arguments for `uvicorn.Config`.
            with_telemetry: True or False to have OpenTelemetry or not, whatever the environment says; a flag wins.
            batch: True to run the jobs that the platform hands out instead of serving a port, as ``--batch`` does
                (docs/batch.md). None: the flag decides.

        Raises:
            SystemExit: with the exit code, where one is due.
        """
        # uvicorn and argparse are for services that are run from their file only
        from lambda_kit.cli.service_file import run_service_file  # noqa: PLC0415

        run_service_file(
            self, argv, custom_args=custom_args, run_opts=run_opts, with_telemetry=with_telemetry, batch=batch
        )

    # --- without HTTP ---

    @overload
    async def run_tool(self, tool: type[RunsAsync[R]] | RunsAsync[R], request: Any) -> R: ...
    @overload
    async def run_tool(self, tool: type[Runs[R]] | Runs[R], request: Any) -> R: ...
    @overload
    async def run_tool(self, tool: type[LambdaTool] | LambdaTool | str, request: Any) -> Any: ...
    async def run_tool(self, tool: Any, request: Any) -> Any:
        """Run a tool as a job, and return what its `run` returned.

        The type of the result is that of `run`'s return annotation; by name it is not known. A model reaches the tool
        as it is. Where the tool runs in another process, or the store is durable, the request travels as JSON; a model
        that would not come back from it as it was is refused.

        A server that is not running is started for the time of the call; for several calls write ``async with server:``
        around them. If the awaiting task is cancelled, so is the job.

        Args:
            tool: The class, the instance or the name of a tool of this server.
            request: An instance of its request model, or plain data, as JSON has it, that fits it.

        Raises:
            ToolNotFoundError: if this server has no such tool.
            RequestValidationError: if the request does not fit the tool's model, or would reach the tool as another.
            ConfigurationError: if the tool wants a `litestar.Request`, or several tools are instances of the class.
            QueueFullError: if there is no room for it.
            JobFailedError: if the job ended without a result.
        """
        bound = find_tool(self.tools.values(), tool)
        async with self:
            return await run_in_process(self.jobs, bound, request)

    async def cancel(self, job_id: str) -> Job:
        """Ask for a job's end: at once if it waits, else when its tool has stopped.

        Raises:
            JobNotFoundError: if there is no such job.
        """
        return await self.jobs.cancel(job_id)

    @property
    def version(self) -> str:
        """The version of the service: ``$VERSION``, else `Service`'s, else that of the distribution it belongs to."""
        return service_version(self.service, self._file)

    @property
    def settings(self) -> JobSettings:
        """How jobs are looked after."""
        return self._engine.settings

    def check_environment(self) -> None:
        """See whether what the environment says of this server can be.

        Raises:
            ConfigurationError: if ``$LAMBDA_KIT_STORE``, ``$LAMBDA_KIT_ENCRYPTION_KEY``, ``$LAMBDA_KIT_AUTH`` or
                ``$IVCAP_BASE_URL`` is needed and wrong, or the store does not fit `roles`; says how to mend it.
        """
        for trouble in (self._store_trouble, self._key_trouble, self._auth_trouble, self._http_trouble):
            if trouble is not None:
                raise trouble
        sidecar_url()
        if self._engine.roles != "both" and not self.has_shared_store:
            raise ConfigurationError(
                f"roles={self._engine.roles!r} needs a store that other processes share: choose one by --store, "
                "$LAMBDA_KIT_STORE or ToolServer(store=...), such as sqlite:///jobs.db"
            )

    @property
    def has_shared_store(self) -> bool:
        """Whether several processes can use the store at once."""
        return self._engine.store.is_shared

    def begin_stop(self, grace_seconds: float | None = None) -> None:
        """Take no more jobs, and say so.

        Args:
            grace_seconds: For how long those that were taken may go on. None: `JobSettings.grace_seconds`. If the stop
                has begun already, what is left of that time is cut to this.
        """
        self._engine.begin_stop(grace_seconds)

    async def drain(self) -> None:
        """Take no more jobs, and stay until those that were taken have ended and their results have been fetched.

        Jobs that take longer than `JobSettings.grace_seconds` are cancelled; for results there are 5 s after the last
        job, or what is left of the grace time. The server goes on answering meanwhile, and must be stopped afterwards.
        """
        await self._life.drain()

    async def __aenter__(self) -> Self:
        """Start what runs jobs, unless it is running; tools are set up.

        Raises:
            ConfigurationError: if that can't be done; says why.
        """
        self.check_environment()
        await self._life.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop it when the last user has left: jobs end, tools are torn down."""
        await self._life.leave()

    # --- inside ---

    async def why_not_ready(self) -> str | None:
        """Why no job can be taken now, in words. None: the service is ready."""
        return await self._life.why_not_ready()
