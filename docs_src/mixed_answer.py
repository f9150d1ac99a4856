import mcp_types
from pydantic import BaseModel

from lambda_kit import LambdaTool


class PlotRequest(BaseModel):
    values: list[float]


class Plot(LambdaTool):
    """Plot values

    Draws them in a row, and says which is the largest.
    """

    def run(self, req: PlotRequest) -> mcp_types.CallToolResult:
        return mcp_types.CallToolResult(
            content=[
                mcp_types.ImageContent(type="image", data=draw(req.values), mime_type="image/png"),
                mcp_types.TextContent(type="text", text=f"The largest is {max(req.values)}."),
            ]
        )


def draw(values: list[float]) -> str:
    """A picture, in base64: here one pixel, whatever the values."""
    return "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+M8AAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
