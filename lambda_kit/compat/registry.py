"""The functions that were decorated: which tools a server of theirs has."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lambda_kit.compat.function_tool import function_tool
from lambda_kit.compat.options import lambda_kit_options
from lambda_kit.compat.parameters import UndefinedNameError, read_parameters
from lambda_kit.core.tools.tool import LambdaTool

__all__ = ["ReadyHandler", "ToolDescription", "make_tools", "ready_handlers", "register", "tools"]

logger = logging.getLogger("lambda_kit.compat")

ReadyHandler = Callable[[], bool | Awaitable[bool]]


@dataclass(eq=False)
class ToolDescription:
    """A decorated function, and what its decorator was told."""

    name: str
    path_prefix: str
    worker_fn: Callable[..., Any]
    opts: Any
    """A `ToolOptions` of `lambda_kit.compat.ivcap_lambda`; read when a server is built, so it may change until then."""
    context: Any = None


tools: list[ToolDescription] = []
"""The functions that `start_lambda_server` serves, in the order of their decorators."""

ready_handlers: list[ReadyHandler] = []
"""What else is asked whether the service is ready."""


def register(found: list[ToolDescription], description: ToolDescription) -> None:
    """Add a function to those of a server.

    Args:
        found: Those that the server has.
        description: The function.

    Raises:
        ToolDefinitionError: if it can't be served.
    """
    try:
        read_parameters(description.worker_fn, description.context)
    except UndefinedNameError:  # it may be defined by the time a server is built
        logger.debug("'%s' has an annotation that is not defined yet", description.name)
    found.append(description)


def make_tools(found: Iterable[ToolDescription], app: Callable[[], object]) -> list[LambdaTool]:
    """Make the tools of a server.

    Of several functions with one path the first is served. Several with one name, such as those that a factory has
    made, get a number.

    Args:
        found: The functions.
        app: Gives what ``request.app`` is, for functions that take a request.

    Raises:
        ToolDefinitionError: if one can't be served.
    """
    made: list[LambdaTool] = []
    paths: set[str] = set()
    names: set[str] = set()
    for description in found:
        path = description.path_prefix.rstrip("/") or "/"
        if path in paths:
            logger.warning("'%s' is not served: another function has its path, %s", description.name, path)
            continue
        name = _free_name(description.name, names)
        paths.add(path)
        names.add(name)
        made.append(_made(description, name, path, app, asks_all=not made))
    return made


def _made(
    description: ToolDescription, name: str, path: str, app: Callable[[], object], *, asks_all: bool
) -> LambdaTool:
    handlers: list[ReadyHandler] = [] if description.opts.is_ready is None else [description.opts.is_ready]
    if asks_all:
        handlers += ready_handlers
    return function_tool(
        description.worker_fn,
        read_parameters(description.worker_fn, description.context),
        name=name,
        path=path,
        options=lambda_kit_options(description.opts, description.name),
        context=description.context,
        is_ready=_all_ready(handlers) if handlers else None,
        app=app,
    )


def _all_ready(handlers: list[ReadyHandler]) -> ReadyHandler:
    if len(handlers) == 1:
        return handlers[0]

    async def is_ready() -> bool:
        for handler in handlers:
            answer = handler()
            if not (await answer if isinstance(answer, Awaitable) else answer):
                return False
        return True

    return is_ready


def _free_name(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
