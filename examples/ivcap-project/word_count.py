"""A service for the IVCAP platform: it counts the words of a text, or of an artifact."""

from collections import Counter

from pydantic import BaseModel, Field

from lambda_kit import JobContext, LambdaTool, Service, ToolError, ToolOptions, ToolServer

service = Service(
    name="Word count",
    description="Counts the words of a text.",
    contact={"name": "Ada Lovelace", "email": "ada@example.com"},
    license={"name": "MIT", "url": "https://opensource.org/license/MIT"},
)


class Request(BaseModel):
    text: str | None = Field(default=None, description="The text, if it is short.")
    artifact: str | None = Field(default=None, description="The URN of an artifact with the text, in UTF-8.")
    top: int = Field(default=3, ge=1, le=100, description="How many of the most frequent words to return.")


class Result(BaseModel):
    words: int = Field(description="The number of words.")
    most_frequent: dict[str, int] = Field(description="The most frequent words, and how often they occur.")


class WordCount(LambdaTool):
    """Count the words of a text

    Splits the text at white space, ignores case and punctuation, and returns how many words there are and which
    are the most frequent. Give either the text itself or the URN of an artifact.
    """

    path = "/"
    options = ToolOptions(tags=["Text"], max_wait_time=5)

    def run(self, req: Request, ctx: JobContext) -> Result:
        text = self.text_of(req, ctx)
        with ctx.report.step("count", "Counting words"):
            words = [word.strip(".,;:!?'\"()").lower() for word in text.split()]
            counts = Counter(word for word in words if word)
        return Result(words=counts.total(), most_frequent=dict(counts.most_common(req.top)))

    def text_of(self, req: Request, ctx: JobContext) -> str:
        """The text that a request is about."""
        if (req.text is None) == (req.artifact is None):
            raise ToolError("give either 'text' or 'artifact'", status=400)
        if req.artifact is None:
            return req.text or ""
        with (
            ctx.report.step("download", f"Reading {req.artifact}"),
            ctx.ivcap.get_artifact(req.artifact).open() as file,
        ):
            content: bytes | str = file.read()
        return content if isinstance(content, str) else content.decode()


server = ToolServer(service, tools=[WordCount])

if __name__ == "__main__":
    server.serve()
