"""The smallest service: it gives back what it is sent.

python examples/echo.py --port 8090
curl -X POST http://localhost:8090/ -H "Content-Type: application/json" -d '{"message": "Hello, IVCAP!"}'
"""

from pydantic import BaseModel, Field

from lambda_kit import LambdaTool, Service, ToolOptions, ToolServer, getLogger, logging_init, with_schema

logging_init()
logger = getLogger("my-service")

service = Service(
    name="My IVCAP Service",
    description="A minimal example service.",
    contact={"name": "Alice", "email": "alice@example.com"},
    license={"name": "MIT", "url": "https://opensource.org/licenses/MIT"},
)


@with_schema("urn:example:schema:echo.request.1")
class EchoRequest(BaseModel):
    message: str = Field(..., description="The message to echo back.")


@with_schema("urn:example:schema:echo.1")
class EchoResult(BaseModel):
    echo: str = Field(..., description="The echoed message.")


class Echo(LambdaTool):
    """Echo a message

    Returns the message passed in the request unchanged.
    """

    path = "/"
    options = ToolOptions(tags=["Echo"])

    def run(self, req: EchoRequest) -> EchoResult:
        return EchoResult(echo=req.message)


server = ToolServer(service, tools=[Echo])
app = server.app

if __name__ == "__main__":
    server.serve()
