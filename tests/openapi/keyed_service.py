"""A service that wants a key, and for one tool a scope that the key does not have."""

from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolOptions, ToolServer
from lambda_kit.adapters.auth import ApiKeys

__all__ = ["KEY", "server"]

KEY = "lk_Q8VC0fuiCwTaKr1WpyRbAoVIjpAZbh2xEgvooJlWp430lF37V"
_LINE = "bob  sha256:85a9733d26d7e5b199bc769e50126d3ef39832922e2b7fc4bad82a6e591306a1"


class Text(BaseModel):
    text: str = "hello"


class Repeat(LambdaTool):
    """Repeat a text"""

    async def run(self, req: Text) -> str:
        return req.text


class Write(LambdaTool):
    """Write a text"""

    options = ToolOptions(scopes=["text:write"])

    async def run(self, req: Text) -> str:
        return req.text


server = ToolServer(
    Service(
        name="Texts",
        description="Who asks needs a key.",
        contact={"name": "Alice", "email": "alice@example.com"},
    ),
    [Repeat, Write],
    authenticator=ApiKeys(f"{_LINE}\n"),
)

if __name__ == "__main__":
    server.serve()
