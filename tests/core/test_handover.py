"""`run_tool` hands a tool exactly the request that it was given, or refuses it and says why."""

import math
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, Field, PrivateAttr, RootModel, SecretStr, field_serializer, field_validator

from lambda_kit import LambdaTool, RequestValidationError
from tests.core.running_tools import a_server

PASSED: list[Any] = []


class Secret(BaseModel):
    password: SecretStr


class TwoNames(BaseModel):
    count: int = Field(1, validation_alias="in", serialization_alias="out")


class Renamed(BaseModel):
    count: int = Field(1, alias="theCount")


class Excluded(BaseModel):
    note: str = Field("none", exclude=True)


class Rounded(BaseModel):
    ratio: float

    @field_serializer("ratio")
    def _short(self, value: float) -> float:
        return round(value, 1)


class Sum(BaseModel):
    at: float


class Changed(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def _louder(cls, value: str) -> str:
        return value + "!"


class Inner(BaseModel):
    items: list[Secret] = []


class Hidden(BaseModel):
    _seen: list[int] = PrivateAttr(default_factory=list)


class Rich(BaseModel):
    at: datetime
    lasts: timedelta
    price: Decimal
    id: uuid.UUID
    path: Path
    raw: bytes
    tags: set[str]
    pair: tuple[int, str]
    _lock: Any = PrivateAttr(default_factory=threading.Lock)


class Numbers(RootModel[list[int]]):
    pass


@dataclass(eq=False)
class Point:
    x: float
    y: float = 0.0


class Note(msgspec.Struct, eq=False):
    text: str
    more: dict[str, int] = {}


class Child(Renamed):
    extra: int = 0


def hidden(*seen: int) -> Hidden:
    request = Hidden()
    request._seen += seen
    return request


RICH = Rich(
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    lasts=timedelta(days=1, microseconds=1),
    price=Decimal("1.10"),
    id=uuid.UUID(int=5),
    path=Path("/tmp/a"),
    raw=b"raw",
    tags={"a", "b"},
    pair=(1, "x"),
)

KEPT = [Renamed(theCount=7), RICH, Numbers([1, 2]), Point(1.5), Note("hi", {"a": 1}), hidden()]
LOST = [
    (Secret(password=SecretStr("s3cret")), "Secret.password is another value"),
    (TwoNames(**{"in": 7}), "TwoNames.count is another value"),
    (Excluded(note="n"), "Excluded.note is another value"),
    (Rounded(ratio=1.2345), "Rounded.ratio is another value"),
    (Sum(at=math.inf), "Sum can't be read from its own JSON"),
    (Changed(name="Ada"), "Changed.name is another value"),
    (Inner(items=[Secret(password=SecretStr("s3cret"))]), "Inner.items.0.password is another value"),
    (hidden(1), "Hidden._seen is another value"),
]


def keeper(model: type[Any]) -> type[LambdaTool]:
    def run(self: LambdaTool, req: Any) -> None:
        PASSED.append(req)

    run.__annotations__["req"] = model
    return type("Keep", (LambdaTool,), {"run": run})


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a store whose jobs may be run after a restart, from what is stored of them."""
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.mark.parametrize("at", range(len(KEPT) + len(LOST)))
async def test_in_this_process_a_tool_gets_the_very_request(at: int) -> None:
    request = [*KEPT, *(lost for lost, _ in LOST)][at]
    await a_server(keeper(type(request))).run_tool("keep", request)
    assert PASSED.pop() is request


@pytest.mark.parametrize("at", range(len(KEPT)))
async def test_a_request_that_survives_json_may_be_stored(at: int, url: str) -> None:
    await a_server(keeper(type(KEPT[at])), store=url).run_tool("keep", KEPT[at])
    assert PASSED.pop() is KEPT[at]


@pytest.mark.parametrize("at", range(len(LOST)))
async def test_a_request_that_would_become_another_one_is_refused(at: int, url: str) -> None:
    request, reason = LOST[at]
    with pytest.raises(RequestValidationError) as caught:
        await a_server(keeper(type(request)), store=url).run_tool("keep", request)
    message = str(caught.value)
    assert message.startswith("tool 'keep' reads this request from JSON, and ")
    assert reason in message
    assert message.endswith("pass plain data, such as a dict with its fields, as a client would send it")
    assert "s3cret" not in message
    assert not PASSED


async def test_a_member_of_a_union_is_handed_over_too(url: str) -> None:
    either = keeper(Secret | Renamed)  # type: ignore[arg-type]
    for request in (LOST[0][0], Renamed(theCount=7)):
        await a_server(either).run_tool("keep", request)
        assert PASSED.pop() is request
    await a_server(either, store=url).run_tool("keep", Renamed(theCount=7))
    assert PASSED.pop() == Renamed(theCount=7)
    with pytest.raises(RequestValidationError, match=r"Secret\.password is another value"):
        await a_server(either, store=url).run_tool("keep", LOST[0][0])


async def test_models_in_a_list_reach_the_tool_equal_or_not_at_all() -> None:
    await a_server(keeper(list[Renamed])).run_tool("keep", [Renamed(theCount=7), Renamed(theCount=8)])
    assert PASSED.pop() == [Renamed(theCount=7), Renamed(theCount=8)]
    with pytest.raises(RequestValidationError, match=r"list\.0\.password is another value"):
        await a_server(keeper(list[Secret])).run_tool("keep", [LOST[0][0]])
    await a_server(keeper(list[Secret])).run_tool("keep", [{"password": "s3cret"}])
    assert PASSED.pop() == [LOST[0][0]]


async def test_a_subclass_would_become_its_base(url: str) -> None:
    with pytest.raises(RequestValidationError, match="Child is another value"):
        await a_server(keeper(Renamed), store=url).run_tool("keep", Child(theCount=1, extra=2))


async def test_plain_data_is_taken_where_the_model_would_be_refused(url: str) -> None:
    await a_server(keeper(Secret), store=url).run_tool("keep", {"password": "s3cret"})
    assert PASSED.pop() == Secret(password=SecretStr("s3cret"))


@pytest.mark.parametrize(
    ("model", "request_", "expected"),
    [
        (Secret, "s3cret", "the request must be a Secret, or a dict with its fields, not a str"),
        (Secret, None, "the request must be a Secret, or a dict with its fields, not a NoneType"),
        (Secret, [], "the request must be a Secret, or a dict with its fields, not a list"),
        (Secret, Excluded(note="n"), "the request must be a Secret, or a dict with its fields, not a Excluded"),
        (Secret, Secret, "the request must be a Secret, or a dict with its fields, not the class Secret: make an"),
        (Secret, type("Secret", (), {})(), "not the Secret of the module 'tests.core.test_handover'"),
        (Numbers, "text", "The request does not fit Numbers: body: Input should be a valid array"),
        (Point, {"x": "wide"}, "The request does not fit Point: body.x: "),
        (Point, {"x": object()}, "the request, a dict, can't be encoded as JSON"),
        (bytes, 5, "the request must be bytes, a BinaryRequest, or a dict with 'content' in base64, not a int"),
    ],
)
async def test_what_is_no_request_for_the_tool_is_refused(model: type[Any], request_: Any, expected: str) -> None:
    with pytest.raises(RequestValidationError) as caught:
        await a_server(keeper(model)).run_tool("keep", request_)
    assert expected in str(caught.value)
    assert not PASSED
