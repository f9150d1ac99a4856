"""What a tool returned becomes bytes and a content type, and can be had back."""

import dataclasses
import io
import json
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from lambda_kit import BinaryResult
from lambda_kit.core.model.job import Failure, FailureKind, Payload
from lambda_kit.core.tools.results import decode_result, encode_result
from lambda_kit.core.tools.schema import request_decoder

JSON, TEXT, BYTES = "application/json", "text/plain; charset=utf-8", "application/octet-stream"


class Model(BaseModel):
    name: str = Field("Ann", alias="theName")
    count: int = 1


class Struct(msgspec.Struct, rename="camel"):
    the_name: str = "Ann"


@dataclasses.dataclass
class Data:
    name: str = "Ann"
    inner: Struct | None = None


class Colour(Enum):
    RED = "red"


class Unwilling(BaseModel):
    value: Any = None


class Words(str):
    __slots__ = ()


class Count(int):
    pass


class Metres(float):
    """As numpy.float64 is."""


class Table:
    """As numpy's arrays and numbers are, to whom encodes them."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def tolist(self) -> Any:
        return self._data


@dataclasses.dataclass
class Loose:
    value: Any = None


@dataclasses.dataclass
class Defaults:
    name: str
    count: int = 3
    words: list[str] = dataclasses.field(default_factory=list)
    inner: Loose = dataclasses.field(default_factory=Loose)


@pytest.mark.parametrize(
    ("value", "content_type", "content"),
    [
        (Model(theName="Bob"), JSON, b'{"theName":"Bob","count":1}'),
        (Struct(), JSON, b'{"theName":"Ann"}'),
        (Data(), JSON, b'{"name":"Ann","inner":null}'),
        (Data(inner=Struct()), JSON, b'{"name":"Ann","inner":{"theName":"Ann"}}'),
        ([Model(theName="Bob")], JSON, b'[{"theName":"Bob","count":1}]'),
        ({"m": Model(theName="Bob")}, JSON, b'{"m":{"theName":"Bob","count":1}}'),
        ({}, JSON, b"{}"),
        ([], JSON, b"[]"),
        (0, JSON, b"0"),
        (0.0, JSON, b"0.0"),
        (False, JSON, b"false"),
        (None, JSON, b"null"),
        (Colour.RED, JSON, b'"red"'),
        (datetime(2025, 1, 2, tzinfo=UTC), JSON, b'"2025-01-02T00:00:00Z"'),
        ((1, "a"), JSON, b'[1,"a"]'),
        ("", TEXT, b""),
        ("text é", TEXT, "text é".encode()),
        (b"", BYTES, b""),
        (b"\x00\xff", BYTES, b"\x00\xff"),
        (bytearray(b"ab"), BYTES, b"ab"),
        (memoryview(b"ab"), BYTES, b"ab"),
        (BinaryResult(content_type="image/png", content=b"png"), "image/png", b"png"),
        (BinaryResult(content_type="text/html; charset=utf-8", content="é"), "text/html; charset=utf-8", "é".encode()),
    ],
)
def test_the_value_decides_how_it_is_encoded(value: Any, content_type: str, content: bytes) -> None:
    assert encode_result(value, allows_none=True) == Payload(content, content_type)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Metres(1.5), 1.5),
        (Count(7), 7),
        (Path("a/b.txt"), "a/b.txt"),
        (deque([1, Count(2)]), [1, 2]),
        ({1}, [1]),
        (frozenset({"a"}), ["a"]),
        ({"k": 1}.keys(), ["k"]),
        (range(3), [0, 1, 2]),
        (Table([[1, 2], [3.5, None]]), [[1, 2], [3.5, None]]),
        (Table(3), 3),
        (Table([Table(1), Metres(2.5), Model(theName="Bob")]), [1, 2.5, {"theName": "Bob", "count": 1}]),
        ([Words("a"), Count(1), Metres(0.5), Path("x"), {2}, deque("b"), Table(3)], ["a", 1, 0.5, "x", [2], ["b"], 3]),
        ({"a": {"b": Words("c")}, "n": Count(1)}, {"a": {"b": "c"}, "n": 1}),
        (Loose(Struct()), {"value": {"theName": "Ann"}}),
        (Loose([Metres(1.5), Table([1])]), {"value": [1.5, [1]]}),
        (Loose(Loose(Model(theName="Bob"))), {"value": {"value": {"theName": "Bob", "count": 1}}}),
        ([Loose(Struct())], [{"value": {"theName": "Ann"}}]),
        (Unwilling(value=Path("a")), {"value": "a"}),
    ],
)
def test_what_is_like_plain_data_is_encoded_as_that(value: Any, plain: Any) -> None:
    encoded = encode_result(value, allows_none=False)
    assert isinstance(encoded, Payload), encoded
    assert encoded.content_type == JSON
    assert json.loads(encoded.content) == plain


def test_text_of_a_subclass_is_text() -> None:
    assert encode_result(Words("é"), allows_none=False) == Payload("é".encode(), TEXT)


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Defaults
    others: list[Defaults]
    label: str = "none"


def test_a_decoded_dataclass_keeps_its_defaults_wherever_it_stands_in_a_result() -> None:
    request = request_decoder(Outer)(b'{"inner": {"name": "Ann"}, "others": [{"name": "Bob"}]}')
    result = encode_result([request], allows_none=False)
    assert isinstance(result, Payload)
    whole = dataclasses.asdict(Outer(Defaults("Ann"), [Defaults("Bob")]))
    assert msgspec.json.decode(result.content) == [whole]


@pytest.mark.parametrize(
    "decode",
    [msgspec.json.Decoder(Defaults).decode, TypeAdapter(Defaults).validate_json],
    ids=["msgspec", "pydantic"],
)
def test_a_dataclass_that_was_decoded_keeps_its_defaults(decode: Callable[[bytes], Any]) -> None:
    encoded = encode_result(decode(b'{"name": "Ann"}'), allows_none=False)
    assert isinstance(encoded, Payload)
    assert json.loads(encoded.content) == {"name": "Ann", "count": 3, "words": [], "inner": {"value": None}}


def test_none_is_a_failure_where_it_is_not_allowed() -> None:
    expected = Failure(FailureKind.NO_RESULT, "no-result-error", "service did not return a result")
    assert encode_result(None, allows_none=False) == expected


def test_falsy_values_are_results_where_none_is_not_allowed() -> None:
    values: list[Any] = [{}, [], 0, False, "", b""]
    for value in values:
        assert isinstance(encode_result(value, allows_none=False), Payload)


@pytest.mark.parametrize(
    "make", [lambda path: path.open("rb"), lambda path: io.BytesIO(path.read_bytes())], ids=["file", "memory"]
)
def test_an_open_file_is_read_and_closed(make: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\x00content")
    file = make(path)
    encoded = encode_result(BinaryResult(content_type="image/png", content=file), allows_none=False)
    assert encoded == Payload(b"\x00content", "image/png")
    assert file.closed


@pytest.mark.parametrize(("mode", "content_type"), [("rb", BYTES), ("r", TEXT)])
def test_a_file_by_itself_is_no_list_of_its_lines(mode: str, content_type: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a\nb\n")
    file = path.open(mode)
    assert encode_result(file, allows_none=False) == Payload(b"a\nb\n", content_type)
    assert file.closed


def a_cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {"deep": [object()]},
        lambda: 1,
        Model,
        "\ud800",
        a_cycle(),
        Unwilling(value=object()),
        BinaryResult(content_type="no type", content=b""),
        BinaryResult(content_type="text/plain\r\nx-evil: 1", content=b""),
    ],
)
def test_what_can_not_be_encoded_is_a_failure_that_says_what_it_was(value: Any) -> None:
    failure = encode_result(value, allows_none=False)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.ENCODING
    assert f"the result, of type {type(value).__name__}, can't be encoded" in failure.message
    assert (failure.traceback or "").startswith("Traceback")


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value: Any) -> None:
    encoded = encode_result(value, allows_none=True)
    assert isinstance(encoded, Payload)
    if not isinstance(value, str):
        assert json.loads(encoded.content) == value
    assert decode_result(encoded, Any) == value


@given(st.binary())
def test_bytes_come_back_as_they_were(value: bytes) -> None:
    encoded = encode_result(value, allows_none=False)
    assert isinstance(encoded, Payload)
    assert decode_result(encoded, bytes) == value


@given(st.text())
def test_any_text_is_encoded_or_a_failure_never_an_exception(value: str) -> None:
    encoded = encode_result(value, allows_none=False)
    if isinstance(encoded, Payload):
        assert decode_result(encoded, str) == value
    else:
        assert encoded.kind is FailureKind.ENCODING


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Model(theName="Bob"), Model),
        (Model(theName="Bob"), Model | None),
        ([Model(theName="Bob")], list[Model]),
        (Struct("Bob"), Struct),
        (Struct("Bob"), Struct | None),
        ([Struct("Bob")], list[Struct]),
        (Data("Bob"), Data),
        ("text", str),
        (None, Model | None),
    ],
)
def test_it_comes_back_as_what_the_annotation_says(value: Any, annotation: Any) -> None:
    encoded = encode_result(value, allows_none=True)
    assert isinstance(encoded, Payload)
    assert decode_result(encoded, annotation) == value


def test_a_value_that_does_not_fit_its_annotation_comes_back_as_plain_data() -> None:
    encoded = encode_result({"other": 1}, allows_none=False)
    assert isinstance(encoded, Payload)
    for annotation in (int, list[Struct], list[Model], "nonsense", object()):
        assert decode_result(encoded, annotation) == {"other": 1}
