"""Marks the calls that tools make with `requests`, and with what is built on it."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from requests.cookies import RequestsCookieJar, extract_cookies_to_jar

from lambda_kit.adapters.outgoing.marking import Change, change_of, without_baggage
from lambda_kit.adapters.outgoing.platform_hosts import Platform, Target

__all__ = ["wrap_adapter_send"]


def wrap_adapter_send(platform: Callable[[], Platform], send: Any, is_on: Callable[[], bool]) -> Any:
    """`requests.adapters.HTTPAdapter.send`, which every request and every hop of a redirect passes, marking them.

    What is marked is a copy: neither `Session` nor the response ever sees what was added, so that none of it can come
    along to the next hop.
    """

    @functools.wraps(send)
    def marking_send(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        change = change_of(platform(), Target.of(request.url), request.headers) if is_on() else None
        if change is None:
            return send(self, request, *args, **options)
        if change.proxy is not None:
            args, options = _direct(args, options)
        with without_baggage() if change.hides_baggage else contextlib.nullcontext():
            response = send(self, _marked(request, change), *args, **options)
        response.request, response.url = request, request.url
        if change.proxy is not None:
            response.cookies = RequestsCookieJar()
            extract_cookies_to_jar(response.cookies, request, response.raw)  # of the host that the tool has asked
        return response

    return marking_send


def _marked(request: Any, change: Change) -> Any:
    if not change.copies:
        return request
    marked = request.copy()
    for name in change.remove:
        del marked.headers[name]
    marked.headers.update(change.set)
    if change.proxy is not None:
        marked.url = change.proxy.url
        marked.headers.pop("Host", None)  # that of the URL now
    return marked


def _direct(args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments behind the request (stream, timeout, verify, cert, proxies) without the way by another proxy."""
    return args[:4], {**options, "proxies": {}}
