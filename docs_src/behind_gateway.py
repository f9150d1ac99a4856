from typing import Any

from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolServer
from lambda_kit.adapters.auth import TrustedHeader


class Nothing(BaseModel):
    pass


class WhoAmI(LambdaTool):
    """Tell who asks"""

    path = "/who-am-i"

    def run(self, req: Nothing, ctx: JobContext) -> dict[str, Any]:
        assert ctx.principal is not None
        return {"id": ctx.principal.id, "name": ctx.principal.name, "scopes": sorted(ctx.principal.scopes)}


server = ToolServer(
    Service(name="Who", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[WhoAmI],
    authenticator=TrustedHeader(
        "X-Forwarded-User",
        proxies=["127.0.0.1"],  # nginx: its own address, as the service sees it
        name_from="X-Forwarded-Email",
        scopes_from="X-Forwarded-Groups",
    ),
)

if __name__ == "__main__":
    server.serve()
