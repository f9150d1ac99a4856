"""The executors that every server has, and those of their kinds for a single tool."""

from collections.abc import Callable, Mapping

from lambda_kit.adapters.executors.asyncio import AsyncioExecutor
from lambda_kit.adapters.executors.process.executor import ProcessExecutor
from lambda_kit.adapters.executors.thread import ThreadExecutor
from lambda_kit.core.ports.executor import Executor

__all__ = ["OWN_POOLS", "built_in_executors"]


def built_in_executors() -> dict[str, Executor]:
    """New ones, by their names, for one server."""
    return {"asyncio": AsyncioExecutor(), "thread": ThreadExecutor(), "process": ProcessExecutor()}


def _own_tasks(name: str, size: int) -> Executor:
    executor = AsyncioExecutor(max_concurrency=size)
    executor.name = name
    return executor


def _own_threads(name: str, size: int) -> Executor:
    return ThreadExecutor(size, name=name)


def _own_processes(name: str, size: int) -> Executor:
    return ProcessExecutor(size, name=name)


OWN_POOLS: Mapping[str, Callable[[str, int], Executor]] = {
    "asyncio": _own_tasks,
    "thread": _own_threads,
    "process": _own_processes,
}
"""For each of them, what makes one of its kind for one tool, of a name and a size (`ExecutorOpts.max_workers`)."""
