"""What a tool's author can set: `ToolOptions` and `ExecutorOpts`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lambda_kit.core.errors import LambdaKitError, ToolDefinitionError
from lambda_kit.core.model.principal import is_scope

__all__ = ["MAX_SECONDS", "ExecutorOpts", "ToolHints", "ToolOptions", "require_number"]

MAX_SECONDS = 2**31
"""The longest duration, 68 years: timers and dates have bounds."""


def require_number(
    owner: str,
    name: str,
    value: float | None,
    *,
    minimum: float,
    maximum: float = math.inf,
    whole: bool = False,
    allows_none: bool = True,
    error: type[LambdaKitError] = ToolDefinitionError,
) -> None:
    """Refuse an option that is no finite number in its bounds, and no None that is allowed, by an `error`."""
    if value is None and allows_none:
        return
    kind = "a whole number" if whole else "a number"
    good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    is_infinite = isinstance(value, float) and not math.isfinite(value)  # an int can be too large for a float
    if value is None or not good or is_infinite or not minimum <= value <= maximum:
        at_most = "" if maximum == math.inf else f" and at most {maximum:.0f}"
        or_none = ", or None" if allows_none else ""
        raise error(f"{owner}({name}={value!r}): must be {kind} of at least {minimum:g}{at_most}{or_none}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorOpts:
    """How a tool's jobs are run and how long they are kept.

    Raises:
        ToolDefinitionError: if a value is out of range.
    """

    job_cache_size: int | None = 10_000
    """How many finished jobs of this tool the memory store keeps, the oldest go first. None: 10000."""

    job_cache_ttl: float | None = 3600
    """Seconds for which a finished job and its result are kept, in any store; more than 2**31 (68 years) count as so
    many. None: 3600."""

    max_workers: int | None = None
    """How many of this tool's jobs are run at once, by an executor of its own: on so many threads, in so many worker
    processes, or as so many tasks for ``async def run``. The others wait in a queue. None: it shares the server's
    executor. Only for the built-in executors; one that was passed to `ToolServer` has its own size."""

    def __post_init__(self) -> None:
        require_number("ExecutorOpts", "job_cache_size", self.job_cache_size, minimum=1, whole=True)
        require_number("ExecutorOpts", "job_cache_ttl", self.job_cache_ttl, minimum=1)
        if self.job_cache_ttl is not None and self.job_cache_ttl > MAX_SECONDS:  # such as sys.maxsize, to keep them
            object.__setattr__(self, "job_cache_ttl", MAX_SECONDS)
        require_number("ExecutorOpts", "max_workers", self.max_workers, minimum=1, whole=True)


_DEFAULT_EXECUTION = ExecutorOpts()


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolHints:
    """What agents are told of a tool's effects, so that they can ask before they call it (MCP, ToolAnnotations).

    They are hints, not promises. None: it is not said.

    Raises:
        ToolDefinitionError: if one is neither True, False nor None.
    """

    read_only: bool | None = None
    """It changes nothing."""

    destructive: bool | None = None
    """It may destroy something, not only add to it."""

    idempotent: bool | None = None
    """Called again with the same request, it changes nothing more."""

    open_world: bool | None = None
    """It deals with things outside, such as the web."""

    def __post_init__(self) -> None:
        for name in ("read_only", "destructive", "idempotent", "open_world"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, bool):
                raise ToolDefinitionError(f"ToolHints({name}={value!r}): must be True, False or None")


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolOptions:
    """What a tool's author can set beside `run`.

    Raises:
        ToolDefinitionError: if a value is out of range or of the wrong type.
    """

    name: str | None = None
    """A label for people, shown as the endpoint's summary. None: the first line of the docstring, and without one
    inferred from the path. (The tool's id is `LambdaTool.name`.)"""

    tags: Sequence[str] | None = None
    """OpenAPI tags. None: inferred from the path."""

    max_wait_time: float | None = 5.0
    """Seconds for which a POST waits for the result before it answers "try later". None: 5.0."""

    refresh_interval: int | None = 3
    """Seconds after which a client should poll again (``Retry-Later``, ``Retry-After``). None: 3."""

    service_id: str | None = None
    """The service id in the tool's description. A path such as ``"/greet"`` is prefixed by the public URL."""

    post_route_opts: Mapping[str, Any] = field(default_factory=dict)
    """Further keyword arguments for the Litestar route that runs the tool, for example ``guards``."""

    executor_opts: ExecutorOpts | None = None
    """How jobs are run and kept. None: `ExecutorOpts()`."""

    executor: str | None = None
    """Name of the executor: ``"asyncio"``, ``"thread"``, ``"process"``, or of one that `ToolServer` was given. None:
    ``"asyncio"`` for ``async def run``, else ``"thread"``."""

    time_limit_seconds: float | None = None
    """For how long a job may run, counted from its start, not from its submission. One that takes longer ends as
    ``error`` (504). A request may ask for less. None: no limit, and a request may set any."""

    max_concurrency: int | None = None
    """How many of this tool's jobs run at once; the others wait in its queue. None: as many as its executor runs."""

    max_queue: int | None = None
    """How many of this tool's jobs may wait. While it has that many beside the `max_concurrency` that run, new requests
    are refused (429). Without `max_concurrency` the executor's own size counts in its place, and nothing where that has
    none: then it bounds all of the tool's unfinished jobs. None: no bound."""

    max_attempts: int = 1
    """How often a job is run at most, where the worker that runs it is lost. More than 1 only if it does no harm to run
    a job again that was partly, or wholly, done."""

    scopes: Sequence[str] = ()
    """What a principal needs to run the tool: all of these scopes, else 403. Without an authenticator they have no
    effect."""

    hints: "ToolHints | None" = None
    """What agents are told of the tool's effects. None: nothing."""

    mcp: bool | Literal["as-task"] = True
    """Whether the tool is one of the MCP tools, where MCP is served. ``"as-task"``: it is, and each call is answered by
    a task at once (docs/mcp.md, Tasks), so that clients without tasks are refused."""

    def __post_init__(self) -> None:
        require_number("ToolOptions", "max_wait_time", self.max_wait_time, minimum=0, maximum=MAX_SECONDS)
        refresh = self.refresh_interval
        require_number("ToolOptions", "refresh_interval", refresh, minimum=0, maximum=MAX_SECONDS, whole=True)
        require_number("ToolOptions", "time_limit_seconds", self.time_limit_seconds, minimum=0.001, maximum=MAX_SECONDS)
        require_number("ToolOptions", "max_concurrency", self.max_concurrency, minimum=1, whole=True)
        require_number("ToolOptions", "max_queue", self.max_queue, minimum=0, whole=True)
        require_number("ToolOptions", "max_attempts", self.max_attempts, minimum=1, whole=True, allows_none=False)
        if isinstance(self.tags, str):
            raise ToolDefinitionError(
                f"ToolOptions(tags={self.tags!r}): must be a list of strings, such as [{self.tags!r}]"
            )
        for name in ("name", "service_id", "executor"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ToolDefinitionError(f"ToolOptions({name}={value!r}): must be a string, or None")
        if self.tags is not None and not all(isinstance(tag, str) for tag in self.tags):
            raise ToolDefinitionError(f"ToolOptions(tags={self.tags!r}): must be a list of strings")
        if self.hints is not None and not isinstance(self.hints, ToolHints):
            raise ToolDefinitionError(
                f"ToolOptions(hints={self.hints!r}): must be a ToolHints, or None: hints=ToolHints(read_only=True)"
            )
        if not isinstance(self.mcp, bool) and self.mcp != "as-task":
            raise ToolDefinitionError(f"ToolOptions(mcp={self.mcp!r}): must be True, False or 'as-task'")
        if isinstance(self.scopes, str) or not all(map(is_scope, self.scopes)):
            raise ToolDefinitionError(
                f"ToolOptions(scopes={self.scopes!r}): must be a list of words, such as ['greet'] (RFC 6749, 3.3)"
            )
        if not isinstance(self.post_route_opts, Mapping):
            raise ToolDefinitionError(
                f"ToolOptions(post_route_opts={self.post_route_opts!r}): must be a dict, such as {{'guards': [...]}}"
            )
        if self.executor_opts is not None and not isinstance(self.executor_opts, ExecutorOpts):
            raise ToolDefinitionError(
                f"ToolOptions(executor_opts={self.executor_opts!r}): must be an ExecutorOpts, or None: write "
                "executor_opts=ExecutorOpts(...)"
            )

    @property
    def wait_seconds(self) -> float:
        """`max_wait_time` with its default filled in, in seconds."""
        return 5.0 if self.max_wait_time is None else float(self.max_wait_time)

    @property
    def refresh_seconds(self) -> int:
        """`refresh_interval` with its default filled in, in seconds."""
        return 3 if self.refresh_interval is None else self.refresh_interval

    @property
    def execution(self) -> ExecutorOpts:
        """`executor_opts` with its default filled in."""
        return self.executor_opts if self.executor_opts is not None else _DEFAULT_EXECUTION
