from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolOptions, ToolServer
from lambda_kit.adapters.auth import ApiKeys


class Guest(BaseModel):
    name: str


class Greet(LambdaTool):
    """Greet a guest"""

    options = ToolOptions(scopes=["greet"])  # any other principal gets 403

    def run(self, req: Guest, ctx: JobContext) -> dict[str, str]:
        host = ctx.principal.name if ctx.principal else "Nobody"
        return {"greeting": f"{host} greets {req.name}"}


server = ToolServer(
    Service(name="Greetings", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Greet],
    authenticator=ApiKeys("keys.txt"),
)

if __name__ == "__main__":
    server.serve()
