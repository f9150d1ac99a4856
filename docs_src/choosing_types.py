from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, Field, RootModel
from typing_extensions import TypedDict

from lambda_kit import BinaryResult, LambdaTool, Service, ToolServer

T = TypeVar("T")


class Circle(BaseModel):
    shape: Literal["circle"]
    radius: float = Field(gt=0)


class Rectangle(BaseModel):
    shape: Literal["rectangle"]
    width: float = Field(gt=0)
    height: float = Field(gt=0)


Shape = Annotated[Circle | Rectangle, Field(discriminator="shape")]


class Area(LambdaTool):
    """Compute the area of a shape"""

    def run(self, req: Shape) -> float:
        return 3.14159 * req.radius**2 if isinstance(req, Circle) else req.width * req.height


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None = None


class Largest(LambdaTool):
    """Find the largest rectangle of a page"""

    def run(self, req: Page[Rectangle]) -> Rectangle:
        return max(req.items, key=lambda rectangle: rectangle.width * rectangle.height)


class Words(RootModel[list[str]]):
    """Words in the order in which they were said."""


class Count(LambdaTool):
    """Count words"""

    def run(self, req: Words) -> dict[str, int]:
        return {word: req.root.count(word) for word in req.root}


class Point(TypedDict):
    x: float
    y: float


class Centre(LambdaTool):
    """Find the centre of points"""

    def run(self, req: list[Point]) -> Point:
        return {
            "x": sum(point["x"] for point in req) / len(req),
            "y": sum(point["y"] for point in req) / len(req),
        }


class Draw(LambdaTool):
    """Draw a circle"""

    def run(self, req: Circle) -> Annotated[BinaryResult, "image/svg+xml"]:
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><circle r="{req.radius}"/></svg>'
        return BinaryResult(content_type="image/svg+xml", content=svg)


server = ToolServer(
    Service(name="Shapes", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Area, Largest, Count, Centre, Draw],
)

if __name__ == "__main__":
    server.serve()
