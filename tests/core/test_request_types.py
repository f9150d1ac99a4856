"""What a tool can take beside one model: TypedDicts, lists, dicts, unions, generics; how it is read and described."""

import dataclasses
import json
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar

import msgspec
import pytest
from pydantic import BaseModel, Field, RootModel
from typing_extensions import TypedDict

from lambda_kit import JobContext, LambdaTool, Service, ToolServer, with_schema
from lambda_kit.core.errors import RequestValidationError, ToolDefinitionError
from lambda_kit.core.tools.description import service_definition, tool_description
from lambda_kit.core.tools.tool import BoundTool
from lambda_kit.testing import TestClient

T = TypeVar("T")


@with_schema("urn:test:cat.1")
class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


@with_schema("urn:test:dog.1")
class Dog(BaseModel):
    kind: Literal["dog"]
    bark: str


class Page(BaseModel, Generic[T]):
    items: list[T]
    after: str | None = None


class Names(RootModel[list[str]]):
    pass


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Square(msgspec.Struct, tag="square"):
    side: float


class Box(msgspec.Struct, Generic[T]):
    content: T


@dataclasses.dataclass
class Left:
    left: int


@dataclasses.dataclass
class Right:
    right: int


class Point(TypedDict):
    x: int
    label: Annotated[str, Field(max_length=3)]


class Pair(NamedTuple):
    first: int
    second: str


Tagged = Annotated[Cat | Dog, Field(discriminator="kind")]
Ids = NewType("Ids", list[int])


def tool_of(annotation: Any) -> BoundTool:
    class Takes(LambdaTool):
        """Take it

        Tell what it is.
        """

        def run(self, req: Any, ctx: JobContext) -> Any:
            return {"type": type(req).__name__, "value": req}

        run.__annotations__["req"] = annotation

    return BoundTool.bind(Takes())


CASES: list[tuple[Any, Any, Any, str]] = [
    (Cat | Dog, {"kind": "dog", "bark": "wow"}, Dog(kind="dog", bark="wow"), "Cat | Dog"),
    (Tagged, {"kind": "cat"}, Cat(), "Cat | Dog"),
    (Optional[Tagged], {"kind": "cat"}, Cat(), "Cat | Dog"),  # noqa: UP045
    (Cat | Dog | None, {"kind": "cat"}, Cat(), "Cat | Dog"),
    (Circle | Square, {"type": "square", "side": 2}, Square(2), "Circle | Square"),
    (Left | Right, {"right": 1}, Right(1), "Left | Right"),
    (list[Cat], [{"lives": 3}], [Cat(lives=3)], "list[Cat]"),
    (list[Circle], [{"type": "circle", "radius": 3}], [Circle(3)], "list[Circle]"),
    (list[int], [1, 2], [1, 2], "list[int]"),
    (Ids, [1, 2], [1, 2], "Ids"),
    (Annotated[list[int], Field(max_length=3)], [1], [1], "list[int]"),
    (dict[str, Cat], {"a": {}}, {"a": Cat()}, "dict[str, Cat]"),
    (dict, {"a": [1]}, {"a": [1]}, "dict"),
    (tuple[int, str], [1, "a"], (1, "a"), "tuple[int, str]"),
    (tuple[int, ...], [1, 2], (1, 2), "tuple[int, ...]"),
    (list[Cat] | Dog, [{}], [Cat()], "list[Cat] | Dog"),
    (Pair, [1, "a"], Pair(1, "a"), "Pair"),
    (Names, ["a"], Names(["a"]), "Names"),
    (Box[int], {"content": 1}, Box(1), "Box[int]"),
]


@pytest.mark.parametrize(
    ("annotation", "sent", "taken", "name"), CASES, ids=[str(number) for number in range(len(CASES))]
)
def test_a_request_is_read_and_described_by_its_annotation(annotation: Any, sent: Any, taken: Any, name: str) -> None:
    tool = tool_of(annotation)
    assert tool.decode(json.dumps(sent).encode()) == taken
    description = tool_description("takes", tool.doc, tool.signature.request_type, tool.signature.result_type)
    assert description["fn_schema"]
    json.dumps(description)
    if "properties" not in description["fn_schema"]:
        assert description["fn_signature"] == f"takes(request: {name}) -> Any"
        assert f"Arguments: request: {name}\n" in description["description"]
    for wrong in ("null", '"text"', "5", "", "{", '{"kind": "bird"}'):
        if annotation is dict and wrong.startswith('{"'):
            continue
        with pytest.raises(RequestValidationError) as refused:
            tool.decode(wrong.encode())
        assert refused.value.errors[0]["loc"][0] == "body"


def test_a_typed_dict_is_described_by_its_members() -> None:
    tool = tool_of(Point)
    assert tool.decode(b'{"x": 1, "label": "abc"}') == {"x": 1, "label": "abc"}
    for wrong in (b'{"x": 1}', b'{"x": 1, "label": "abcd"}'):
        with pytest.raises(RequestValidationError):
            tool.decode(wrong)
    description = tool_description("takes", tool.doc, tool.signature.request_type, tool.signature.result_type)
    assert description["fn_signature"] == "takes(x: int, label: str) -> Any"
    assert description["fn_schema"]["required"] == ["x", "label"]


def test_a_generic_model_is_described_by_what_it_holds() -> None:
    tool = tool_of(Page[Cat])
    assert tool.decode(b'{"items": [{"lives": 1}]}') == Page[Cat](items=[Cat(lives=1)])
    schema = tool_description("takes", tool.doc, tool.signature.request_type, None)["fn_schema"]
    assert schema["properties"]["items"]["items"] == {"$ref": "#/$defs/Cat"}


def test_each_member_of_a_union_has_its_own_schema() -> None:
    tool = tool_of(Tagged)
    assert tool.decode(b'{"kind": "dog", "bark": "wow", "$schema": "urn:test:dog.1"}').bark == "wow"
    with pytest.raises(RequestValidationError, match=r"urn:test:cat\.1"):
        tool.decode(b'{"kind": "cat", "$schema": "urn:test:dog.1"}')
    schema = tool_description("takes", tool.doc, tool.signature.request_type, None)["fn_schema"]
    assert schema["discriminator"]["mapping"] == {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}


@pytest.mark.parametrize("annotation", [str, int, float, bool, Literal["a"], str | int, Cat | str, bytes | Cat])
def test_a_single_value_is_refused_with_the_remedy(annotation: Any) -> None:
    with pytest.raises(ToolDefinitionError, match=r"'req' is annotated with .* make it a field of the request model"):
        tool_of(annotation)


def test_requests_of_all_kinds_are_served_and_in_openapi() -> None:
    class Adopt(LambdaTool):
        """Adopt a pet"""

        async def run(self, req: Annotated[Cat | Dog, Field(discriminator="kind")]) -> Cat | Dog:
            return req

    class Sum(LambdaTool):
        """Sum numbers"""

        def run(self, req: list[int]) -> int:
            return sum(req)

    class Label(LambdaTool):
        """Label a point"""

        def run(self, req: Point) -> Point:
            return req

    server = ToolServer(Service(name="x", contact={"name": "a", "email": "a@b.cd"}), tools=[Adopt, Sum, Label])
    with TestClient(server) as client:
        assert client.post("/adopt", json={"kind": "dog", "bark": "wow"}).json()["bark"] == "wow"
        assert client.post("/adopt", json={"kind": "bird"}).status_code == 422
        assert client.post("/sum", json=[1, 2]).json() == 3
        assert client.post("/sum", json={"a": 1}).status_code == 422
        assert client.post("/label", json={"x": 1, "label": "a"}).json() == {"x": 1, "label": "a"}
        document = client.get("/openapi.json").json()
        bodies = {
            path: document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
            for path in ("/adopt", "/sum", "/label")
        }
        assert bodies["/adopt"]["discriminator"]["propertyName"] == "kind"
        assert bodies["/sum"]["type"] == "array"
        assert document["components"]["schemas"][bodies["/label"]["$ref"].rpartition("/")[2]]["required"] == [
            "x",
            "label",
        ]


async def test_requests_of_all_kinds_are_run_in_process() -> None:
    class Lives(LambdaTool):
        """Count lives"""

        async def run(self, req: list[Cat]) -> int:
            return sum(cat.lives for cat in req)

    server = ToolServer(Service(name="x", contact={"name": "a", "email": "a@b.cd"}), tools=[Lives])
    async with server:
        assert await server.run_tool(Lives, [{"lives": 2}, {}]) == 11
        assert await server.run_tool(Lives, [Cat(lives=4)]) == 4


def test_the_schema_of_a_result_says_what_is_sent() -> None:
    class Square2(BaseModel):
        side: float = Field(2, serialization_alias="side_m")

    definition = service_definition(
        Service(name="x", contact={"name": "a", "email": "a@b.cd"}),
        name="area",
        doc="Area",
        path="/area",
        request_type=Square2,
        result_type=Square2,
    )
    assert list(definition["request-schema"]["properties"]) == ["side"]
    assert list(definition["result-schema"]["properties"]) == ["side_m"]
