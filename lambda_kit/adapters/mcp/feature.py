"""`Feature`: one part of what the endpoint answers, such as the calls of tools. `McpEndpoint` lists them all."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from lambda_kit.adapters.mcp.exchange import Exchange
from lambda_kit.adapters.mcp.messages import Json
from lambda_kit.adapters.mcp.request import McpNotification, McpRequest

__all__ = ["Feature", "Handler", "NotificationHandler"]

Handler: TypeAlias = Callable[[McpRequest, Exchange], Awaitable[Json]]
"""Answers a request with the JSON of its result.

Raises:
    McpError: if there is none; its text is for the client.
    NoAnswer: if the stream ends without one.
"""

NotificationHandler: TypeAlias = Callable[[McpNotification], Awaitable[None]]
"""Does what a notification of a client asks for. It is never answered."""


class Feature:
    """A part of what is answered. What it does not have, it leaves as it is here."""

    handlers: Mapping[str, Handler] = {}
    """By method, of those that the specification has: the SDK's validator of the version has seen the params."""

    extension_handlers: Mapping[str, Handler] = {}
    """By method, of extensions of 2026-07-28: the params are an object with a valid ``_meta``, and no more is known."""

    notification_handlers: Mapping[str, NotificationHandler] = {}
    """By method; those of all features are called."""

    def capabilities(self, *, is_stateless: bool) -> Mapping[str, Any]:
        """What ``server/discover`` and ``initialize`` say of it.

        Args:
            is_stateless: Whether to a client of 2026-07-28.
        """
        return {}

    async def start(self) -> None:
        """Begin: jobs can be submitted. A server may be started again after its end."""

    async def drained(self) -> None:
        """The jobs of this process have ended, and nothing is closed yet. Bounded by 5 s, with all features."""
