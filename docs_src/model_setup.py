import json
from pathlib import Path

from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer


class PredictRequest(BaseModel):
    x: list[float]


class Predict(LambdaTool):
    """Predict values with the calibrated line"""

    def __init__(self, model_file: Path) -> None:
        self.model_file = model_file
        self.model: dict[str, float] | None = None

    def setup(self) -> None:
        self.model = json.loads(self.model_file.read_text())

    def is_ready(self) -> bool:
        return self.model is not None

    def teardown(self) -> None:
        self.model = None

    def run(self, req: PredictRequest) -> list[float]:
        if self.model is None:
            raise RuntimeError("the model is not loaded")
        return [self.model["slope"] * x + self.model["intercept"] for x in req.x]


server = ToolServer(
    Service(name="Calibration", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Predict(Path(__file__).with_name("model.json"))],
)

if __name__ == "__main__":
    server.serve()
