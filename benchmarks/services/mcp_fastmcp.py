"""fastmcp, as its users write tools, with its defaults."""

import argparse

import uvicorn
from fastmcp import (  # type: ignore[import-not-found,unused-ignore]  # pyright: ignore[reportMissingImports]
    Context,
    FastMCP,
)

from benchmarks.services.models import EchoResult

mcp = FastMCP("Benchmark")


@mcp.tool  # type: ignore[untyped-decorator,unused-ignore]
async def echo(message: str, ctx: Context, steps: int = 0) -> EchoResult:
    """Echo a message; says so many times how far it is."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps, "echoing")
    return EchoResult(echo=message)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    uvicorn.run(
        mcp.http_app(path="/mcp"),
        host=args.host,
        port=args.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
