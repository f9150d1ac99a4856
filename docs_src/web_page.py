from litestar.config.cors import CORSConfig
from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer


class CountRequest(BaseModel):
    text: str


class CountWords(LambdaTool):
    """Count the words of a text"""

    def run(self, req: CountRequest) -> dict[str, int]:
        return {"words": len(req.text.split())}


server = ToolServer(
    Service(name="Words", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[CountWords],
    cors=CORSConfig(allow_origins=["https://app.example.com"]),
    allowed_hosts=["api.example.com", "localhost"],
)

if __name__ == "__main__":
    server.serve()
