"""A tool is a class: what is accepted, and what is refused when it is defined or a server is built."""

import asyncio
import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated, Any, Generic, TypeVar, cast

import ivcap_service
import litestar
import msgspec
import pytest
from pydantic import BaseModel

from lambda_kit import JobContext, LambdaTool, RequestInfo, ToolDefinitionError, ToolOptions
from tests.core.running_tools import Ask, a_server


class Other(BaseModel):
    n: int = 0


def returns(text: str) -> Any:
    return text


def no_annotation(self: Any, req) -> str:
    return ""


def no_return(self: Any, req: Ask):
    return ""


def no_request(self: Any) -> str:
    return ""


def only_context(self: Any, ctx: JobContext) -> str:
    return ""


def two_requests(self: Any, req: Ask, other: Other) -> str:
    return ""


def a_generator(self: Any, req: Ask) -> Iterator[str]:
    yield ""


async def an_async_generator(self: Any, req: Ask) -> AsyncIterator[str]:
    yield ""


def any_number(self: Any, req: Ask, *rest: int) -> str:
    return ""


def any_names(self: Any, req: Ask, **rest: int) -> str:
    return ""


def unknown(self: Any, req: Ask, count: int) -> str:
    return ""


def a_text_or_model(self: Any, req: Ask | str) -> str:
    return ""


def bare_base_model(self: Any, req: BaseModel) -> str:
    return ""


def a_base_struct(self: Any, req: msgspec.Struct) -> str:
    return ""


def nobody() -> str:
    return ""


def no_self(*, req: Ask) -> str:
    return ""


class MyContext(JobContext):
    pass


def own_context(self: Any, req: Ask, ctx: MyContext) -> str:
    return ""


def foreign(self: Any, req: Ask, request: Any) -> str:
    return ""


foreign.__annotations__["request"] = type("Request", (), {"__module__": "fastapi.requests"})

REFUSED: list[tuple[Any, str]] = [
    (no_annotation, r"Bad\.run: parameter 'req' has no annotation: annotate it with"),
    (no_return, r"Bad\.run has no return annotation: add '-> YourResult'"),
    (no_request, r"Bad\.run has no request parameter: add one"),
    (only_context, r"Bad\.run has no request parameter: add one"),
    (two_requests, r"Bad\.run has 2 request parameters, 'req: Ask' and 'other: Other'.*put the fields"),
    (a_generator, r"Bad\.run is a generator .*return one result"),
    (an_async_generator, r"Bad\.run is a generator .*return one result"),
    (any_number, r"Bad\.run: parameter 'rest' takes any number of arguments.*remove it"),
    (any_names, r"Bad\.run: parameter 'rest' takes any number of arguments.*remove it"),
    (unknown, r"Bad\.run: parameter 'count' is annotated with int, which nothing can supply: make it a field"),
    (a_text_or_model, r"Bad\.run: parameter 'req' is annotated with Ask \| str, which nothing can supply"),
    (bare_base_model, r"Bad\.run: parameter 'req' is annotated with BaseModel"),
    (a_base_struct, r"Bad\.run: parameter 'req' is annotated with Struct"),
    (nobody, r"Bad\.run has no 'self': write"),
    (no_self, r"Bad\.run has no 'self': write"),
    (own_context, r"Bad\.run: parameter 'ctx' is annotated with MyContext, which nothing can supply"),
    (foreign, r"Bad\.run: parameter 'request'.*use RequestInfo of lambda_kit .*instead of fastapi's Request"),
    (staticmethod(unknown), r"Bad\.run must be a plain method.*not a staticmethod"),
    (classmethod(unknown), r"Bad\.run must be a plain method.*not a classmethod"),
    (property(cast("Any", unknown)), r"Bad\.run must be a plain method.*not a property"),
    (partial(unknown), r"Bad\.run must be a plain method.*not a partial"),
    (5, r"Bad\.run must be a plain method.*not a int"),
]


@pytest.mark.parametrize(
    ("run", "message"), REFUSED, ids=[f"{n}-{getattr(run, '__name__', '')}" for n, (run, _) in enumerate(REFUSED)]
)
def test_a_run_that_can_not_be_served_is_refused_when_the_class_is_defined(run: Any, message: str) -> None:
    with pytest.raises(ToolDefinitionError, match=message):
        type("Bad", (LambdaTool,), {"run": run})


class Struct(msgspec.Struct):
    text: str = ""


@dataclasses.dataclass
class Data:
    text: str = ""


@pytest.mark.parametrize(
    "annotation",
    [Ask, Struct, Data, Ask | None, Annotated[Ask, "doc"]],
    ids=["pydantic", "struct", "data", "opt", "ann"],
)
async def test_models_structs_and_dataclasses_are_requests(annotation: Any) -> None:
    def run(self: Any, req: Any) -> str:
        return str(req.text)

    run.__annotations__["req"] = annotation
    tool = type("Takes", (LambdaTool,), {"run": run})
    assert await a_server(tool).run_tool(tool, {"text": "hi"}) == "hi"


async def test_what_is_injected_is_found_by_type_in_any_order_and_by_keyword() -> None:
    class Everything(LambdaTool):
        name = "any"

        def run(
            self,
            info: RequestInfo,
            x: ivcap_service.JobContext,
            /,
            it: Ask,
            *,
            ctx: JobContext | None,
            again: RequestInfo,
        ) -> list[str]:
            assert ctx is x
            assert again == info
            return [type(info).__name__, type(x).__name__, it.text]

    assert await a_server(Everything).run_tool(Everything, Ask(text="a")) == ["RequestInfo", "JobContext", "a"]


def plainly(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def from_memory(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*_args: Any, **_kwargs: Any) -> Any:
        return "known already"

    return wrapper


async def test_an_async_run_behind_a_plain_decorator_runs_on_the_servers_event_loop() -> None:
    class Decorated(LambdaTool):
        """Decorated"""

        @plainly
        async def run(self, req: Ask) -> bool:
            return asyncio.get_running_loop() is here

    class Remembered(LambdaTool):
        """Remembered"""

        @from_memory
        async def run(self, req: Ask) -> str:
            return "new"

    here = asyncio.get_running_loop()
    async with a_server(Decorated, Remembered) as server:
        assert server.tools["decorated"].executor == "asyncio"
        assert await server.run_tool("decorated", Ask(text="")) is True
        assert await server.run_tool("remembered", Ask(text="")) == "known already"


def test_a_generator_behind_a_plain_decorator_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="generator"):

        class Yields(LambdaTool):
            """Yields"""

            @plainly
            def run(self, req: Ask) -> Iterator[str]:
                yield ""


def test_litestars_request_is_accepted_where_the_tool_runs_in_the_server() -> None:
    class Wants(LambdaTool):
        def run(self, req: Ask, request: litestar.Request[Any, Any, Any]) -> str:
            return ""

    class WantsBare(LambdaTool):
        async def run(self, req: Ask, request: litestar.Request) -> str:  # type: ignore[type-arg]
            return ""

    assert list(a_server(Wants, WantsBare).tools) == ["wants", "wants_bare"]


def test_litestars_request_is_refused_for_an_async_tool_on_a_thread() -> None:
    class Wants(LambdaTool):
        options = ToolOptions(executor="thread")

        async def run(self, req: Ask, request: litestar.Request[Any, Any, Any]) -> str:
            return ""

    with pytest.raises(ToolDefinitionError, match=r"Wants\.run is 'async def' and takes a litestar\.Request"):
        a_server(Wants)


@pytest.mark.parametrize(
    ("class_name", "name", "path"),
    [
        ("Greet", "greet", "/greet"),
        ("GreetPerson", "greet_person", "/greet-person"),
        ("HTTPFetch", "http_fetch", "/http-fetch"),
        ("FetchHTTP", "fetch_http", "/fetch-http"),
        ("Greet2", "greet2", "/greet2"),
        ("Tool_V2", "tool_v2", "/tool-v2"),
        ("snake_case", "snake_case", "/snake-case"),
        ("_Private", "private", "/private"),
        ("A", "a", "/a"),
        ("ABTest", "ab_test", "/ab-test"),
    ],
)
def test_name_and_path_come_from_the_class_name(class_name: str, name: str, path: str) -> None:
    tool: Any = type(class_name, (LambdaTool,), {"run": lambda self, req: ""} | {"run": _fine})
    assert (tool.name, tool.path) == (name, path)
    assert (tool().name, tool().path) == (name, path)


def _fine(self: Any, req: Ask) -> str:
    return req.text


@pytest.mark.parametrize("path", ["greet", "", "/greet/", "//", "/a b", "/{id}", "/ü", "/a?b", None, 5, "/a\n"])
def test_a_path_that_is_none_is_refused_by_class_and_value(path: Any) -> None:
    tool = type("Bad", (LambdaTool,), {"run": _fine, "path": path})
    with pytest.raises(ToolDefinitionError, match=r"Bad\.path = .*: must be '/', or segments"):
        a_server(tool)


@pytest.mark.parametrize("name", ["", "1a", "a b", "ü", None, 5, "a" * 129, "a\n"])
def test_a_name_that_is_none_is_refused_by_class_and_value(name: Any) -> None:
    tool = type("Bad", (LambdaTool,), {"run": _fine, "name": name, "path": "/x"})
    with pytest.raises(ToolDefinitionError, match=r"Bad\.name = .*: must be ASCII letters, digits"):
        a_server(tool)


def test_options_of_another_type_are_refused() -> None:
    tool = type("Bad", (LambdaTool,), {"run": _fine, "options": {"tags": []}})
    with pytest.raises(ToolDefinitionError, match=r"Bad\.options must be a ToolOptions"):
        a_server(tool)


def test_an_abstract_base_is_none_to_serve() -> None:
    class Base(LambdaTool):
        """Has no run."""

    class WithAbc(LambdaTool, ABC):
        @abstractmethod
        def run(self, req: Ask) -> str: ...

    for base in (Base, WithAbc, LambdaTool):
        with pytest.raises(ToolDefinitionError, match=rf"{base.__name__} has no 'run' of its own.*add"):
            a_server(base)


async def test_run_options_and_path_are_inherited() -> None:
    class Base(LambdaTool):
        options = ToolOptions(tags=["t"], refresh_interval=7)
        path = "/base"

        def run(self, req: Ask) -> str:
            return self.decorate(req.text)

        def decorate(self, text: str) -> str:
            raise NotImplementedError

    class Loud(Base):
        def decorate(self, text: str) -> str:
            return text.upper()

    server = a_server(Loud)
    tool = server.tools["loud"]
    assert (tool.path, tool.tags, tool.options.refresh_seconds) == ("/base", ("t",), 7)
    assert await server.run_tool(Loud, Ask(text="hi")) == "HI"


async def test_run_may_come_from_a_mixin() -> None:
    class Mixin:
        def run(self, req: Ask) -> str:
            return "mixed " + req.text

    class Mixed(Mixin, LambdaTool):
        pass

    assert await a_server(Mixed).run_tool(Mixed, Ask(text="in")) == "mixed in"


def test_a_bad_run_of_a_mixin_is_refused_when_the_server_is_built() -> None:
    class Mixin:
        def run(self, req: Ask, count: int) -> str:
            return ""

    class Mixed(Mixin, LambdaTool):
        pass

    with pytest.raises(ToolDefinitionError, match=r"Mixed\.run: parameter 'count'"):
        a_server(Mixed)


T = TypeVar("T")
R = TypeVar("R")


async def test_a_generic_base_gets_its_types_from_the_subclass() -> None:
    class Base(LambdaTool, Generic[T, R]):
        def run(self, req: T) -> R:
            return self.work(req)

        def work(self, req: T) -> R:
            raise NotImplementedError

    class Middle(Base[T, list[str]]):
        pass

    class Concrete(Middle[Ask]):
        def work(self, req: Ask) -> list[str]:
            return [type(req).__name__, req.text]

    assert await a_server(Concrete).run_tool(Concrete, {"text": "x"}) == ["Ask", "x"]
    with pytest.raises(ToolDefinitionError, match=r"parameter 'req' is the type variable ~T: say in the class"):
        a_server(Base)


def test_a_constructor_that_wants_arguments_wants_an_instance() -> None:
    class Model(LambdaTool):
        def __init__(self, size: str, extra: int = 1) -> None:
            self.size = size

        run = _fine

    with pytest.raises(
        ToolDefinitionError, match=r"Model\(\) needs size: pass an instance, tools=\[Model\(size=\.\.\.\)\]"
    ):
        a_server(Model)
    assert a_server(Model("small")).tools["model"].tool.size == "small"  # type: ignore[attr-defined]


@pytest.mark.parametrize("thing", [5, "Greet", int, object(), None])
def test_what_is_no_tool_is_refused(thing: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="is no tool: pass a subclass of LambdaTool"):
        a_server(thing)
