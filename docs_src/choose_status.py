import statistics

from pydantic import BaseModel, Field

from lambda_kit import LambdaTool, Service, ToolError, ToolServer

service = Service(name="Forecasts", contact={"name": "Alice", "email": "alice@example.com"})

MODELS = {"mean": statistics.mean, "median": statistics.median}


class NoSuchModelError(ToolError):
    status = 404
    type = "no-such-model"


class ForecastRequest(BaseModel):
    model: str = Field(description="mean, median, or nightly.")
    values: list[float]


class Forecast(LambdaTool):
    """Forecast the next value

    Forecasts the next value of a series with a simple model.
    """

    def run(self, req: ForecastRequest) -> float:
        if not req.values:
            raise ValueError("a forecast needs at least one value")  # 400: the caller can mend it
        if req.model == "nightly":
            raise ToolError("the nightly model is being trained", status=503, retry_after=60)
        if req.model not in MODELS:
            raise NoSuchModelError(f"there is no model '{req.model}', only {', '.join(MODELS)}")
        return MODELS[req.model](req.values)


server = ToolServer(service, tools=[Forecast])

if __name__ == "__main__":
    server.serve()
