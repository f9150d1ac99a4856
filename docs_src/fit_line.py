import statistics

from pydantic import BaseModel, Field

from lambda_kit import LambdaTool, Service, ToolServer, logging_init, with_schema

service = Service(
    name="Line fitting",
    description="Fits straight lines to measured points.",
    contact={"name": "Alice", "email": "alice@example.com"},
    license={"name": "MIT", "url": "https://opensource.org/licenses/MIT"},
)


@with_schema("urn:example:schema:fit-line.request.1")
class FitRequest(BaseModel):
    x: list[float] = Field(description="Where it was measured.")
    y: list[float] = Field(description="What was measured there, in the same order.")


@with_schema("urn:example:schema:fit-line.1")
class FitResult(BaseModel):
    slope: float
    intercept: float


class FitLine(LambdaTool):
    """Fit a straight line

    Ordinary least squares through the points (x, y). Use it to find a linear trend in
    measurements; it gives slope and intercept.
    """

    def run(self, req: FitRequest) -> FitResult:
        if len(req.x) != len(req.y) or len(set(req.x)) < 2:
            raise ValueError("a line needs as many y as x, and at least two different x")
        slope, intercept = statistics.linear_regression(req.x, req.y)
        return FitResult(slope=slope, intercept=intercept)


server = ToolServer(service, tools=[FitLine])

if __name__ == "__main__":
    logging_init()
    server.serve()
