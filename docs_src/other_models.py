from dataclasses import dataclass
from typing import Annotated

import msgspec

from lambda_kit import LambdaTool, Service, ToolServer, with_schema


@with_schema("urn:example:schema:scale.request.1")
class ScaleRequest(msgspec.Struct):
    values: list[float]
    factor: Annotated[float, msgspec.Meta(gt=0, description="What to multiply with.")] = 1.0


class ScaleResult(msgspec.Struct):
    values: list[float]


class Scale(LambdaTool):
    """Multiply values"""

    def run(self, req: ScaleRequest) -> ScaleResult:
        return ScaleResult([value * req.factor for value in req.values])


@with_schema("urn:example:schema:shift.request.1")
@dataclass
class ShiftRequest:
    values: list[float]
    by: float = 0.0


class Shift(LambdaTool):
    """Add to values"""

    def run(self, req: ShiftRequest) -> list[float]:
        return [value + req.by for value in req.values]


server = ToolServer(
    Service(name="Vectors", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Scale, Shift],
)

if __name__ == "__main__":
    server.serve()
