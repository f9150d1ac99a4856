import random
import statistics
from typing import ClassVar

from pydantic import BaseModel, Field

from lambda_kit import BaseEvent, GenericEvent, JobContext, LambdaTool, Service, ToolServer, logging_init

service = Service(name="Line fitting", contact={"name": "Alice", "email": "alice@example.com"})


class BootstrapRequest(BaseModel):
    x: list[float]
    y: list[float]
    rounds: int = Field(1000, ge=10, description="How many samples to draw.")
    seed: int = Field(0, description="The same seed draws the same samples.")


class BootstrapResult(BaseModel):
    slope: float
    low: float = Field(description="The 2.5 % quantile of the slope.")
    high: float = Field(description="The 97.5 % quantile of the slope.")


class SlopeEvent(BaseEvent):
    SCHEMA: ClassVar[str] = "urn:example:schema:slope.event.1"

    slope: float


class Bootstrap(LambdaTool):
    """Fit a straight line, with a confidence interval of its slope

    Draws many samples of the points, with replacement, and fits a line to each.
    """

    def run(self, req: BootstrapRequest, ctx: JobContext) -> BootstrapResult:
        with ctx.report.step("fit", "Fitting all points") as step:
            slope = statistics.linear_regression(req.x, req.y).slope
            ctx.report.emit(SlopeEvent(slope=slope))
            step.finished(f"The slope is {slope:.4g}")

        points = list(zip(req.x, req.y, strict=True))
        draw = random.Random(req.seed)
        slopes: list[float] = []
        with ctx.report.step("resample", "Drawing samples") as step:
            while len(slopes) < req.rounds:
                x, y = zip(*draw.choices(points, k=len(points)), strict=True)
                if len(set(x)) == 1:
                    continue  # no line goes through one place
                slopes.append(statistics.linear_regression(x, y).slope)
                if len(slopes) % 1000 == 0:
                    ctx.progress(len(slopes), req.rounds, "samples drawn")
            step.info(GenericEvent(name="spread", options={"stdev": statistics.stdev(slopes)}))
            step.finished(f"{req.rounds} samples")

        quantiles = statistics.quantiles(slopes, n=40)
        return BootstrapResult(slope=slope, low=quantiles[0], high=quantiles[-1])


server = ToolServer(service, tools=[Bootstrap])

if __name__ == "__main__":
    logging_init()
    server.serve()
