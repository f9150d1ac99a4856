"""What a tool declares of its binary results, and where that is said."""

import logging
from typing import Annotated, Any, Optional, Union

import pytest
from pydantic import BaseModel

from lambda_kit import BinaryResult, LambdaTool, Service, ToolServer
from lambda_kit.testing import TestClient

Png = Annotated[BinaryResult, "image/png"]


class Request(BaseModel):
    content_type: str = "image/png"


class Other(BaseModel):
    text: str = ""


def server_of(annotation: Any) -> ToolServer:
    class Draw(LambdaTool):
        """Draw a picture"""

        def run(self, req: Request) -> annotation:  # pyright: ignore[reportInvalidTypeForm]
            return BinaryResult(content_type=req.content_type, content=b"picture")

    return ToolServer(Service(name="x", contact={"name": "a", "email": "a@b.cd"}), tools=[Draw])


@pytest.mark.parametrize(
    ("annotation", "media_types", "returns"),
    [
        (Png, ["image/png"], "Returns: BinaryResult (image/png)"),
        (Annotated[BinaryResult, "the picture", "Image/PNG; q=1", "image/svg+xml"], ["image/png", "image/svg+xml"], ""),
        (Union[Png, Annotated[BinaryResult, "text/csv"]], ["image/png", "text/csv"], ""),  # noqa: UP007
        (Optional[Png], ["application/json", "image/png"], ""),  # noqa: UP045
        (Union[Png, Other], ["application/json", "image/png"], ""),  # noqa: UP007
        (Union[Png, BinaryResult], ["application/octet-stream", "image/png", "*/*"], ""),  # noqa: UP007
        (BinaryResult, ["application/octet-stream", "*/*"], "Returns: BinaryResult"),
        (Annotated[BinaryResult, "the picture"], ["application/octet-stream", "*/*"], "Returns: BinaryResult"),
    ],
    ids=str,
)
def test_openapi_and_the_description_say_what_is_declared(
    annotation: Any, media_types: list[str], returns: str
) -> None:
    with TestClient(server_of(annotation)) as client:
        document = client.get("/openapi.json").json()
        content = document["paths"]["/draw"]["post"]["responses"]["200"]["content"]
        assert sorted(content) == sorted(media_types)
        polls = [path for path in document["paths"] if path.startswith("/draw/jobs/")]
        assert document["paths"][polls[0]]["get"]["responses"]["200"]["content"] == content
        if "image/png" in media_types:
            assert content["image/png"]["schema"]["contentMediaType"] == "image/png"
        assert client.get("/draw").json()["description"].endswith(returns)
        assert client.post("/draw", json={}).headers["content-type"] == "image/png"


def test_another_media_type_than_declared_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lambda_kit"), TestClient(server_of(Png)) as client:
        for content_type in ("image/png", "IMAGE/PNG; x=1", "image/gif", "image/jpeg"):
            answer = client.post("/draw", json={"content_type": content_type})
            assert answer.headers["content-type"] == content_type
    [message] = [record.getMessage() for record in caplog.records if "annotated" in record.getMessage()]
    assert message.startswith(
        "tool 'draw' returned 'image/gif', but is annotated with 'image/png'; it is sent as it is"
    )


async def test_a_declared_result_comes_back_in_process() -> None:
    server = server_of(Png)
    async with server:
        result = await server.run_tool("draw", {})
    assert (result.content_type, result.content) == ("image/png", b"picture")
