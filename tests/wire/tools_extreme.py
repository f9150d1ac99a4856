"""Tools for the wire tests that return or raise everything that one can."""

import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from lambda_kit import BinaryResult, JobCancelledError, LambdaTool


class KindRequest(BaseModel):
    kind: str


class Inner(BaseModel):
    name: str = Field(default="inner", serialization_alias="theName")
    default: int = 0


class InnerStruct(msgspec.Struct):
    name: str = "struct"


@dataclass
class InnerData:
    name: str = "data"


class Unencodable:
    pass


class HasUnencodable(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    thing: Unencodable


def _circular() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def _nested() -> list[Any]:
    items: list[Any] = []
    for _ in range(100_000):
        items = [items]
    return items


RESULTS: dict[str, Callable[[], Any]] = {
    "model": Inner,
    "struct": InnerStruct,
    "dataclass": InnerData,
    "dict": lambda: {"a": [1, {"b": None}]},
    "list": lambda: [1, "two", None],
    "number": lambda: 3.5,
    "big-number": lambda: 2**70,
    "big-number-inside": lambda: {"n": [-(2**70)]},
    "true": lambda: True,
    "false": lambda: False,
    "zero": lambda: 0,
    "empty-dict": dict,
    "empty-list": list,
    "mixed": lambda: {
        "model": Inner(),
        "struct": InnerStruct(),
        "data": InnerData(),
        "models": [Inner()],
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "uuid": UUID(int=1),
    },
    "text": lambda: "grüße",
    "empty-text": str,
    "bytes": lambda: b"\x00\xff",
    "empty-bytes": bytes,
    "binary": lambda: BinaryResult(content_type="image/png", content=b"\x89PNG"),
    "binary-text": lambda: BinaryResult(content_type="text/csv; charset=utf-8", content="a,ü\n"),
    "binary-file": lambda: BinaryResult(content_type="application/x-thing", content=io.BytesIO(b"from a file")),
    "none": lambda: None,
    "object": Unencodable,
    "object-inside": lambda: {"a": [Unencodable()]},
    "object-in-model": lambda: HasUnencodable(thing=Unencodable()),
    "surrogate": lambda: "\ud800",
    "surrogate-inside": lambda: {"a": "\ud800"},
    "circular": _circular,
    "nested": _nested,
    "bad-content-type": lambda: BinaryResult(content_type="text/html\r\nX-Evil: 1", content=b""),
}


class Returns(LambdaTool):
    """Return anything; None is not allowed"""

    def run(self, req: KindRequest) -> dict[str, Any]:
        value: dict[str, Any] = RESULTS[req.kind]()
        return value


class ReturnsAsync(LambdaTool):
    """Return anything; None is not allowed"""

    async def run(self, req: KindRequest) -> dict[str, Any]:
        value: dict[str, Any] = RESULTS[req.kind]()
        return value


class ReturnsOptional(LambdaTool):
    """Return anything; None is allowed"""

    def run(self, req: KindRequest) -> dict[str, Any] | None:
        value: dict[str, Any] | None = RESULTS[req.kind]()
        return value


class ReturnsNone(LambdaTool):
    """Return nothing, and say so"""

    async def run(self, req: KindRequest) -> None:
        RESULTS[req.kind]()


class OwnError(Exception):
    pass


class OwnBaseException(BaseException):
    pass


class OwnValueError(ValueError):
    pass


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def _validate() -> BaseException:
    try:
        Inner.model_validate({"default": "the tool's own secret"})
    except ValueError as error:
        return error
    raise AssertionError("it was valid")


ERRORS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("boom"),
    "OwnValueError": lambda: OwnValueError("boom"),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "boom"),
    "RuntimeError": lambda: RuntimeError("boom"),
    "OwnError": lambda: OwnError("boom"),
    "OwnBaseException": lambda: OwnBaseException("boom"),
    "SystemExit": lambda: SystemExit("boom"),
    "KeyboardInterrupt": lambda: KeyboardInterrupt("boom"),
    "GeneratorExit": lambda: GeneratorExit("boom"),
    "CancelledError": lambda: asyncio.CancelledError("boom"),
    "JobCancelledError": lambda: JobCancelledError("boom"),
    "StopIteration": lambda: StopIteration("boom"),
    "StopAsyncIteration": lambda: StopAsyncIteration("boom"),
    "TimeoutError": lambda: TimeoutError("boom"),
    "JSONDecodeError": lambda: json.JSONDecodeError("boom", "{", 1),
    "ExceptionGroup": lambda: ExceptionGroup("boom", [ValueError("one"), ValueError("two")]),
    "group of one": lambda: BaseExceptionGroup("task group", [BaseExceptionGroup("inner", [ValueError("boom")])]),
    "ValidationError": _validate,
    "UnprintableError": UnprintableError,
    "silent": OwnError,
    "surrogate": lambda: ValueError("boom \ud800"),
}


class Raises(LambdaTool):
    """Raise anything"""

    def run(self, req: KindRequest) -> dict[str, Any]:
        error = ERRORS[req.kind]()
        raise error


class RaisesAsync(LambdaTool):
    """Raise anything, on the loop"""

    async def run(self, req: KindRequest) -> dict[str, Any]:
        error = ERRORS[req.kind]()
        raise error
