"""A service that serves MCP beside its tool, as a file that is run."""

from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer


class Text(BaseModel):
    text: str


class Count(BaseModel):
    words: int


class CountWords(LambdaTool):
    """Count the words of a text"""

    async def run(self, req: Text) -> Count:
        return Count(words=len(req.text.split()))


service = Service(name="Words", contact={"name": "Alice", "email": "alice@example.org"})
server = ToolServer(service, [CountWords], mcp=True)

if __name__ == "__main__":
    server.serve()
