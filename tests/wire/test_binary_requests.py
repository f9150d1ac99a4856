"""Tools that take a file of any media type as the body of the request."""

import base64
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from lambda_kit import BinaryRequest, LambdaTool, RequestValidationError, Service, ToolServer
from tests.support.service_process import ServiceProcess
from tests.support.shouting_service import service_file
from tests.wire.answers import assert_problem, new_id

_TOOLS = '''
from lambda_kit import BinaryRequest

class Look(LambdaTool):
    """Look at a file"""

    def run(self, req: BinaryRequest) -> dict:
        return {"type": req.content_type, "name": req.filename, "content": req.content.decode("latin-1")}

class Count(LambdaTool):
    """Count the bytes of a file"""

    async def run(self, req: bytes) -> int:
        return len(req)
'''


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("binary")
    options = f"max_body_bytes=100_000, store='sqlite:///{folder}/jobs.db'"
    file = service_file(folder, body=_TOOLS, tools="Look, Count, Shout", options=options)
    with ServiceProcess(file) as service, httpx.Client(base_url=service.url, timeout=60) as session:
        yield session


@pytest.mark.parametrize(
    "media", ["image/png", "application/json", "text/csv; charset=latin-1", "multipart/form-data; boundary=x", "a/b"]
)
def test_a_file_of_any_type_is_taken_as_it_is(client: httpx.Client, media: str) -> None:
    answer = client.post("/look", content=b'{"\xff', headers={"Content-Type": media})
    assert answer.json() == {"type": media, "name": None, "content": '{"\xff'}


def test_bytes_are_taken_without_a_word_of_what_they_are(client: httpx.Client) -> None:
    assert client.post("/count", content=b"\x00" * 1000).json() == 1000
    assert client.post("/look", content=b"x").json() == {
        "type": "application/octet-stream",
        "name": None,
        "content": "x",
    }
    assert client.post("/count", content=b"").json() == 0


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename=\"a.txt\"; filename*=UTF-8''%e2%82%ac.txt", "€.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("inline", None),
    ],
)
def test_the_name_of_a_file_is_that_of_content_disposition(
    client: httpx.Client, disposition: str, name: str | None
) -> None:
    answer = client.post("/look", content=b"x", headers={"Content-Disposition": disposition})
    assert answer.json()["name"] == name


def test_what_is_no_media_type_is_refused(client: httpx.Client) -> None:
    assert_problem(client.post("/look", content=b"x", headers={"Content-Type": "nonsense"}), 415)
    assert_problem(client.post("/look", content=b"x", headers={"Content-Type": f"a/{'b' * 2000}"}), 415)


def test_a_file_over_the_limit_is_refused(client: httpx.Client) -> None:
    assert_problem(client.post("/count", content=b"x" * 100_001), 413)


def test_a_file_attaches_to_its_job_and_another_one_conflicts(client: httpx.Client) -> None:
    headers = {"job-id": new_id(), "Content-Type": "image/png"}
    first = client.post("/look", content=b"one", headers=headers)
    assert client.post("/look", content=b"one", headers=headers).content == first.content
    assert_problem(client.post("/look", content=b"two", headers=headers), 409)
    assert_problem(client.post("/look", content=b"one", headers={**headers, "Content-Type": "image/gif"}), 409)
    record = client.get(f"/jobs/{headers['job-id']}/status").json()
    assert record["request-content-type"] == "image/png"


def test_other_tools_take_json_only(client: httpx.Client) -> None:
    assert_problem(client.post("/shout", content=b"x", headers={"Content-Type": "image/png"}), 415)


def test_the_description_says_how_a_file_is_sent(client: httpx.Client) -> None:
    described = client.get("/look").json()
    schema = described["fn_schema"]
    assert "application/json is a file like any other" in schema["description"]
    assert schema["required"] == ["content"]
    assert schema["properties"]["content"]["contentEncoding"] == "base64"
    assert described["fn_signature"].startswith("look(content: str, content_type: ")
    paths = client.get("/openapi.json").json()["paths"]
    content = paths["/look"]["post"]["requestBody"]["content"]
    assert list(content) == ["application/octet-stream"]
    assert content["application/octet-stream"]["schema"]["format"] == "binary"


# in process


class Take(LambdaTool):
    """Take a file"""

    def run(self, req: BinaryRequest) -> str:
        return f"{req.content_type} {req.filename} {req.content!r}"


class Measure(LambdaTool):
    """Measure a file"""

    async def run(self, req: bytes) -> int:
        return len(req)


@pytest.fixture
def server() -> ToolServer:
    return ToolServer(Service(name="T", contact={"name": "T", "email": "t@example.com"}), tools=[Take, Measure])


async def test_a_file_is_handed_over_in_process(server: ToolServer) -> None:
    assert await server.run_tool(Take, BinaryRequest("a/b", b"x", "n")) == "a/b n b'x'"
    assert await server.run_tool(Measure, b"12345") == 5


async def test_a_file_can_be_a_dict_with_base64(server: ToolServer) -> None:
    content = base64.b64encode(b"\xff\x00").decode()
    assert await server.run_tool(Take, {"content": content, "content_type": "a/b"}) == r"a/b None b'\xff\x00'"
    named = {"content": content, "content_type": "a\r\nb: c", "filename": "../../etc/pass\nwd"}
    assert await server.run_tool(Take, named) == r"application/octet-stream passwd b'\xff\x00'"
    assert await server.run_tool(Measure, {"content": content}) == 2
    with pytest.raises(RequestValidationError) as refused:
        await server.run_tool(Measure, {"content": "no base64!"})
    assert refused.value.errors[0]["loc"] == ["body", "content"]
