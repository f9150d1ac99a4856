from pydantic import BaseModel, Field

from lambda_kit import LambdaTool, Service, ToolServer


class Text(BaseModel):
    text: str = Field(description="Any text, in any language that puts blanks between words.")


class CountWords(LambdaTool):
    """Count the words of a text

    Use it instead of counting yourself: it is exact, also for long texts."""

    def run(self, req: Text) -> int:
        return len(req.text.split())


server = ToolServer(Service(name="Words", contact={"name": "Ann", "email": "ann@example.com"}), tools=[CountWords])

if __name__ == "__main__":
    server.serve()
