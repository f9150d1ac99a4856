"""The service that the wire tests look at from outside; its environment sets what no flag does."""

import os

from lambda_kit import Service, ToolServer
from tests.wire import tools_extreme, tools_ordinary

service = Service(
    name="My IVCAP Service",
    contact={"name": "Alice", "email": "alice@example.com"},
    license={"name": "MIT", "url": "https://opensource.org/licenses/MIT"},
)

server = ToolServer(
    service,
    [
        tools_ordinary.Greet,
        tools_ordinary.ListThings,
        tools_ordinary.Root,
        tools_ordinary.Echo,
        tools_ordinary.EchoAsync,
        tools_ordinary.StructTool,
        tools_ordinary.DataTool,
        tools_ordinary.Hold,
        tools_ordinary.HoldAsync,
        tools_ordinary.HoldDeep,
        tools_ordinary.Narrow,
        tools_ordinary.Hasty,
        tools_ordinary.Stepwise,
        tools_ordinary.Brief,
        tools_ordinary.Few,
        tools_ordinary.WhoAsks,
        tools_extreme.Returns,
        tools_extreme.ReturnsAsync,
        tools_extreme.ReturnsOptional,
        tools_extreme.ReturnsNone,
        tools_extreme.Raises,
        tools_extreme.RaisesAsync,
    ],
    max_body_bytes=int(os.environ.get("WIRE_MAX_BODY_BYTES", str(64 * 1024 * 1024))),
    try_later_body="WIRE_TRY_LATER_BODY" in os.environ,
)

if __name__ == "__main__":
    server.serve()
