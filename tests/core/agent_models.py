"""Requests and results of all kinds, for tests of how they are described to agents."""
# ruff: noqa: PLC2401 - names that are no ASCII are one of them
# pyright: reportCallIssue=false

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, Flag, StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypeVar

import ivcap_service
import msgspec
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    HttpUrl,
    RootModel,
    Tag,
    computed_field,
    field_serializer,
    model_serializer,
)
from typing_extensions import TypedDict

from lambda_kit import BinaryResult, with_schema
from tests.core.running_tools import Ask

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Mixed(Enum):
    RED = "red"
    ONE = 1


class Mood(StrEnum):
    GOOD = "good"


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


class Circle(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    side: float


class Pair(msgspec.Struct, array_like=True):
    one: int
    two: str


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str] = []


class Owner(BaseModel):
    """Who has a pet."""

    model_config = ConfigDict(title="An owner of pets")
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    other: Cat | None = Field(None, description="Another one.")
    age: int = Field(3, title="Age in years")
    title: str = ""


class Tree(BaseModel):
    value: float = 0
    children: list["Tree"] = []


class Leaf(msgspec.Struct):
    children: "list[Leaf]" = []


class Page(BaseModel, Generic[T]):
    items: list[T]


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)
    from_: int = Field(1, validation_alias="from", serialization_alias="source")

    @computed_field
    def twice(self) -> int:
        return 2 * self.from_


class OddName(BaseModel):
    model_config = ConfigDict(extra="forbid")
    größe: int = 1
    at: int = Field(2, serialization_alias="@at")


class Silent(BaseModel):
    number: int = 1
    maybe: int | None = None

    @field_serializer("number")
    def number_as_text(self, number: int):
        return str(number)


class Whole(BaseModel):
    number: int = 1

    @model_serializer
    def as_text(self):
        return str(self.number)


class Skipping(BaseModel):
    number: int = Field(exclude_if=lambda value: value == 0)
    secret: str = Field("", exclude=True)


class Words(RootModel[list[str]]):
    pass


class Counts(RootModel[dict[str, int]]):
    pass


@with_schema("urn:example:schema:strict.1")
class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = ""
    inner: "Strict | None" = None


class MoreThanStrict(Strict):
    """What has a class below it can be one of that."""

    more: int = 1


class Access(Flag):
    READ = 1
    WRITE = 2


@with_schema("urn:example:schema:place.1")
class Place(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""


@dataclass
class Coin:
    worth: Decimal
    colour: Colour = Colour.RED


class Options(TypedDict):
    one: int
    two: NotRequired[str]


class Both(NamedTuple):
    one: int
    two: str


def kind_of(value: Any) -> str:
    return "cat" if "lives" in (value if isinstance(value, dict) else vars(value)) else "point"


Number = NewType("Number", int)
Text = NewType("Text", str)
Tagged = Annotated[Annotated[Cat, Tag("cat")] | Annotated[Owner, Tag("point")], Discriminator(kind_of)]

OBJECTS: list[tuple[Any, list[Any]]] = [
    (Ask, [Ask(text="a")]),
    (Owner, [Owner(pet=Dog(tricks=["sit"]), other=Cat())]),
    (Tree, [Tree(children=[Tree(children=[Tree()])]), Tree(value=math.nan)]),
    (Leaf, [Leaf([Leaf()])]),
    (Page[Cat], [Page[Cat](items=[Cat()])]),
    (Page[Tree], [Page[Tree](items=[Tree(children=[Tree()])])]),
    (Point, [Point(1), Point(math.inf, -math.inf)]),
    (Circle, [Circle(2)]),
    (Square, [Square(2)]),
    (Coin, [Coin(Decimal("1E+5")), Coin(Decimal("NaN"), Colour.BLUE)]),
    (Options, [{"one": 1}, {"one": 1, "two": "b"}]),
    (dict[str, Point], [{"a": Point(1)}, {}]),
    (dict[int, float], [{1: 2.5, 2: math.nan}]),
    (Mapping[str, Any], [{"a": [1, None]}]),
    (Counts, [Counts({"a": 1})]),
    (Strict, [Strict(inner=Strict()), MoreThanStrict()]),
    (Place, [Place("here")]),
    (Wire, [Wire()]),
    (Silent, [Silent()]),
    (Skipping, [Skipping(number=0), Skipping(number=1)]),
    (OddName, [OddName()]),
]
"""What is an object by itself, with values."""

OTHERS: list[tuple[Any, list[Any]]] = [
    (Circle | Square, [Circle(1), Square(2)]),
    (Annotated[Cat | Dog, Field(discriminator="kind")], [Cat(), Dog()]),
    (Tagged, [Cat(), Owner(pet=Cat())]),
    (list[Tree], [[Tree(children=[Tree()])], []]),
    (list[dict[str, Coin]], [[{"a": Coin(Decimal(1))}]]),
    (Pair, [Pair(1, "b")]),
    (Both, [Both(1, "b")]),
    (tuple[int, str], [(1, "b")]),
    (set[int], [{1, 2}]),
    (Words, [Words(["a"])]),
]
"""Likewise, what is none."""

VALUES: list[tuple[Any, list[Any]]] = [
    (int, [1]),
    (float, [1.5, math.nan, -math.inf]),
    (bool, [True]),
    (Number, [Number(3)]),
    (Colour, list(Colour)),
    (Mixed, list(Mixed)),
    (Access, [Access.READ, Access.READ | Access.WRITE, Access(0)]),
    (dict[str, Strict], [{"a": MoreThanStrict(inner=MoreThanStrict())}]),
    (list[Strict], [[MoreThanStrict()]]),
    (Cat | None, [Cat(), None]),
    (int | None, [1, None]),
    (Literal[1, 2], [1]),
    (dt.date, [dt.date(2026, 7, 28)]),
    (dt.timedelta, [dt.timedelta(hours=1)]),
    (Decimal, [Decimal("1E+5"), Decimal("0.10")]),
    (HttpUrl, [HttpUrl("https://example.com")]),
    (Cat | ivcap_service.ExecutionError, [Cat()]),
]
"""Results that can't be requests."""

UNDESCRIBED = [
    *(str, bytes, BinaryResult, Annotated[BinaryResult, "image/png"], None, type(None), Any, object, Text, Mood),
    *(str | None, int | str, list[int] | bytes, BinaryResult | None, Literal["a", 1]),
    *(Annotated[str, Field(max_length=3)], Whole, ivcap_service.ExecutionError, memoryview),
]  # fmt: skip
