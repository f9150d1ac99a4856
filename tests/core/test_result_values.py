"""What users of pydantic, NumPy and pandas return is encoded as what it is like, wherever it stands."""

import datetime as dt
import ipaddress
import itertools
import json
import types
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel, ConfigDict, HttpUrl, SecretStr

from lambda_kit.core.model.job import Failure, FailureKind, Payload
from lambda_kit.core.tools.results import encode_result

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

NAN, INF = float("nan"), float("inf")


def sent(value: Any) -> Any:
    """The JSON that a client gets."""
    encoded = encode_result(value, allows_none=True)
    assert isinstance(encoded, Payload), encoded
    assert encoded.content_type == "application/json"

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(encoded.content, parse_constant=refuse)


def refused(value: Any) -> Failure:
    failure = encode_result(value, allows_none=False)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.ENCODING
    return failure


class Timestamp(dt.datetime):
    """As pandas.Timestamp, pendulum.DateTime and freezegun's FakeDatetime are."""


class Date(dt.date):
    pass


class Time(dt.time):
    pass


class Duration(dt.timedelta):
    """As pendulum.Duration, where these say something else."""

    @property
    def days(self) -> int:
        return 1000

    @property
    def seconds(self) -> int:
        return 1000


class Point(NamedTuple):
    x: int
    y: float


class Level(Enum):
    LOW = 1
    TUPLE = (1, 2)


@dataclass
class Data:
    value: Any


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    value: Any


class Struct(msgspec.Struct):
    value: Any


class Text(str):
    __slots__ = ()


def count() -> Iterator[int]:
    yield from range(3)


WRAPPED: list[Callable[[Any], Any]] = [
    lambda value: {"value": value},
    lambda value: [{"value": value}][0],
    Data,
    lambda value: Holder(value=value),
    Struct,
    lambda value: {"value": value, None: 1},
]

LIKE: list[tuple[Any, Any]] = [
    (HttpUrl("http://example.com"), "http://example.com/"),
    (ipaddress.IPv4Address("127.0.0.1"), "127.0.0.1"),
    (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    (SecretStr("s3cret"), "**********"),
    (PurePosixPath("a/b"), "a/b"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Decimal("1.50"), "1.50"),
    (Level.LOW, 1),
    (Level.TUPLE, [1, 2]),
    (Timestamp(2026, 1, 2, 3, tzinfo=dt.UTC), "2026-01-02T03:00:00Z"),
    (Timestamp(2026, 1, 2, 3, 4, 5, 6), "2026-01-02T03:04:05.000006"),
    (Date(2026, 1, 2), "2026-01-02"),
    (Time(1, 2, 3), "01:02:03"),
    (Duration(days=1), "P1D"),
    (complex(1, 2), "1+2j"),
    (NAN, None),
    (INF, None),
    ({"n": [NAN, -INF]}, {"n": [None, None]}),
    ({1}, [1]),
    (deque([1]), [1]),
    (range(2), [0, 1]),
    (Point(1, 2.5), [1, 2.5]),
    (OrderedDict(a=1), {"a": 1}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (UserDict({"a": NAN}), {"a": None}),
    (Holder(value=INF), {"value": None}),
    (
        Struct(Holder(value=Data(Struct(HttpUrl("http://a.b"))))),
        {"value": {"value": {"value": {"value": "http://a.b/"}}}},
    ),
    (np.float64(1.5), 1.5),
    (np.float32("nan"), None),
    (np.longdouble(1.5), 1.5),
    (np.int16(7), 7),
    (np.bool_(True), True),
    (np.str_("x"), "x"),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array([1.5, NAN, INF]), [1.5, None, None]),
    (np.array([NAN, 1], dtype=np.longdouble), [None, 1.0]),
    (np.array(3), 3),
    (np.datetime64("2026-01-02T03:04:05.123456789"), "2026-01-02T03:04:05.123456789"),
    (np.datetime64("2026-01"), "2026-01"),
    (np.datetime64("2026-01-02T03", "h"), "2026-01-02T03"),
    (np.datetime64("NaT"), None),
    (np.array([["2026-01-02", "NaT"]], dtype="datetime64[ns]"), [["2026-01-02T00:00:00.000000000", None]]),
    (np.timedelta64(24, "h"), "P1D"),
    (np.timedelta64("NaT", "ns"), None),
    (np.array([1, None, Timestamp(2026, 1, 1)], dtype=object), [1, None, "2026-01-01T00:00:00"]),
    (np.ma.masked_array([1, 2], [False, True]), [1, None]),
    (np.array([(1, NAN)], dtype=[("a", int), ("b", float)]), [{"a": 1, "b": None}]),
    (np.array([(1, 2.5)], dtype=[("a", int), ("b", float)])[0], {"a": 1, "b": 2.5}),
    (pd.Timestamp("2026-01-02T03:04", tz="UTC"), "2026-01-02T03:04:00Z"),
    (pd.Timedelta(days=1), "P1D"),
    (pd.NA, None),
    (pd.NaT, None),
    (pd.Series([1, NAN], index=["a", "b"]), {"a": 1, "b": None}),
    (pd.Series([1, 2]), {"0": 1, "1": 2}),
    (pd.Series([1], index=pd.to_datetime(["2026-01-02"])), {"2026-01-02T00:00:00": 1}),
    (pd.Index([1, 2]), [1, 2]),
    (pd.DatetimeIndex(["2026-01-02"]), ["2026-01-02T00:00:00"]),
    (pd.Categorical(["a", "b", "a"]), ["a", "b", "a"]),
    (pd.array([1, None], dtype="Int64"), [1, None]),
    (pd.Period("2026-01"), "2026-01"),
    (
        pd.DataFrame({"name": ["a", None], "when": [pd.Timestamp("2026-01-02"), pd.NaT], "n": [1, NAN]}),
        [{"name": "a", "when": "2026-01-02T00:00:00", "n": 1.0}, {"name": None, "when": None, "n": None}],
    ),
    (pd.DataFrame({1: [1], 2: [2]}), [{"1": 1, "2": 2}]),
    (pd.DataFrame(), []),
]


@pytest.mark.parametrize(
    ("value", "plain"), LIKE, ids=[f"{type(value).__name__}-{n}" for n, (value, _) in enumerate(LIKE)]
)
def test_a_value_is_encoded_alike_alone_and_in_anything(value: Any, plain: Any) -> None:
    if not isinstance(value, str):
        assert sent(value) == plain
    assert sent([value, Text("x")]) == [plain, "x"]
    for wrap in WRAPPED:
        assert sent(wrap(value))["value"] == plain


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *((1, "1"), (1.5, "1.5"), (True, "true"), (False, "false"), (None, "null"), ("a", "a"), (Text("b"), "b")),
        *((np.int64(3), "3"), (np.float64(2.5), "2.5"), (np.bool_(True), "true"), (np.str_("x"), "x")),
        *((dt.date(2026, 1, 2), "2026-01-02"), (UUID(int=1), str(UUID(int=1))), (Level.LOW, "1")),
        (Timestamp(2026, 1, 2), "2026-01-02T00:00:00"),
    ],
)
def test_keys_are_written_as_json_has_them(key: Any, name: str) -> None:
    assert sent({key: 1}) == {name: 1}
    assert sent([{"a": {key: 1, None: 2}}]) == [{"a": {name: 1, "null": 2}}] if name != "null" else True


@pytest.mark.parametrize("key", [(1, 2), frozenset({1}), Point(1, 2)])
def test_other_keys_are_refused_with_the_remedy(key: Any) -> None:
    assert f"a {type(key).__name__} can't be a key in JSON; make a text of it" in refused({key: 1}).message


@pytest.mark.parametrize("wrap", [lambda values: values, lambda values: {"values": values}], ids=["alone", "inside"])
def test_a_generator_without_end_is_no_result(wrap: Callable[[Any], Any]) -> None:
    failure = encode_result(wrap(itertools.repeat(1)), allows_none=False)
    assert isinstance(failure, Failure)
    assert "an iterator gave more than 1,000,000 values" in failure.message


def test_a_generator_is_read_to_its_end() -> None:
    assert sent(count()) == [0, 1, 2]
    assert sent({"n": count(), "more": [map(str, (1, 2))]}) == {"n": [0, 1, 2], "more": [["1", "2"]]}
    assert sent({None: count()}) == {"null": [0, 1, 2]}


def test_what_contains_itself_is_refused() -> None:
    listed: list[Any] = []
    listed.append(listed)
    keyed: dict[Any, Any] = {None: 1}
    keyed["self"] = keyed
    array = np.array([None], dtype=object)
    array[0] = array
    for value in (listed, keyed, array, [listed]):
        assert "it contains itself, or is nested too deeply" in refused(value).message


def test_an_object_of_ones_own_is_refused_by_its_name() -> None:
    for value in ({"a": [object()]}, object(), [Level], {"f": count}):
        assert "can't be encoded as JSON" in refused(value).message
    assert "object" in refused(Holder(value=object())).message


async def test_what_was_not_awaited_is_refused_with_the_remedy() -> None:
    async def work() -> int:
        return 1

    coroutine = work()
    message = refused({"n": coroutine}).message
    assert await coroutine == 1
    assert message.endswith("an object of type coroutine can't be encoded as JSON: await it, in an 'async def run'")


def test_infinities_are_null_whatever_a_model_says_that_would_be_no_json() -> None:
    class Constants(BaseModel):
        model_config = ConfigDict(ser_json_inf_nan="constants")

        number: float = NAN
        text: str = "NaN, Infinity"

    class Strings(Constants):
        model_config = ConfigDict(ser_json_inf_nan="strings")

    assert sent(Constants()) == {"number": None, "text": "NaN, Infinity"}
    assert sent([Constants()]) == [{"number": None, "text": "NaN, Infinity"}]
    assert sent(Strings()) == sent([Strings()])[0] == {"number": None, "text": "NaN, Infinity"}


def test_a_path_keeps_its_own_form() -> None:
    assert sent({"file": Path("a") / "b"}) == {"file": str(Path("a") / "b")}
