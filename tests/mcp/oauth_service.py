"""A service whose MCP clients come with tokens of the issuer at $ISSUER, made for $AUDIENCE."""

import os

from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer, logging_init
from lambda_kit.adapters.auth import OidcAuthenticator

logging_init()


class Text(BaseModel):
    text: str


class WhoAmI(LambdaTool):
    """Say who asks"""

    options = ToolOptions(scopes=["read"])

    async def run(self, req: Text, ctx: JobContext) -> str:
        return f"{req.text}: {ctx.principal.id if ctx.principal else 'nobody'}"


class Write(LambdaTool):
    """Write a text"""

    options = ToolOptions(scopes=["read", "write"])

    async def run(self, req: Text) -> str:
        return f"written: {req.text}"


server = ToolServer(
    Service(name="Callers", contact={"name": "Alice", "email": "alice@example.org"}),
    [WhoAmI, Write],
    authenticator=OidcAuthenticator(os.environ["ISSUER"], audience=os.environ["AUDIENCE"]),
    mcp=True,
)

if __name__ == "__main__":
    server.serve()
