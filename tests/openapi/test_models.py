"""The models of the tools in the OpenAPI document."""

import enum
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pytest
from litestar import Litestar, get
from litestar.testing import TestClient as LitestarClient
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ConfigDict, Field, computed_field
from typing_extensions import TypedDict

from lambda_kit import LambdaTool, Service, ToolServer, with_schema
from lambda_kit.testing import TestClient
from tests.openapi.documents import operations, references, resolve
from tests.openapi.shop import orders, stock

SERVICE = Service(name="models", contact={"name": "Alice", "email": "alice@example.com"})
ROOT = Path(__file__).parents[2]
T = TypeVar("T")

Document = dict[str, Any]


def tool(request: Any, result: Any = str, *, name: str = "use") -> type[LambdaTool]:
    def run(self: LambdaTool, req: Any) -> Any:
        raise NotImplementedError

    run.__annotations__ = {"req": request, "return": result}
    return type(name.title(), (LambdaTool,), {"run": run, "name": name, "path": f"/{name}", "__doc__": name})


def document_of(*tools: type[LambdaTool]) -> Document:
    with TestClient(ToolServer(SERVICE, tools=list(tools))) as client:
        document: Document = client.get("/openapi.json").json()
    return document


def names(document: Document) -> set[str]:
    return {name for name in document["components"]["schemas"] if not name.startswith("LambdaKit")}


def request_schema(document: Document, path: str = "/use") -> Document:
    schema: Document = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def result_schema(document: Document, path: str = "/use") -> Document:
    schema: Document = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    return schema


def assert_whole(document: Document) -> None:
    assert all(isinstance(resolve(document, reference), dict) for reference in references(document))
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    x: float


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Tree(BaseModel):
    color: Color
    branches: list["Tree"] = []


class Shape(BaseModel):
    points: list[Point]
    tree: Tree
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Leaf(msgspec.Struct):
    color: Color
    next: "Leaf | None" = None


@dataclass
class Parcel:
    leaf: Leaf
    weight: float = 1.0


class Box(msgspec.Struct, Generic[T]):
    value: T


class Boxes(msgspec.Struct):
    number: Box[int]
    leaf: Box[Leaf]


class Options(TypedDict):
    depth: int


class Square(BaseModel):
    corners: list[Point] = []

    @computed_field
    def area(self) -> float:
        return 0.0


class Drawing(BaseModel):
    squares: list[Square]
    trees: list[Tree]


class Deep(BaseModel):
    options: Options


def test_models_are_components_down_to_the_last():
    document = document_of(tool(Shape, list[Tree]))
    assert names(document) == {"Shape", "Point", "Tree", "Color", "Cat", "Dog"} | {"Tree"}
    assert request_schema(document) == {"$ref": "#/components/schemas/Shape"}
    assert "$defs" not in json.dumps(document)
    assert_whole(document)


def test_the_mapping_of_a_discriminator_leads_to_components():
    document = document_of(tool(Shape))
    pet = document["components"]["schemas"]["Shape"]["properties"]["pet"]
    assert pet["discriminator"] == {
        "propertyName": "kind",
        "mapping": {"cat": "#/components/schemas/Cat", "dog": "#/components/schemas/Dog"},
    }
    assert [one["$ref"] for one in pet["oneOf"]] == list(pet["discriminator"]["mapping"].values())


@pytest.mark.parametrize(
    ("request_type", "expected"),
    [
        (Leaf, {"Leaf", "Color"}),
        (Parcel, {"Parcel", "Leaf", "Color"}),
        (Boxes, {"Boxes", "Box_int", "Box_Leaf", "Leaf", "Color"}),
        (Deep, {"Deep", "Options"}),
        (stock.Page[stock.Item], {"Page_Item", "Item"}),
    ],
)
def test_structs_dataclasses_typed_dicts_and_generics_are_components(request_type, expected):
    document = document_of(tool(request_type))
    assert names(document) == expected
    assert_whole(document)


def test_what_looks_like_a_reference_in_data_is_left_alone():
    class Linked(BaseModel):
        link: dict[str, Any] = Field({"$ref": "#/$defs/Point"}, examples=[{"$ref": "#/$defs/Point"}])
        point: Point

        model_config = ConfigDict(
            json_schema_extra={"example": {"$ref": "#/$defs/Point"}, "x-see": {"$ref": "#/$defs/Point"}}
        )

    schema = document_of(tool(Linked))["components"]["schemas"]["Linked"]
    data = {"$ref": "#/$defs/Point"}
    link = schema["properties"]["link"]
    assert (link["default"], link["examples"], schema["example"], schema["x-see"]) == (data, [data], data, data)
    assert schema["properties"]["point"] == {"$ref": "#/components/schemas/Point"}


def test_a_property_may_be_called_like_a_keyword():
    class Odd(BaseModel):
        default: Point
        examples: list[Point]
        properties: Point

    properties = document_of(tool(Odd))["components"]["schemas"]["Odd"]["properties"]
    assert properties["default"] == properties["properties"] == {"$ref": "#/components/schemas/Point"}
    assert properties["examples"]["items"] == {"$ref": "#/components/schemas/Point"}


def test_classes_of_one_name_are_told_apart_by_what_they_stand_in():
    document = document_of(
        tool(orders.Order, name="order"), tool(stock.Page[stock.Item], name="fill"), tool(stock.Shelf, name="build")
    )
    assert names(document) == {"Order", "Page_Item", "Shelf", "OrdersItem", "StockItem", "ShelfItem"}
    order = document["components"]["schemas"]["Order"]
    assert order["properties"]["items"]["items"] == {"$ref": "#/components/schemas/OrdersItem"}
    titles = [schema["title"] for schema in document["components"]["schemas"].values()]
    assert len({re.sub("[^a-z]", "", title.lower()) for title in titles}) == len(titles)


def test_pages_of_two_classes_of_one_name_are_told_apart():
    document = document_of(tool(stock.Page[stock.Item], name="fill"), tool(stock.Page[orders.Item], name="order"))
    assert names(document) == {"StockPage_StockItem", "StockPage_OrdersItem", "OrdersItem", "StockItem"}


def test_a_model_that_is_taken_and_sent_has_two_names_only_where_it_is_described_differently():
    document = document_of(tool(Drawing, Drawing))
    twice = {"DrawingInput", "DrawingOutput", "SquareInput", "SquareOutput"}
    assert names(document) == {"Color", "Point", "Tree", *twice}
    assert result_schema(document) == {"$ref": "#/components/schemas/DrawingOutput"}
    assert "area" in document["components"]["schemas"]["SquareOutput"]["required"]
    assert {document["components"]["schemas"][name]["title"] for name in twice} == twice
    assert_whole(document)


@pytest.mark.parametrize("base", [BaseModel, msgspec.Struct, object])
def test_the_schema_member_of_a_class_has_one_value(base):
    plain = type("Named", (base,), {"__annotations__": {"x": int}, "__module__": __name__})
    named: Any = with_schema("urn:example:schema:named.1")(dataclass(plain) if base is object else plain)
    document = document_of(tool(named, named))
    member = document["components"]["schemas"]["Named"]["properties"]["$schema"]
    assert (member["const"], member["default"]) == ("urn:example:schema:named.1",) * 2


def test_an_answer_says_where_its_job_can_be_asked_for():
    document = document_of(tool(Point))
    ids = {operation["operationId"] for _, _, operation in operations(document)}
    for status in ("200", "202", "204"):
        links = document["paths"]["/use"]["post"]["responses"][status]["links"]
        assert links["result"] == {"operationId": "collect_use", "parameters": {"job_id": "$response.header.job-id"}}
        assert {link["operationId"] for link in links.values()} <= ids


def test_our_own_schemas_keep_their_names():
    class Problem(BaseModel):
        why: str

    class lambda_kit_Problem(BaseModel):  # noqa: N801
        why: str

    document = document_of(tool(Problem), tool(lambda_kit_Problem, name="other"))
    assert names(document) == {"Problem", "lambda_kit_Problem2"}
    assert "errors" in document["components"]["schemas"]["LambdaKitProblem"]["properties"]
    titles = {name: schema["title"] for name, schema in document["components"]["schemas"].items()}
    assert len({title.lower() for title in titles.values()}) == len(titles)


def test_names_differ_in_more_than_case_and_punctuation():
    first, second = (type(name, (BaseModel,), {"__annotations__": {name: int}}) for name in ("My_Item", "MyItem"))
    found = names(document_of(tool(first), tool(second, name="other")))
    assert len({re.sub("[^a-z0-9]", "", name.lower()) for name in found}) == 2


@pytest.mark.parametrize("name", ["Größe", "A B", "Ünï", "X[1]"])
def test_a_name_has_only_characters_that_openapi_allows(name):
    document = document_of(tool(type(name, (BaseModel,), {"__annotations__": {"x": int}})))
    assert all(re.fullmatch("[a-zA-Z0-9._-]+", one) for one in document["components"]["schemas"])
    assert_whole(document)


def test_the_models_of_another_app_keep_their_names():
    class Point(BaseModel):
        """Of the app."""

        latitude: float

    @get("/point", sync_to_thread=False)
    def point() -> Point:
        return Point(latitude=1.0)

    server = ToolServer(SERVICE, tools=[tool(Shape)])
    app = Litestar([point], plugins=[server.plugin()])
    with LitestarClient(app) as client:
        document = client.get("/schema/openapi.json").json()
    schemas = document["components"]["schemas"]
    theirs = document["paths"]["/point"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert "latitude" in resolve(document, theirs["$ref"])["properties"]
    ours = resolve(document, schemas["Shape"]["properties"]["points"]["items"]["$ref"])
    assert "x" in ours["properties"]
    assert_whole(document)


PRINT = """
import runpy, sys
from lambda_kit import ToolServer
from lambda_kit.testing import TestClient

def show(server):
    with TestClient(server) as client:
        print(client.get("/openapi.json").text)

ToolServer.serve = show
if sys.argv[1] == "-m":
    runpy.run_module(sys.argv[2], run_name="__main__", alter_sys=True)
else:
    runpy.run_path(sys.argv[1], run_name="__main__")
"""


def start(*args: str, **env: str) -> subprocess.Popen[str]:
    """A process that runs the service as its program, and prints the document."""
    return subprocess.Popen(
        [sys.executable, "-c", PRINT, *args],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.processes
@pytest.mark.timeout(180)
def test_the_document_has_the_same_names_at_each_start():
    file = str(ROOT / "tests/openapi/shop/service.py")
    starts = [
        start(file),
        start(file, SHOP_IMPORTS="stock orders", PYTHONHASHSEED="7"),
        start(file, SHOP_BACKWARDS="1"),
        start("-m", "tests.openapi.shop.service"),
    ]
    plain, again, *others = (json.loads(process.communicate(timeout=150)[0]) for process in starts)
    assert again == plain
    assert all(other["components"] == plain["components"] for other in others)
    assert "__main__" not in json.dumps(plain)
    assert {"OrdersItemInput", "OrdersItemOutput", "StockItem", "ShelfItem", "Receipt"} <= names(plain)
