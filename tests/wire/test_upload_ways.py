"""Files reach a tool alike: in process, in Structs and dataclasses, behind guards and middleware."""

import base64
import copy
import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from pydantic import BaseModel

from lambda_kit import Job, LambdaTool, RequestValidationError, Service, ToolOptions, ToolServer, UploadedFile
from lambda_kit.testing import TestClient
from tests.core.flaky_store import FlakyStore

LARGE = b"x" * 3_000_000


class Form(BaseModel):
    file: UploadedFile
    count: int = 1


class FormStruct(msgspec.Struct):
    file: UploadedFile
    count: int = 1


@dataclasses.dataclass
class FormData:
    file: UploadedFile
    more: list[UploadedFile] = dataclasses.field(default_factory=list)
    count: int = 1


def seen(file: UploadedFile) -> dict[str, Any]:
    start, rest = file.read(2), file.read()
    assert file.read() == b""
    with file.open() as again:
        assert start + rest == again.read() == file.path.read_bytes()
    return {"name": file.filename, "type": file.content_type, "start": start.decode(), "size": file.size}


class Look(LambdaTool):
    """Look at a file"""

    def run(self, req: Form) -> dict[str, Any]:
        return seen(req.file)


class LookFar(Look):
    """Look at a file in another process"""

    options = ToolOptions(executor="process")


class LookStruct(LambdaTool):
    """Look at a file of a Struct"""

    async def run(self, req: FormStruct) -> dict[str, Any]:
        return {**seen(req.file), "count": req.count}


class LookData(LambdaTool):
    """Look at a file of a dataclass"""

    def run(self, req: FormData) -> dict[str, Any]:
        return {**seen(req.file), "count": req.count, "more": len(req.more)}


class LookGuarded(Look):
    """Look at a file behind a guard"""

    options = ToolOptions(post_route_opts={"guards": [lambda connection, handler: None]})


class LookRequest(LambdaTool):
    """Look at a file and at the request"""

    def run(self, req: Form, request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {**seen(req.file), "method": request.method}


class Give(LambdaTool):
    """Give the request back"""

    def run(self, req: Form) -> Form:
        return req


class ReadsBodies(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        await Request[Any, Any, Any](scope, receive, send).body()
        await next_app(scope, receive, send)


def a_server(*tools: type[LambdaTool], **options: Any) -> ToolServer:
    service = Service(name="Uploads", contact={"name": "T", "email": "t@example.com"})
    return ToolServer(service, tools=list(tools), **options)


# in process


@pytest.mark.parametrize("tool", [Look, pytest.param(LookFar, marks=pytest.mark.processes)])
async def test_a_file_is_handed_over_in_process(tool: type[LambdaTool], tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_bytes(b"1,2\n")
    async with a_server(Look, LookFar) as server:
        of_bytes = UploadedFile.from_bytes(b"hello", "a.txt", "text/plain")
        expected = {"name": "a.txt", "type": "text/plain", "start": "he", "size": 5}
        assert await server.run_tool(tool, Form(file=of_bytes)) == expected
        expected = {"name": "b.csv", "type": "text/csv", "start": "1,", "size": 4}
        assert await server.run_tool(tool, Form(file=UploadedFile.from_path(path))) == expected
        expected = {"name": None, "type": "application/octet-stream", "start": "hi", "size": 2}
        assert await server.run_tool(tool, {"file": base64.b64encode(b"hi").decode()}) == expected
        odd = {"content": base64.b64encode(b"hi").decode(), "content_type": "no media type"}
        assert await server.run_tool(tool, {"file": odd}) == expected
    assert path.exists()


async def test_a_dict_without_a_file_is_refused_in_process() -> None:
    with pytest.raises(RequestValidationError):
        await a_server(Look).run_tool(Look, {"file": 5})


async def test_a_file_in_a_result_is_base64() -> None:
    given = await a_server(Give).run_tool(Give, Form(file=UploadedFile.from_bytes(b"hello", "a.txt")))
    assert isinstance(given, Form)
    assert (given.file.filename, given.file.read()) == ("a.txt", b"hello")


def test_a_tool_can_be_tested_without_a_server() -> None:
    file = UploadedFile.from_bytes(b"hello", "a.txt")
    assert Look().run(Form(file=file))["size"] == 5
    assert file.path.suffix == ".txt"
    assert copy.deepcopy(Form(file=file)).file.path == file.path


# other kinds of model


def test_a_struct_has_files() -> None:
    expected = {"name": "a", "type": "x/y", "start": "12", "size": 3, "count": 2}
    with TestClient(a_server(LookStruct)) as client:
        answer = client.post("/look-struct", files={"file": ("a", b"123", "x/y")}, data={"count": "2"})
        assert answer.json() == expected
        in_json = {"filename": "a", "content_type": "x/y", "content": base64.b64encode(b"123").decode()}
        assert client.post("/look-struct", json={"file": in_json, "count": 2}).json() == expected
        refused = client.post("/look-struct", json={"file": "no base64!"})
        assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", "file"])
        schema = client.get("/look-struct").json()["fn_schema"]
        assert schema["properties"]["file"]["title"] == "UploadedFile"


def test_a_dataclass_has_files() -> None:
    with TestClient(a_server(LookData)) as client:
        files = [("file", ("a", b"123")), ("more", ("b", b"4")), ("more", ("c", b"5"))]
        answer = client.post("/look-data", files=files, data={"count": "2"}).json()
        assert (answer["size"], answer["count"], answer["more"]) == (3, 2, 2)


# behind what users put in front


@pytest.mark.parametrize("tool", [LookGuarded, LookRequest])
def test_a_large_form_takes_the_long_way_too(tool: type[LambdaTool]) -> None:
    with TestClient(a_server(tool, max_body_bytes=1_000_000)) as client:
        assert client.post(tool.path, files={"file": ("a", LARGE)}).json()["size"] == len(LARGE)
        assert client.post(tool.path, json={"file": "aGk="}).json()["size"] == 2


def test_a_form_that_a_middleware_has_read_is_taken() -> None:
    with TestClient(a_server(Look, middleware=[ReadsBodies()])) as client:
        assert client.post("/look", files={"file": ("a", LARGE)}).json()["size"] == len(LARGE)


def test_a_form_that_is_sent_again_brings_its_files_to_the_job_that_was_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FlakyStore(tmp_path / "jobs.db")
    form: dict[str, Any] = {"files": {"file": ("a.txt", LARGE)}, "headers": {"job-id": "mine"}}
    with TestClient(a_server(Look, store=store)) as client:
        store.lost["create"] = 1
        assert client.post("/look", **form).status_code == 503
        found = store.get

        async def get_too_early(_job_id: str) -> Job | None:  # what was asked for first is still on its way
            monkeypatch.setattr(store, "get", found)
            return None

        monkeypatch.setattr(store, "get", get_too_early)
        answer = client.post("/look", **form)
        assert (answer.status_code, answer.json()["size"]) == (200, len(LARGE)), answer.text
