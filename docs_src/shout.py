from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer


class ShoutRequest(BaseModel):
    text: str


class Shout(LambdaTool):
    """Repeat a text in capitals"""

    def run(self, req: ShoutRequest) -> str:
        return req.text.upper() + "!"


server = ToolServer(
    Service(name="Shouter", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Shout],
)

if __name__ == "__main__":
    server.serve()
