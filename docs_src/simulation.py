import random
import tempfile

from pydantic import BaseModel, Field

from lambda_kit import ExecutorOpts, JobContext, JobSettings, LambdaTool, Service, ToolOptions, ToolServer

service = Service(name="Simulations", contact={"name": "Alice", "email": "alice@example.com"})


class WalkRequest(BaseModel):
    steps: int = Field(ge=1)


# --8<-- [start:tool]
class RandomWalk(LambdaTool):
    """Walk at random, and say how far away the walk has led"""

    options = ToolOptions(
        time_limit_seconds=600,
        max_concurrency=4,
        max_queue=20,
        executor_opts=ExecutorOpts(job_cache_ttl=24 * 3600),
    )

    def run(self, req: WalkRequest, ctx: JobContext) -> float:
        place = 0.0
        with tempfile.TemporaryFile("w") as track:  # is removed, whatever ends the job
            for step in range(req.steps):
                place += random.gauss(0, 1)
                track.write(f"{place}\n")
                if step % 10_000 == 0:
                    ctx.progress(step, req.steps)  # raises if the job was cancelled, or its time is over
        return abs(place)


# --8<-- [end:tool]

# --8<-- [start:server]
server = ToolServer(
    service,
    tools=[RandomWalk],
    settings=JobSettings(max_concurrency=16, max_queue=200, cancel_seconds=2, grace_seconds=25),
)
# --8<-- [end:server]

if __name__ == "__main__":
    server.serve()
