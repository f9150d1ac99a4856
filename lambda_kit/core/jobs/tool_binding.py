"""Puts tools and executors together, and refuses what does not fit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lambda_kit.core.errors import ConfigurationError, ToolDefinitionError, ToolNotFoundError
from lambda_kit.core.ports.executor import Executor
from lambda_kit.core.ports.sink import JobSink
from lambda_kit.core.tools.tool import BoundTool, LambdaTool, tool_instance

__all__ = ["assign_executors", "bind_tools", "check_names", "find_tool", "listed", "require_instance"]

_REMEDIES = {
    "authenticator": ", such as ApiKeys('keys.txt') or OidcAuthenticator(...) of lambda_kit.adapters.auth",
    "mcp": ", or True for its defaults",
}
"""What to write for an argument of `ToolServer`, where its class alone does not tell."""


def listed(argument: str, given: Any, kind: type[Any]) -> list[Any]:
    """The parts that were given for an argument of `ToolServer`: one, several, or none.

    Args:
        argument: Its name, for the text.
        given: What was given for it.
        kind: What each has to be.

    Raises:
        ConfigurationError: if it is anything else, such as a class; says what to write.
    """
    is_one = isinstance(given, (kind, str, Mapping, type)) or not isinstance(given, Iterable)
    parts = [] if given is None else [given] if is_one else list(given)
    for part in parts:
        require_instance(argument, part, kind)
    return parts


def require_instance(argument: str, given: Any, kind: type[Any]) -> None:
    """Refuse for an argument of `ToolServer` what is no instance of a class.

    Raises:
        ConfigurationError: says what to write.
    """
    if isinstance(given, kind):
        return
    if isinstance(given, type) and issubclass(given, kind):
        raise ConfigurationError(
            f"ToolServer({argument}={given.__name__}): it is a class: pass an instance, {given.__name__}(...)"
        )
    shown = given.__name__ if isinstance(given, type) else repr(given)
    remedy = _REMEDIES.get(argument, "")
    if kind is Executor and isinstance(given, str):
        remedy = f"; a built-in one is chosen by name in the tool: ToolOptions(executor={given!r})"
    raise ConfigurationError(f"ToolServer({argument}={shown}): must be an instance of {kind.__name__}{remedy}")


def check_names(argument: str, parts: Sequence[Executor | JobSink]) -> None:
    """Refuse executors or sinks that can't be told apart.

    Args:
        argument: Of `ToolServer`, for the text.
        parts: What was given for it.

    Raises:
        ConfigurationError: if one has no name, or two have the same; says what to do.
    """
    owners: dict[str, str] = {}
    for part in parts:
        owner, name = type(part).__name__, getattr(part, "name", None)
        if not isinstance(name, str) or not name:
            raise ConfigurationError(
                f"ToolServer({argument}=...): {owner} has no name: set the attribute 'name' in it, such as "
                f"name = '{owner.lower()}'"
            )
        if name in owners:
            raise ConfigurationError(
                f"ToolServer({argument}=...): {owners[name]} and {owner} have the same name, {name!r}: give one of "
                "them another 'name', or leave it out"
            )
        owners[name] = owner


def bind_tools(tools: object) -> list[BoundTool]:
    """Check tools, each by itself and beside the others.

    Args:
        tools: Classes and instances, in any collection that has an order.

    Raises:
        ToolDefinitionError: if it is no such collection, there is no tool in it, one can't be served, or two have the
            same name or path.
    """
    if isinstance(tools, (str, Mapping, type)) or not isinstance(tools, Iterable):
        shown = tools.__name__ if isinstance(tools, type) else repr(tools)
        is_one = isinstance(tools, LambdaTool) or (isinstance(tools, type) and issubclass(tools, LambdaTool))
        remedy = f"write tools=[{shown}]" if is_one and isinstance(tools, type) else "write tools=[...]"
        raise ToolDefinitionError(f"ToolServer(tools={shown}): must be a list of tools: {remedy}")
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
    own_pools: Mapping[str, Callable[[str, int], Executor]],
) -> tuple[dict[str, Executor], list[BoundTool]]:
    """Decide where each tool runs.

    Args:
        tools: The tools, each with the executor that fits it.
        built_in: The executors that are always there.
        own: The user's. One with the name of a built-in takes its place; a single one with another name runs every tool
            that names none.
        own_pools: For a built-in executor, what makes one of its kind for a single tool, of a name and a size.

    Returns:
        All executors by name, and the tools with the names of theirs.

    Raises:
        ConfigurationError: if one of the user's has no name, or two have the same.
        ToolDefinitionError: if a tool names an executor that is not there, can't run on its own, sets ``max_workers``
            for one that is not built in, or has a ``max_queue`` that leaves no room for any job.
    """
    check_names("executor", own)
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
        if workers is not None:
            if name not in own_pools or executors[name] is not built_in.get(name):
                raise ToolDefinitionError(
                    f"{type(tool.tool).__name__}: max_workers={workers} has no meaning for the executor {name!r}, "
                    "which was passed to ToolServer: set the size of that executor instead, or choose a built-in one "
                    "by ToolOptions(executor=...)"
                )
            own_name = f"{name}:{tool.name}"
            executors[own_name] = own_pools[name](own_name, workers)
            name = own_name
        _check_room(tool, executors[name])
        assigned.append(replace(tool, executor=name))
    return executors, assigned


def _check_room(tool: BoundTool, executor: Executor) -> None:
    options = tool.options
    if (
        options.max_queue == 0
        and options.max_concurrency is None
        and executor.capacity is None
        and executor.stats().capacity is None
    ):
        raise ToolDefinitionError(
            f"{type(tool.tool).__name__}: max_queue=0 leaves no room for any job, since nothing bounds how many run at "
            "once: set ToolOptions(max_concurrency=...) too, or a larger max_queue"
        )


def find_tool(tools: Iterable[BoundTool], wanted: type[LambdaTool] | LambdaTool | str) -> BoundTool:
    """The tool of a server that a class, an instance or a name stands for.

    Raises:
        ToolNotFoundError: if there is none.
        ConfigurationError: if several are instances of the class.
    """
    served = list(tools)
    found = [bound for bound in served if wanted in (bound.name, bound.tool, type(bound.tool))]
    if len(found) > 1:
        names = ", ".join(repr(bound.name) for bound in found)
        raise ConfigurationError(
            f"{type(found[0].tool).__name__} is served more than once: pass the instance or the name of the one "
            f"that is meant: {names}"
        )
    if found:
        return found[0]
    raise ToolNotFoundError(f"{wanted!r} is not served here; the tools are {', '.join(tool.name for tool in served)}")
