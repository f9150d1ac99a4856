"""A service for tests of what MCP asks of HTTP."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from lambda_kit import JobContext, LambdaTool, Service, ToolServer


class Text(BaseModel):
    text: str = ""


class Echo(LambdaTool):
    """Say it again"""

    async def run(self, req: Text) -> Text:
        return req


class Routed(BaseModel):
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]
    count: Annotated[int | None, Field(json_schema_extra={"x-mcp-header": "Count", "type": "integer"})] = None


class Route(LambdaTool):
    """Say where it was sent"""

    async def run(self, req: Routed) -> str:
        return f"{req.region} {req.count}"


class Ends(LambdaTool):
    """Give back what some clients take for the end of a line"""

    async def run(self, req: Text, ctx: JobContext) -> dict[str, Any]:
        ctx.progress(1, 2, "a\u2028b")
        return {"text": "a\u2028b\u2029c\u0085d"}


server = ToolServer(
    Service(
        name="http",
        version="3.2.1",
        description="For tests",
        instructions="Say little.",
        contact={"name": "T", "email": "t@example.com", "url": "https://example.com/"},
    ),
    tools=[Echo, Route, Ends],
    max_body_bytes=4 * 1024 * 1024,
)

if __name__ == "__main__":
    server.serve()
