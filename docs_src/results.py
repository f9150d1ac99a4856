from typing import Any

from pydantic import BaseModel

from lambda_kit import BinaryResult, LambdaTool, Service, ToolServer

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)


class Wanted(BaseModel):
    kind: str


class Results(LambdaTool):
    """Return one of many kinds of result"""

    def run(self, req: Wanted) -> Any:
        kinds: dict[str, Any] = {
            "model": Wanted(kind="model"),
            "dict": {"mean": 2.5},
            "empty": {},
            "number": 0,
            "text": "in words",
            "bytes": b"\x00\x01",
            "image": BinaryResult(content_type="image/png", content=PIXEL),
            "none": None,
        }
        return kinds[req.kind]


server = ToolServer(
    Service(name="Results", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Results],
)

if __name__ == "__main__":
    server.serve()
