"""Checks the hooks of a tool when a server is built, before the service starts without them."""

import inspect
from collections.abc import Callable
from typing import Any

from lambda_kit.core.errors import ToolDefinitionError

__all__ = ["check_hooks", "required_parameters"]

_HOOKS = {
    "setup": "def setup(self) -> None",
    "teardown": "def teardown(self) -> None",
    "is_ready": "def is_ready(self) -> bool",
}


def check_hooks(tool: object) -> None:
    """Refuse hooks that can't be called.

    Raises:
        ToolDefinitionError: names class, hook and remedy.
    """
    for hook, form in _HOOKS.items():
        _check_hook(tool, hook, form)


def _check_hook(tool: object, hook: str, form: str) -> None:
    where = f"{type(tool).__name__}.{hook}"
    declared = inspect.getattr_static(tool, hook)
    if isinstance(declared, property):  # not read here: that could load a model
        raise ToolDefinitionError(f"{where} is a property: remove '@property', it must be a method, '{form}'")
    method = getattr(tool, hook)
    if isinstance(method, type) or not callable(method):
        raise ToolDefinitionError(f"{where} = {method!r}: it must be a method, '{form}'")
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        raise ToolDefinitionError(
            f"{where} is a generator (it has a 'yield'): prepare in 'setup', and clean up in 'teardown'"
        )
    if required := required_parameters(method):
        raise ToolDefinitionError(
            f"{where} takes '{required[0]}', which nothing can supply: write '{form}'; what it needs can be given to "
            "the constructor, and the instance to the server"
        )


def required_parameters(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments without which it can't be called."""
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
