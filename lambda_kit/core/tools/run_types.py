"""Tools as type checkers see them: what their `run` returns."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

__all__ = ["Runs", "RunsAsync"]

R_co = TypeVar("R_co", covariant=True)


class Runs(Protocol[R_co]):
    """A tool with a plain ``def run``."""

    @property
    def run(self) -> Callable[..., R_co]:
        """What `run` is called with is the framework's matter."""
        ...


class RunsAsync(Protocol[R_co]):
    """A tool with an ``async def run``."""

    @property
    def run(self) -> Callable[..., Coroutine[Any, Any, R_co]]:
        """What `run` is called with is the framework's matter."""
        ...
