import gzip

from lambda_kit import BinaryRequest, BinaryResult, LambdaTool, Service, ToolServer


class Compress(LambdaTool):
    """Compress a file

    Takes a file of any type, and gives it back compressed by gzip.
    """

    def run(self, req: BinaryRequest) -> BinaryResult:
        return BinaryResult(content_type="application/gzip", content=gzip.compress(req.content))


server = ToolServer(
    Service(name="Compress", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Compress],
)

if __name__ == "__main__":
    server.serve()
