"""Every way in which a tool may send a GET, by name: each is called with a URL and header fields."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import requests
from requests import get
from requests.adapters import HTTPAdapter

old_session = requests.Session()
old_client = httpx.Client()
Fields = dict[str, str]


class OwnSession(requests.Session):
    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        return super().send(request, *args, **options)


class OwnAdapter(HTTPAdapter):
    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        return super().send(request, *args, **options)


class OwnClient(httpx.Client):
    def send(self, request: Any, *args: Any, **options: Any) -> Any:
        return super().send(request, *args, **options)


def _prepared(url: str, fields: Fields) -> Any:
    with requests.Session() as session:
        return session.send(requests.Request("GET", url, headers=fields).prepare())


def _own_session(url: str, fields: Fields) -> Any:
    with OwnSession() as session:
        session.mount("http://", OwnAdapter())
        return session.get(url, headers=fields)


def _own_client(url: str, fields: Fields) -> Any:
    with OwnClient(follow_redirects=True) as client:
        return client.get(url, headers=fields)


def _built(url: str, fields: Fields) -> Any:
    return old_client.send(old_client.build_request("GET", url, headers=fields), follow_redirects=True)


def _httpx2(url: str, fields: Fields) -> Any:
    import httpx2  # noqa: PLC0415 - after the server has started

    return httpx2.get(url, headers=fields, follow_redirects=True)


def _httpx2_client(url: str, fields: Fields) -> Any:
    import httpx2  # noqa: PLC0415

    with httpx2.Client(follow_redirects=True) as client:
        return client.get(url, headers=fields)


SYNC: dict[str, Callable[[str, Fields], Any]] = {
    "requests.get": lambda url, fields: requests.get(url, headers=fields),
    "from requests import get": lambda url, fields: get(url, headers=fields),
    "an old session": lambda url, fields: old_session.get(url, headers=fields),
    "a prepared request": _prepared,
    "a session of its own": _own_session,
    "httpx.get": lambda url, fields: httpx.get(url, headers=fields, follow_redirects=True),
    "an old client": lambda url, fields: old_client.get(url, headers=fields, follow_redirects=True),
    "a client of its own": _own_client,
    "a built request": _built,
    "httpx2.get": _httpx2,
    "httpx2.Client": _httpx2_client,
}


async def _async_httpx(url: str, fields: Fields) -> Any:
    async with httpx.AsyncClient(follow_redirects=True) as client:
        return await client.get(url, headers=fields)


async def _async_httpx2(url: str, fields: Fields) -> Any:
    import httpx2  # noqa: PLC0415

    async with httpx2.AsyncClient(follow_redirects=True) as client:
        return await client.get(url, headers=fields)


ASYNC: dict[str, Callable[[str, Fields], Awaitable[Any]]] = {
    "httpx.AsyncClient": _async_httpx,
    "httpx2.AsyncClient": _async_httpx2,
}
