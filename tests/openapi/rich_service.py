"""A service whose tools take and return what models can be made of."""

import enum
import itertools
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field, computed_field

from lambda_kit import (
    BinaryRequest,
    BinaryResult,
    LambdaTool,
    Service,
    ToolOptions,
    ToolServer,
    UploadedFile,
    with_schema,
)

T = TypeVar("T")


class Priority(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Level(enum.IntEnum):
    ONE = 1
    TWO = 2


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float = Field(gt=0, le=1e6)


class Rectangle(BaseModel):
    kind: Literal["rectangle"]
    width: float = Field(gt=0, le=1e6)
    height: float = Field(gt=0, le=1e6)


Shape = Annotated[Circle | Rectangle, Field(discriminator="kind")]


class Label(BaseModel):
    text: str = Field(min_length=1, max_length=20)
    color: str = Field("#000000", pattern="^#[0-9a-f]{6}$")


class Node(BaseModel):
    label: Label
    children: list["Node"] = Field([], max_length=3)


@with_schema("urn:example:schema:drawing.1")
class Drawing(BaseModel):
    """What is to be measured."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"shapes": [], "tree": {"label": {"text": "a"}}}]})

    shapes: list[Shape] = Field(max_length=5)
    tree: Node
    labels: dict[str, Label] = {}
    priority: Priority = Priority.LOW
    level: Level | None = None
    due: date | None = None
    tags: set[str] = set()
    owner: str | int = "nobody"


class Measured(BaseModel):
    shape: Shape

    @computed_field(description="In square metres.")
    def area(self) -> float:
        if isinstance(self.shape, Circle):
            return 3.0 * self.shape.radius**2
        return self.shape.width * self.shape.height


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int


class Measure(LambdaTool):
    """Measure a drawing

    Says how large each shape is.
    """

    async def run(self, req: Drawing) -> Page[Measured]:
        return Page(items=[Measured(shape=shape) for shape in req.shapes], total=len(req.shapes))


class Draw(LambdaTool):
    """Draw again what was drawn"""

    async def run(self, req: Drawing) -> Drawing:
        return req


Coordinate = Annotated[float, msgspec.Meta(ge=-1000, le=1000)]


class Point(msgspec.Struct):
    x: Coordinate
    y: Coordinate = 0.0


class Path(msgspec.Struct, rename="camel"):
    all_points: Annotated[list[Point], msgspec.Meta(min_length=1, max_length=10)]
    priority: Priority = Priority.LOW
    next_path: "Path | None" = None


class Length(LambdaTool):
    """Measure a path"""

    async def run(self, req: Path) -> dict[str, float]:
        steps = itertools.pairwise(req.all_points)
        return {"length": sum(((a.x - b.x) ** 2 + (a.y - b.y) ** 2) ** 0.5 for a, b in steps)}


@dataclass
class Period:
    begin: date
    days: int
    zone: Literal["UTC", "local"] = "UTC"


@dataclass
class Dates:
    dates: list[date]
    made: datetime | None = None


class Plan(LambdaTool):
    """Plan the days of a period"""

    async def run(self, req: Period) -> Dates:
        if not 0 <= req.days <= 100:
            raise ValueError("a period has 0 to 100 days")
        if req.begin.year > 9990:
            raise ValueError("too late")
        return Dates([req.begin + timedelta(days=n) for n in range(req.days)])


class Identity(BaseModel):
    id: UUID
    # no Decimal, of which pydantic says that it takes any string
    amount: float = Field(1.0, ge=0, le=1000)
    pair: tuple[int, str] = (1, "a")
    wanted: Literal["text", "bytes", "nothing", "json"] = "json"


class Convert(LambdaTool):
    """Return the same in several forms"""

    async def run(self, req: Identity) -> Identity | str | bytes | None:
        return {"text": str(req.id), "bytes": req.id.bytes, "nothing": None, "json": req}[req.wanted]


class Size(BaseModel):
    width: int = Field(ge=1, le=16)


class Picture(LambdaTool):
    """Make a picture"""

    async def run(self, req: Size) -> Annotated[BinaryResult, "image/x-portable-bitmap"]:
        return BinaryResult("image/x-portable-bitmap", b"P1 %d 1 %s" % (req.width, b"1 " * req.width))


class Pick(LambdaTool):
    """Pick from a union"""

    async def run(self, req: Shape) -> list[Shape]:
        return [req]


class Invert(LambdaTool):
    """Say what has which priority"""

    async def run(self, req: dict[str, Priority]) -> dict[str, list[str]]:
        return {priority.value: [name for name in req if req[name] is priority] for priority in Priority}


class Album(BaseModel):
    name: str = Field(min_length=1, max_length=50)
    cover: UploadedFile
    photos: list[UploadedFile] = Field([], max_length=3)
    taken: date | None = None
    labels: list[Label] = []


class Sizes(BaseModel):
    sizes: list[int]


class Upload(LambdaTool):
    """Weigh an album"""

    async def run(self, req: Album) -> Sizes:
        return Sizes(sizes=[req.cover.size, *(photo.size for photo in req.photos)])


class Hash(LambdaTool):
    """Weigh a file"""

    async def run(self, req: BinaryRequest) -> Sizes:
        return Sizes(sizes=[len(req.content)])


class Anything(BaseModel):
    value: Any = None


class Echo(LambdaTool):
    """Return what was sent"""

    options = ToolOptions(tags=["Other"])

    async def run(self, req: Anything) -> Anything:
        return req


server = ToolServer(
    Service(name="Rich", contact={"name": "Alice", "email": "alice@example.com"}, license={"name": "MIT"}),
    tools=[Measure, Draw, Length, Plan, Convert, Picture, Pick, Invert, Upload, Hash, Echo],
)

if __name__ == "__main__":
    server.serve()
