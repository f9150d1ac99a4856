"""Puts tools and executors together, and refuses what does not fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lambda_kit.core.errors import ToolDefinitionError
from lambda_kit.core.executor import Executor
from lambda_kit.core.tool import BoundTool, LambdaTool, tool_instance

__all__ = ["assign_executors", "bind_tools"]


def bind_tools(tools: Sequence[type[LambdaTool] | LambdaTool]) -> list[BoundTool]:
    """Check tools, each by itself and beside the others.

    Raises:
        ToolDefinitionError: if there is none, one can't be served, or two have the same name or path.
    """
    bound = [BoundTool.bind(tool_instance(tool)) for tool in tools]
    if not bound:
        raise ToolDefinitionError("there is no tool to serve: define a subclass of LambdaTool with a 'run' method")
    for attribute in ("name", "path"):
        owners: dict[str, str] = {}
        for tool in bound:
            value, owner = getattr(tool, attribute), type(tool.tool).__name__
            if value in owners:
                raise ToolDefinitionError(
                    f"{owners[value]} and {owner} have the same {attribute}, {value!r}: set '{attribute}' in one "
                    "of them"
                )
            owners[value] = owner
    return bound


def assign_executors(
    tools: Sequence[BoundTool],
    built_in: Mapping[str, Executor],
    own: Sequence[Executor],
    own_pool: Callable[[str, int], Executor],
) -> tuple[dict[str, Executor], list[BoundTool]]:
    """Decide where each tool runs.

    Args:
        tools: The tools, each with the executor that fits it.
        built_in: The executors that are always there.
        own: The user's. One with the name of a built-in takes its place; a single one with another name runs every tool
            that names none.
        own_pool: Makes a thread pool for one tool, of a name and a size.

    Returns:
        All executors by name, and the tools with the names of theirs.

    Raises:
        ToolDefinitionError: if a tool names an executor that is not there, or can't run on its own.
    """
    default = own[0].name if len(own) == 1 and own[0].name not in built_in else None
    executors = {**built_in, **{executor.name: executor for executor in own}}
    assigned: list[BoundTool] = []
    for tool in tools:
        name = tool.options.executor or default or tool.executor
        if name not in executors:
            raise ToolDefinitionError(
                f"{type(tool.tool).__name__}: executor={name!r} is not known: use {', '.join(map(repr, executors))}, "
                "or pass one with that name as ToolServer(executor=...)"
            )
        executors[name].check(tool)
        workers = tool.options.execution.max_workers
        if workers is not None and name == "thread":
            name = f"thread:{tool.name}"
            executors[name] = own_pool(name, workers)
        assigned.append(replace(tool, executor=name))
    return executors, assigned
