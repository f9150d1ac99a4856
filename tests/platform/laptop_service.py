"""A service of several tools, as one would try it on a laptop by the platform's own tools."""

import io

from pydantic import BaseModel, Field

from lambda_kit import BinaryResult, JobContext, LambdaTool, Service, ToolOptions, ToolServer
from tests.support.gate import pass_gate

MEASURE_ID = "urn:ivcap:service:11111111-2222-4333-8444-555555555555"


class CountRequest(BaseModel):
    to: int = Field(3, ge=0, description="Count so far.")
    gate_port: int | None = None
    fails: bool = False


class Counted(BaseModel):
    last: int


class Count(LambdaTool):
    """Count to a number"""

    path = "/"

    def run(self, req: CountRequest, ctx: JobContext) -> Counted:
        with ctx.report.step("count", "one, two, ..."):
            for number in range(1, req.to + 1):
                ctx.progress(number, req.to)
            if req.gate_port is not None:
                pass_gate(req.gate_port)
        if req.fails:
            raise RuntimeError("lost count")
        return Counted(last=req.to)


class Text(BaseModel):
    text: str = "h\u00e9llo"


class Say(LambdaTool):
    """Say it"""

    def run(self, req: Text) -> str:
        return req.text


class Draw(LambdaTool):
    """Draw it"""

    def run(self, req: Text) -> BinaryResult:
        return BinaryResult("image/x-dots", req.text.encode())


class MeasureRequest(BaseModel):
    artifact: str


class Measure(LambdaTool):
    """Measure an artifact, and make another one"""

    options = ToolOptions(service_id=MEASURE_ID)

    def run(self, req: MeasureRequest, ctx: JobContext) -> dict[str, str | int]:
        artifact = ctx.ivcap.get_artifact(req.artifact)
        with artifact.open() as file:
            size = len(file.read())
        report = f"{size} bytes".encode()
        made = ctx.ivcap.upload_artifact(name="report", io_stream=io.BytesIO(report), content_type="text/plain")
        return {"size": size, "report": made.id}


service = Service(name="laptop", contact={"name": "Ann", "email": "ann@example.com"}, description="For a laptop.")
server = ToolServer(service, tools=[Count, Say, Draw, Measure])

if __name__ == "__main__":
    server.serve()
