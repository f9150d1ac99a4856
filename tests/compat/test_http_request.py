"""The request of FastAPI or Starlette that decorated functions may take."""

import asyncio
from typing import Annotated, Any

import fastapi
import starlette.requests
from ivcap_service import JobContext
from pydantic import BaseModel

from lambda_kit.compat.ivcap_lambda import get_fast_app, get_public_url_prefix, ivcap_lambda
from lambda_kit.compat.ivcap_lambda.server import get_tool_server
from lambda_kit.compat.ivcap_lambda.utils import find_first, get_forwarded_header, get_title_from_path
from lambda_kit.testing import TestClient
from tests.compat.conftest import SERVICE, Served


class Ask(BaseModel):
    n: int = 0


def test_it_answers_what_fastapis_own_does(served: Served) -> None:
    def look(req: Ask, freq: fastapi.Request, ctxt: JobContext) -> dict[str, Any]:
        freq.state.mark = 1
        assert freq.client is not None
        return {
            "headers": freq.headers.items(),
            "method": freq.method,
            "url": str(freq.url),
            "path": freq.url.path,
            "query": dict(freq.query_params),
            "client": freq.client.host,
            "cookies": freq.cookies,
            "mark": freq.state.mark,
            "type": freq.scope["type"],
            "app": freq.app is get_fast_app(),
            "body": asyncio.run(freq.body()).decode(),
            "json": asyncio.run(freq.json()),
            "is": isinstance(freq, fastapi.Request),
            "prefix": get_public_url_prefix(freq),
        }

    ivcap_lambda("/look")(look)
    headers = {"authorization": "Bearer of-the-caller", "cookie": "a=b", "x-own": "1"}
    told = served().post("/look?q=1", json={"n": 1}, headers=headers).json()
    sent = dict(told.pop("headers"))
    assert {name: sent[name] for name in headers} == headers
    assert told == {
        "method": "POST", "url": "http://testserver.local/look?q=1", "path": "/look", "query": {"q": "1"},
        "client": "testclient", "cookies": {"a": "b"}, "mark": 1, "type": "http", "app": True,
        "body": '{"n":1}', "json": {"n": 1}, "is": True, "prefix": "http://testserver.local",
    }  # fmt: skip


def test_an_async_function_reads_its_body_again_and_again(served: Served) -> None:
    async def read(req: Ask, freq: starlette.requests.Request) -> list[Any]:
        streamed = b"".join([chunk async for chunk in freq.stream()])
        return [await freq.json(), (await freq.body()).decode(), streamed.decode(), await freq.is_disconnected()]

    ivcap_lambda("/read")(read)
    assert served().post("/read", json={"n": 2}).json() == [{"n": 2}, '{"n":2}', '{"n":2}', False]


def test_it_is_there_after_the_client_was_told_to_come_again(served: Served) -> None:
    def told(req: Ask, freq: Annotated[fastapi.Request, "http"] | None) -> str:
        assert freq is not None
        return str(freq.headers["authorization"])

    ivcap_lambda("/told")(told)
    client = served()
    later = client.post("/told", json={}, headers={"authorization": "Bearer abc", "prefer": "respond-async"})
    assert later.status_code == 204
    assert client.get(later.headers["location"], headers={"prefer": "wait=20"}).text == "Bearer abc"


async def test_a_job_that_was_not_made_by_http_gets_one_that_is_made_up() -> None:
    def look(req: Ask, freq: fastapi.Request) -> list[Any]:
        return [freq.method, freq.url.path, asyncio.run(freq.json()), freq.client]

    ivcap_lambda("/look")(look)
    server = get_tool_server(SERVICE)
    assert await server.run_tool("look", Ask(n=3)) == ["POST", "/look", {"n": 3}, None]


def test_a_connection_is_enough(served: Served) -> None:
    def path(req: Ask, connection: starlette.requests.HTTPConnection) -> str:
        return str(connection.url.path)

    ivcap_lambda("/path")(path)
    assert served().post("/path", json={}).text == "/path"


def test_the_forwarded_field_of_a_trusted_proxy_is_in_the_public_url() -> None:
    def prefix(req: Ask, freq: fastapi.Request) -> list[Any]:
        return [get_public_url_prefix(freq), get_forwarded_header(freq)]

    ivcap_lambda("/prefix")(prefix)
    fields = {"forwarded": 'for=1.2.3.4;proto=https;host="tools.example.com"'}
    server = get_tool_server(SERVICE)
    server.enable(forwarded_allow_ips="*")
    with TestClient(server) as trusting:
        told = trusting.post("/prefix", json={}, headers=fields).json()
    assert told == ["https://tools.example.com", {"for": "1.2.3.4", "proto": "https", "host": "tools.example.com"}]


def test_the_small_functions_answer_as_they_did() -> None:
    assert get_title_from_path("/many/things") == ("thing", "Thing")
    assert get_title_from_path("/") == ("", "")
    assert find_first([1, 2, 3], lambda n: n > 1) == 2
    assert find_first([], bool) is None
