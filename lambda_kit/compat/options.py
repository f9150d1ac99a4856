"""The options of ivcap-lambda, as those of lambda_kit."""

import logging
import math
from collections.abc import Mapping
from typing import Any, Protocol

from lambda_kit.core.tools.options import MAX_SECONDS, ExecutorOpts, ToolOptions

__all__ = ["THREAD_PER_JOB", "GivenExecutorOpts", "GivenOptions", "lambda_kit_options"]

logger = logging.getLogger("lambda_kit.compat")

THREAD_PER_JOB = "thread-per-job"
"""The name of the executor that runs functions without ``max_workers``."""

_CARRIED = frozenset({"deprecated", "include_in_schema", "operation_id"})
"""Options of FastAPI's route that mean the same for Litestar's."""


class GivenExecutorOpts(Protocol):
    """The options of the executor, as the service's file gives them."""

    job_cache_size: int | None
    job_cache_ttl: int | None
    max_workers: int | None


class GivenOptions(Protocol):
    """The options of a tool, as the service's file gives them."""

    name: str | None
    tags: list[str] | None
    max_wait_time: float | None
    refresh_interval: int | None
    post_route_opts: dict[str, Any] | None
    service_id: str | None

    @property
    def executor_opts(self) -> GivenExecutorOpts | None:
        """How jobs are run and kept."""
        ...


def lambda_kit_options(given: GivenOptions, function_name: str) -> ToolOptions:
    """Say the same in lambda_kit's options.

    Args:
        given: What the file says. ``max_wait_time=None`` waits for ever; zeros of `ExecutorOpts` stand for the
            defaults.
        function_name: For the warning of what can't be carried over.

    Raises:
        ToolDefinitionError: if a value can't be.
    """
    execution = _execution(given.executor_opts)
    return ToolOptions(
        name=given.name,
        tags=given.tags,
        max_wait_time=_seconds(given.max_wait_time),
        refresh_interval=given.refresh_interval,
        service_id=given.service_id,
        post_route_opts=_route_options(given.post_route_opts or {}, function_name),
        executor_opts=execution,
        executor=THREAD_PER_JOB if execution.max_workers is None else "thread",
    )


def _seconds(max_wait_time: float | None) -> float:
    if max_wait_time is None:
        return float(MAX_SECONDS)
    return 0.0 if math.isnan(max_wait_time) else min(max(0.0, max_wait_time), float(MAX_SECONDS))


def _execution(given: GivenExecutorOpts | None) -> ExecutorOpts:
    if given is None:
        return ExecutorOpts()
    return ExecutorOpts(
        job_cache_size=given.job_cache_size or None,
        job_cache_ttl=given.job_cache_ttl or None,
        max_workers=given.max_workers or None,
    )


def _route_options(given: Mapping[str, Any], function_name: str) -> dict[str, Any]:
    carried: dict[str, Any] = {name: value for name, value in given.items() if name in _CARRIED}
    if given.get("dependencies"):
        from lambda_kit.compat.fast_dependencies import guard_of  # noqa: PLC0415 - it imports FastAPI

        carried["guards"] = [guard_of(given["dependencies"])]
    known = _CARRIED | {"dependencies"}
    left_out = sorted(name for name, value in given.items() if name not in known and value is not None)
    if left_out:
        logger.warning(
            "%s: post_route_opts are for FastAPI's route, which is Litestar's here: %s left out",
            function_name,
            ", ".join(left_out),
        )
    return carried
