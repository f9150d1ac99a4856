from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer


class Measurements(BaseModel):
    sensor: list[str]
    value: list[float | None]


class Summary(LambdaTool):
    """Summarise measurements by sensor"""

    def run(self, req: Measurements) -> Any:
        table = pd.DataFrame({"sensor": req.sensor, "value": req.value})
        means = table.groupby("sensor")["value"].mean()
        return {
            "rows": table,
            "means": means,
            "values": np.array(req.value, dtype=float),
            "day": np.datetime64("2026-01-02"),
        }


server = ToolServer(
    Service(name="Tables", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Summary],
)

if __name__ == "__main__":
    server.serve()
