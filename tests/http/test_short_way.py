"""A body, or an answer, that is all there passes between our server and the app at once; what is wrapped, never."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer


class Ask(BaseModel):
    text: str


class Echo(LambdaTool):
    """Echo"""

    path = "/"

    async def run(self, req: Ask) -> str:
        return req.text


class Cycle:
    """A request of a server that has the short way."""

    def __init__(self, body: bytes, *, is_short: bool = True) -> None:
        self.body = body
        self.is_short = is_short
        self.whole: tuple[int, dict[bytes, bytes], bytes] | None = None
        self.messages: list[Any] = []
        self.received = 0

    def take_body(self) -> bytes | None:
        return self.body if self.is_short else None

    def send_whole(self, status: int, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        if self.is_short:
            self.whole = (status, dict(fields), body)
        return self.is_short

    async def receive(self) -> Any:
        self.received += 1
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Any) -> None:
        self.messages.append(message)


async def post(cycle: Cycle, *, is_wrapped: bool = False, max_body_bytes: int = 1000) -> None:
    contact: Any = {"name": "Alice", "email": "alice@example.com"}
    server = ToolServer(Service(name="Short", contact=contact), [Echo], max_body_bytes=max_body_bytes)

    async def receive() -> Any:
        return await cycle.receive()

    async def send(message: Any) -> None:
        await cycle.send(message)

    scope: Any = {
        "type": "http", "method": "POST", "path": "/", "raw_path": b"/", "query_string": b"", "http_version": "1.1",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")], "scheme": "http",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip
    async with server:
        if is_wrapped:
            await server.app(scope, receive, send)
        else:
            await server.app(scope, cycle.receive, cycle.send)


async def test_the_body_is_taken_and_the_answer_sent_at_once_with_all_its_fields() -> None:
    cycle = Cycle(b'{"text": "hello"}')
    await post(cycle)
    assert cycle.whole is not None
    status, fields, body = cycle.whole
    assert (status, body, fields[b"content-length"]) == (200, b"hello", b"5")
    assert fields[b"x-content-type-options"] == b"nosniff"
    assert fields[b"cache-control"] == b"no-store"
    assert cycle.received == 0
    assert not cycle.messages


@pytest.mark.parametrize("is_wrapped", [True, False])
async def test_a_server_that_can_not_now_and_one_that_is_wrapped_get_the_same_by_messages(is_wrapped: bool) -> None:
    short, long = Cycle(b'{"text": "hello"}'), Cycle(b'{"text": "hello"}', is_short=is_wrapped)
    await post(short)
    await post(long, is_wrapped=is_wrapped)
    assert short.whole is not None
    assert long.whole is None
    assert long.received == 1
    start, rest = long.messages
    fields = {name: value for name, value in start["headers"] if name != b"job-id"}
    assert (start["status"], rest["body"]) == (200, short.whole[2])
    assert fields == {name: value for name, value in short.whole[1].items() if name != b"job-id"}


async def test_a_body_that_is_there_at_once_has_the_same_limit() -> None:
    cycle = Cycle(b'{"text": "hello"}')
    await post(cycle, max_body_bytes=10)
    assert [message["status"] for message in cycle.messages if "status" in message] == [413]
