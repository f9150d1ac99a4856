"""What is logged when a tool returns something else than its annotation promises."""

import logging
from typing import Annotated, Any, Literal, NewType, Optional, Protocol, TypedDict

import pytest
from pydantic import BaseModel

from lambda_kit import BinaryResult, LambdaTool, Service, ToolServer

service = Service(name="Test", contact={"name": "Alice", "email": "alice@example.com"})


class Request(BaseModel):
    text: str = ""


class Model(BaseModel):
    text: str = ""


class SubModel(Model):
    pass


class Typed(TypedDict):
    a: int


class Shaped(Protocol):
    text: str


Named = NewType("Named", str)


def server_of(annotation: Any, value: object) -> ToolServer:
    class Mine(LambdaTool):
        def run(self, req: Request) -> annotation:  # pyright: ignore[reportInvalidTypeForm]
            return value

    return ToolServer(service, [Mine])


async def warnings_of(server: ToolServer, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING, "lambda_kit"):
        async with server:
            for _ in range(2):
                await server.run_tool("mine", {})
    return [record.getMessage() for record in caplog.records if "annotated" in record.getMessage()]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Model, Model()),
        (Model, SubModel()),
        (Model | None, None),
        (Optional[Model], Model()),  # noqa: UP045 - it is another class than X | None
        (None, None),
        (float, 1),
        (int, True),
        (bytes, bytearray(b"a")),
        (Any, 5),
        (object, 5),
        (dict[str, int], {"a": 1}),
        (list[Model], [Model()]),
        (Annotated[str, "a text"], "a"),
        (Literal["a", "b"], "a"),
        (Named, "a"),
        (Typed, {"a": 1}),
        (Shaped, {"text": ""}),
        (BinaryResult, BinaryResult(content_type="image/png", content=b"")),
        (str | dict[str, int] | Any, 5),
    ],
)
async def test_a_result_that_fits_is_not_worth_a_word(annotation: Any, value: object, caplog: pytest.LogCaptureFixture):
    assert await warnings_of(server_of(annotation, value), caplog) == []


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (Model, {"text": ""}, ["'mine'", "dict", "Model"]),
        (str, 5, ["int", "str"]),
        (dict[str, int], [1], ["list", "dict"]),
        (Model | None, "text", ["str", "Model"]),
        (Named, 5, ["int", "Named"]),
        (None, "a", ["str", "None"]),
    ],
)
async def test_a_result_that_does_not_fit_is_said_once(
    annotation: Any, value: object, words: list[str], caplog: pytest.LogCaptureFixture
):
    (line,) = await warnings_of(server_of(annotation, value), caplog)
    assert all(word in line for word in words)


async def test_two_servers_each_say_it(caplog: pytest.LogCaptureFixture):
    first, second = server_of(str, 5), server_of(str, 5)
    await warnings_of(first, caplog)
    assert len(await warnings_of(second, caplog)) == 2
