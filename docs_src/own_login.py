from dataclasses import dataclass, field
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, Service, ToolServer
from lambda_kit.adapters.http import LitestarUser


@dataclass
class User:
    id: int
    name: str
    roles: list[str] = field(default_factory=list)


SESSIONS = {"f00d": User(7, "Ann", ["greet"]), "cafe": User(8, "Ben")}  # a database, in earnest


class SessionLogin(AbstractAuthenticationMiddleware):
    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        return AuthenticationResult(user=SESSIONS.get(connection.cookies.get("session", "")), auth=None)


class Guest(BaseModel):
    name: str


class Greet(LambdaTool):
    """Greet a guest"""

    def run(self, req: Guest, ctx: JobContext) -> str:
        host = ctx.principal.name if ctx.principal else "Nobody"
        return f"{host} greets {req.name}"


server = ToolServer(
    Service(name="Greetings", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Greet],
    authenticator=LitestarUser(),
)
app = Litestar(plugins=[server.plugin()], middleware=[DefineMiddleware(SessionLogin)])
