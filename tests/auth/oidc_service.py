"""A service whose callers come with tokens of the provider at $ISSUER."""

import os

from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer, logging_init
from lambda_kit.adapters.auth import OidcAuthenticator

logging_init()


class Nothing(BaseModel):
    pass


class WhoAmI(LambdaTool):
    """Say who asks"""

    path = "/who-am-i"
    options = ToolOptions(max_wait_time=20.0)

    async def run(self, req: Nothing, ctx: JobContext) -> str:
        return ctx.principal.id if ctx.principal else "nobody"


server = ToolServer(
    Service(name="Callers", contact={"name": "T", "email": "t@example.com"}),
    authenticator=OidcAuthenticator(
        os.environ["ISSUER"], audience="my-service", cool_down_seconds=float(os.environ.get("COOL_DOWN", "30"))
    ),
)

if __name__ == "__main__":
    server.serve()
