"""What type checkers say of `run_tool`: mypy and pyright check the types that are asserted here."""

from typing import Annotated, Any, Generic, TypeVar, assert_type

from pydantic import BaseModel

from lambda_kit import BinaryResult, JobContext, LambdaTool, MemoryJobStore, Service, ToolServer


class Ask(BaseModel):
    n: int = 1


class Answer(BaseModel):
    n: int


class Doubles(LambdaTool):
    def __init__(self, by: int = 2) -> None:
        self.by = by

    def run(self, req: Ask) -> Answer:
        return Answer(n=self.by * req.n)


class Inherits(Doubles):
    pass


class Counts(LambdaTool):
    async def run(self, req: Ask, ctx: JobContext) -> list[str]:
        return [str(req.n)]


class Maybe(LambdaTool):
    def run(self, req: Ask, *, ctx: JobContext) -> Answer | None:
        return None


class Draws(LambdaTool):
    def run(self, req: Ask, /) -> Annotated[BinaryResult, "image/png"]:
        return BinaryResult("image/png", content=b"png")


class Untyped(LambdaTool):
    def run(self, req: Ask) -> Any:
        return 1


T = TypeVar("T")


class Base(LambdaTool, Generic[T]):
    answer: Any

    def run(self, req: Ask) -> T:
        result: T = self.answer
        return result


class Number(Base[int]):
    answer = 42


async def test_the_type_of_a_result_is_that_of_the_annotation() -> None:
    tools = [Doubles, Inherits, Counts, Maybe, Draws, Untyped, Number]
    service = Service(name="Test", contact={"name": "A", "email": "a@example.com"})
    async with ToolServer(service, tools=tools, store=MemoryJobStore()) as server:
        ask = Ask(n=2)
        assert assert_type(await server.run_tool(Doubles, ask), Answer).n == 4
        assert assert_type(await server.run_tool(Inherits, ask), Answer).n == 4
        assert assert_type(await server.run_tool(Counts, {"n": 2}), list[str]) == ["2"]
        assert assert_type(await server.run_tool(Maybe, ask), Answer | None) is None
        assert assert_type(await server.run_tool(Draws, ask), BinaryResult).content == b"png"
        assert assert_type(await server.run_tool(Untyped, ask), Any) == 1
        assert assert_type(await server.run_tool(Number, ask), int) == 42
        assert assert_type(await server.run_tool("counts", ask), Any) == ["2"]
        for some in server.tools.values():
            assert_type(await server.run_tool(type(some.tool), ask), Any)


async def test_an_instance_has_the_type_of_its_class() -> None:
    tripled, counts = Doubles(3), Counts()
    service = Service(name="Test", contact={"name": "A", "email": "a@example.com"})
    async with ToolServer(service, tools=[tripled, counts], store=MemoryJobStore()) as server:
        assert assert_type(await server.run_tool(tripled, Ask(n=2)), Answer).n == 6
        assert assert_type(await server.run_tool(counts, Ask(n=2)), list[str]) == ["2"]
