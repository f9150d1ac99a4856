"""Files by a form: counts the words of texts, and gives back a picture of any file.

python examples/upload.py --port 8090
curl http://localhost:8090/count-words -F text=@README.md -F more=@LICENSE -F at_least=4
curl http://localhost:8090/picture -H "Content-Type: text/plain" --data-binary @README.md -o picture.pgm
"""

import math
from collections import Counter

from pydantic import BaseModel, Field

from lambda_kit import BinaryRequest, BinaryResult, LambdaTool, Service, ToolOptions, ToolServer, UploadedFile

service = Service(
    name="Uploads",
    description="An example of a service that takes files.",
    contact={"name": "Alice", "email": "alice@example.com"},
)


class Texts(BaseModel):
    text: UploadedFile = Field(description="A text in UTF-8.")
    more: list[UploadedFile] = Field([], description="More of them.")
    at_least: int = Field(1, description="Count words of at least so many letters.", ge=1)


class Words(BaseModel):
    files: list[str | None] = Field(description="The names of the files.")
    words: int = Field(description="How many words there are.")
    most_common: dict[str, int] = Field(description="How often the most common ones come.")


class CountWords(LambdaTool):
    """Count the words of texts

    Takes one text or several, in UTF-8, and counts the words in all of them together. Returns how many there are, and
    how often the five most common ones come.
    """

    options = ToolOptions(tags=["Uploads"])

    def run(self, req: Texts) -> Words:
        counts: Counter[str] = Counter()
        files = [req.text, *req.more]
        for file in files:
            with file.open() as lines:  # line by line: a large file lies on disk
                for line in lines:
                    words = line.decode(errors="replace").lower().split()
                    counts.update(word for word in words if len(word) >= req.at_least)
        most_common = dict(counts.most_common(5))
        return Words(files=[file.filename for file in files], words=counts.total(), most_common=most_common)


class Picture(LambdaTool):
    """Make a picture of a file

    Takes a file of any type, and returns a gray picture of it (PGM). Each byte is a point, black to white.
    """

    options = ToolOptions(tags=["Uploads"])

    def run(self, req: BinaryRequest) -> BinaryResult:
        width = math.isqrt(len(req.content)) or 1
        height = len(req.content) // width
        content = f"P5 {width} {height} 255\n".encode() + req.content[: width * height]
        return BinaryResult(content_type="image/x-portable-graymap", content=content)


server = ToolServer(service, tools=[CountWords, Picture])

if __name__ == "__main__":
    server.serve()
