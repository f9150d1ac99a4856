"""What a tool's author can set: `ToolOptions` and `ExecutorOpts`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lambda_kit.core.errors import ToolDefinitionError

__all__ = ["ExecutorOpts", "ToolOptions"]


def _require(owner: str, name: str, value: float | None, *, minimum: float, whole: bool = False) -> None:
    if value is None:
        return
    kind = "a whole number" if whole else "a number"
    good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or value < minimum:
        raise ToolDefinitionError(f"{owner}({name}={value!r}): must be {kind} of at least {minimum:g}, or None")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorOpts:
    """How a tool's jobs are run and how long they are kept.

    Raises:
        ToolDefinitionError: if a value is out of range.
    """

    job_cache_size: int | None = 10_000
    """How many finished jobs of this tool the memory store keeps, the oldest go first. None: 10000."""

    job_cache_ttl: float | None = 3600
    """Seconds for which a finished job and its result are kept, in any store. None: 3600."""

    max_workers: int | None = None
    """How many of this tool's jobs are run at once, by an executor of its own: on so many threads, or as so many tasks
    for ``async def run``. The others wait in a queue. None: it shares the server's executor. Only for the built-in
    executors; one that was passed to `ToolServer` has its own size."""

    def __post_init__(self) -> None:
        _require("ExecutorOpts", "job_cache_size", self.job_cache_size, minimum=1, whole=True)
        _require("ExecutorOpts", "job_cache_ttl", self.job_cache_ttl, minimum=1)
        _require("ExecutorOpts", "max_workers", self.max_workers, minimum=1, whole=True)


_DEFAULT_EXECUTION = ExecutorOpts()


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
    """Name of the executor. None: ``"asyncio"`` for ``async def run``, else ``"thread"``."""

    def __post_init__(self) -> None:
        _require("ToolOptions", "max_wait_time", self.max_wait_time, minimum=0)
        _require("ToolOptions", "refresh_interval", self.refresh_interval, minimum=0, whole=True)
        if isinstance(self.tags, str):
            raise ToolDefinitionError(
                f"ToolOptions(tags={self.tags!r}): must be a list of strings, such as [{self.tags!r}]"
            )
        if self.executor_opts is not None and not isinstance(self.executor_opts, ExecutorOpts):
            raise ToolDefinitionError("ToolOptions(executor_opts=…): must be an ExecutorOpts, or None")

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
