import asyncio

from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer


async def read_sensor(name: str) -> float:
    await asyncio.sleep(0.01)  # stands for a call over the network
    return float(len(name))


class SensorRequest(BaseModel):
    sensors: list[str]


class MeanOfSensors(LambdaTool):
    """Read sensors and give the mean of what they say"""

    async def run(self, req: SensorRequest) -> float:
        values = await asyncio.gather(*(read_sensor(name) for name in req.sensors))
        return sum(values) / len(values)


server = ToolServer(
    Service(name="Sensors", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[MeanOfSensors],
)

if __name__ == "__main__":
    server.serve()
