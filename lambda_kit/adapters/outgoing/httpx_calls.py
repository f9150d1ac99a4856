"""Marks the calls that tools make with `httpx` or `httpx2`, which are alike, and with what is built on them."""

import contextlib
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from lambda_kit.adapters.outgoing.marking import Change, change_of, without_baggage
from lambda_kit.adapters.outgoing.platform_hosts import Platform, Target

__all__ = ["wrap_async_send", "wrap_send"]

SEND = "_send_single_request"
"""The method of both clients that every request and every hop of a redirect passes, before its transport is chosen:
a proxy needs the transport of its own URL. What is public is passed once for all hops (`send`), or too late."""


def wrap_send(module: ModuleType, platform: Callable[[], Platform], send: Any, is_on: Callable[[], bool]) -> Any:
    """`Client._send_single_request`, marking a copy of the request: the next hop is made from the original."""

    @functools.wraps(send)
    def marking_send(self: Any, request: Any) -> Any:
        change = _change(platform, request, is_on)
        if change is None:
            return send(self, request)
        with _context(change):
            response = send(self, _marked(module, request, change))
        return _as_asked(self, response, request, change)

    return marking_send


def wrap_async_send(module: ModuleType, platform: Callable[[], Platform], send: Any, is_on: Callable[[], bool]) -> Any:
    """The same of `AsyncClient`."""

    @functools.wraps(send)
    async def marking_send(self: Any, request: Any) -> Any:
        change = _change(platform, request, is_on)
        if change is None:
            return await send(self, request)
        with _context(change):
            response = await send(self, _marked(module, request, change))
        return _as_asked(self, response, request, change)

    return marking_send


def _change(platform: Callable[[], Platform], request: Any, is_on: Callable[[], bool]) -> Change | None:
    if not is_on():
        return None
    target = Target.of(str(request.url), request.url.raw_host.decode("ascii", "replace"))
    return change_of(platform(), target, request.headers)


def _context(change: Change) -> contextlib.AbstractContextManager[None]:
    return without_baggage() if change.hides_baggage else contextlib.nullcontext()


def _marked(module: ModuleType, request: Any, change: Change) -> Any:
    if not change.copies:
        return request
    headers = request.headers.copy()
    for name in change.remove:
        del headers[name]
    for name, value in change.set.items():
        headers[name] = value
    url = request.url
    if change.proxy is not None:
        url = module.URL(change.proxy.url)
        headers["Host"] = url.netloc.decode("ascii")
    return module.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)


def _as_asked(client: Any, response: Any, request: Any, change: Change) -> Any:
    """The response to the request as the tool has made it."""
    response.request = request
    if change.proxy is not None:
        client.cookies.extract_cookies(response)  # for the host that the tool has asked
    return response
