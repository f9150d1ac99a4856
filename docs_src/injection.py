from typing import Any

from litestar import Request
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, RequestInfo, Service, ToolServer


class WhoAmIRequest(BaseModel):
    greeting: str = "Hello"


class WhoAmI(LambdaTool):
    """Tell the caller what is known of the request"""

    path = "/who-am-i"

    def run(self, req: WhoAmIRequest, ctx: JobContext, info: RequestInfo) -> dict[str, Any]:
        return {
            "greeting": req.greeting,
            "job": ctx.job_urn,
            "is-authorized": ctx.job_authorization is not None,
            "agent": info.headers.get("user-agent"),
            "url": info.url,
        }


class InProcess(LambdaTool):
    """See the request as Litestar has it"""

    def run(self, req: WhoAmIRequest, request: Request[Any, Any, Any]) -> str:
        return f"{req.greeting}, {request.app.openapi_config.title if request.app.openapi_config else '?'}"


server = ToolServer(
    Service(name="Who", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[WhoAmI, InProcess],
)

if __name__ == "__main__":
    server.serve()
