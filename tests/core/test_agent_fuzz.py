"""docs/mcp.md, What agents read: what a tool returns fits its schema, for classes that nobody thought of."""

import datetime as dt
import itertools
import uuid
from dataclasses import make_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import create_model

from lambda_kit.core.tools.agent_schema import request_for_agents, result_for_agents
from lambda_kit.core.tools.results import encode_json
from lambda_kit.core.tools.schema import request_decoder
from tests.support.agent_schemas import check_result, check_schema, fits

NUMBERS = itertools.count()
"""Of classes, since msgspec tells two of the same name not apart."""


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Typed(NamedTuple):
    tp: Any
    values: st.SearchStrategy[Any]


TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
LEAVES = [
    Typed(int, st.integers(-(2**53), 2**53)),
    Typed(float, st.floats()),
    Typed(bool, st.booleans()),
    Typed(str, TEXT),
    Typed(Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-1000, max_value=1000)),
    Typed(dt.datetime, st.datetimes(timezones=st.just(dt.UTC))),
    Typed(dt.date, st.dates()),
    Typed(uuid.UUID, st.uuids()),
    Typed(Colour, st.sampled_from(Colour)),
]


def list_of(inner: Typed) -> Typed:
    return Typed(list[inner.tp], st.lists(inner.values, max_size=2))  # type: ignore[name-defined]


def dict_of(inner: Typed) -> Typed:
    return Typed(dict[str, inner.tp], st.dictionaries(TEXT, inner.values, max_size=2))  # type: ignore[name-defined]


def tuple_of(inner: Typed) -> Typed:
    return Typed(tuple[inner.tp, int], st.tuples(inner.values, st.integers(0, 9)))  # type: ignore[name-defined]


def optional(inner: Typed) -> Typed:
    return Typed(inner.tp | None, st.none() | inner.values)


def pydantic_model(members: list[Typed]) -> Typed:
    fields: Any = {f"m{index}": (member.tp, ...) for index, member in enumerate(members)}
    return class_of(create_model(f"Model{next(NUMBERS)}", **fields), members)


def struct(members: list[Typed]) -> Typed:
    fields = [(f"m{index}", member.tp) for index, member in enumerate(members)]
    made: Any = msgspec.defstruct(f"Structure{next(NUMBERS)}", fields, forbid_unknown_fields=True)
    return class_of(made, members)


def data_class(members: list[Typed]) -> Typed:
    fields = [(f"m{index}", member.tp) for index, member in enumerate(members)]
    return class_of(make_dataclass(f"Data{next(NUMBERS)}", fields), members)


def class_of(cls: Any, members: list[Typed]) -> Typed:
    return Typed(cls, st.builds(cls, **{f"m{index}": member.values for index, member in enumerate(members)}))


def wrapped(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        *(inner.map(make) for make in (list_of, dict_of, tuple_of, optional)),
        *(several.map(make) for make in (pydantic_model, data_class)),
    )


ANY = st.recursive(st.sampled_from(LEAVES), wrapped, max_leaves=6)
PLAIN = st.recursive(st.sampled_from(LEAVES), lambda inner: st.one_of(inner.map(list_of), inner.map(dict_of)))
OBJECTS = st.one_of(
    *(st.lists(ANY, min_size=1, max_size=3).map(make) for make in (pydantic_model, data_class)),
    st.lists(PLAIN, min_size=1, max_size=3).map(struct),
)
THOROUGH = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@THOROUGH
@given(st.data(), ANY | OBJECTS)
def test_what_is_returned_fits_its_schema(data: st.DataObject, typed: Typed):
    described = result_for_agents(typed.tp)
    if described is not None:
        check_schema(described.schema)
    value = data.draw(typed.values)
    if described is not None or not isinstance(value, str):
        check_result(described, value)


@THOROUGH
@given(st.data(), OBJECTS)
def test_what_is_sent_fits_its_schema_and_is_understood(data: st.DataObject, typed: Typed):
    schema, is_wrapped = request_for_agents(typed.tp)
    check_schema(schema)
    assert not is_wrapped
    body = encode_json(data.draw(typed.values))
    sent = msgspec.json.decode(body)
    if fits(schema, sent):  # NaN is sent as null, which no number is
        request_decoder(typed.tp)(body)
    else:
        assert b"null" in body
