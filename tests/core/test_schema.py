"""What a request and a result look like in JSON, and what is said about a request that does not fit."""

import copy
import dataclasses
import enum
import inspect
import json
import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

import ivcap_service
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter
from typing_extensions import TypedDict

from lambda_kit.core.errors import RequestValidationError
from lambda_kit.core.service_info import Service
from lambda_kit.core.tools.schema import is_request_model, json_schema, request_decoder, with_schema

URI = "urn:test:schema.1"
OTHER = "urn:test:another.1"


@with_schema(URI)
class Model(BaseModel):
    a: int
    b: list[int] = []


@with_schema(URI)
class Struct(msgspec.Struct):
    a: int
    b: list[int] = []


@with_schema(URI)
class OddStruct(msgspec.Struct, frozen=True, rename="camel", tag="odd", omit_defaults=True, forbid_unknown_fields=True):
    """A Struct with every option."""

    a: int
    b: list[int] = []
    child_node: "OddStruct | None" = None


@with_schema(URI)
class KwOnlyStruct(msgspec.Struct, kw_only=True):
    b: list[int] = []
    a: int


@with_schema(URI)
@dataclasses.dataclass
class Plain:
    """A dataclass."""

    a: int
    b: list[int] = dataclasses.field(default_factory=list)


@with_schema(URI)
@dataclasses.dataclass(frozen=True, slots=True, order=True)
class FrozenSlots:
    a: int
    b: list[int] = dataclasses.field(default_factory=list)
    child: "FrozenSlots | None" = None


@with_schema(URI)
@dataclasses.dataclass(kw_only=True)
class WithPydantic:
    b: list[int] = dataclasses.field(default_factory=list)
    a: int
    model: Model | None = None


@with_schema(URI)
@pydantic.dataclasses.dataclass(frozen=True)
class PydanticDataclass:
    a: int
    b: list[int] = Field([], max_length=3)


DECORATED = [
    *(Model, Struct, OddStruct, KwOnlyStruct),
    *(Plain, FrozenSlots, WithPydantic, PydanticDataclass),
]
POSITIONAL = [Struct, OddStruct, Plain, FrozenSlots, PydanticDataclass]


def encoded(value: Any) -> dict[str, Any]:
    """The JSON that a result becomes."""
    if isinstance(value, msgspec.Struct):
        return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, Any])
    body = TypeAdapter(type(value)).dump_json(value, by_alias=True)
    return msgspec.json.decode(body, type=dict[str, Any])


def refusal(tp: Any, body: bytes) -> RequestValidationError:
    with pytest.raises(RequestValidationError) as caught:
        request_decoder(tp)(body)
    return caught.value


# $schema


@pytest.mark.parametrize("tp", DECORATED)
def test_schema_is_in_the_json_of_every_instance_made_or_decoded(tp: Any) -> None:
    assert encoded(tp(a=1))["$schema"] == URI
    assert encoded(request_decoder(tp)(b'{"a": 1}'))["$schema"] == URI
    assert encoded(request_decoder(tp)(json.dumps({"$schema": URI, "a": 1}).encode()))["$schema"] == URI
    assert tp(a=1).schema_ == URI


@pytest.mark.parametrize("tp", [Plain, FrozenSlots])
def test_a_dataclass_has_its_schema_in_what_msgspec_encodes_too(tp: Any) -> None:
    assert json.loads(msgspec.json.encode(tp(1)))["$schema"] == URI
    assert json.loads(msgspec.json.encode(request_decoder(tp)(b'{"a": 1}')))["$schema"] == URI


@pytest.mark.parametrize("tp", DECORATED)
def test_schema_is_first_or_last_in_the_json_schema(tp: Any) -> None:
    properties = json_schema(tp)["properties"]
    member = properties["$schema"]
    assert {key: member[key] for key in ("default", "type")} == {"default": URI, "type": "string"}
    assert member.get("title", "$Schema") == "$Schema"
    assert "$schema" in {next(iter(properties)), list(properties)[-1]}
    assert "$schema" not in json_schema(tp)["required"]


@pytest.mark.parametrize("tp", DECORATED)
def test_another_schema_is_refused_naming_both(tp: Any) -> None:
    error = refusal(tp, json.dumps({"$schema": OTHER, "a": 1}).encode())
    [fault] = error.errors
    assert fault["loc"] == ["body", "$schema"]
    assert fault["type"] == "value_error"
    assert URI in fault["msg"]
    assert OTHER in fault["msg"]
    [fault] = refusal(tp, b'{"$schema": 3, "a": 1}').errors
    assert fault["loc"] == ["body", "$schema"]


def test_a_huge_schema_is_not_repeated_in_full() -> None:
    body = json.dumps({"$schema": "x" * 100_000, "a": 1}).encode()
    for tp in (Struct, Plain, WithPydantic, PydanticDataclass):
        assert len(str(refusal(tp, body))) < 500


@pytest.mark.parametrize("tp", POSITIONAL)
def test_positional_arguments_keep_their_places(tp: Any) -> None:
    made = tp(1, [2])
    assert (made.a, made.b) == (1, [2])
    assert list(inspect.signature(tp).parameters)[:2] == ["a", "b"]


@pytest.mark.parametrize("tp", DECORATED)
def test_a_decorated_class_keeps_its_name_and_its_instances_can_be_pickled_and_copied(tp: Any) -> None:
    assert tp.__module__ == __name__
    assert getattr(sys.modules[__name__], tp.__qualname__) is tp
    made = tp(a=1, b=[2])
    assert pickle.loads(pickle.dumps(made)) == made
    assert encoded(copy.deepcopy(made)) == encoded(made)
    assert made != tp(a=2)


def test_the_options_of_a_struct_are_kept() -> None:
    made = OddStruct(1, [2], OddStruct(3))
    child = {"type": "odd", "a": 3, "$schema": URI}
    assert encoded(made) == {"type": "odd", "a": 1, "b": [2], "childNode": child, "$schema": URI}
    with pytest.raises(AttributeError):
        made.a = 2  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    assert refusal(OddStruct, b'{"a": 1, "c": 1}').errors[0]["type"] == "extra_forbidden"
    with pytest.raises(TypeError):
        cast("Any", KwOnlyStruct)(1)


def test_the_options_of_a_dataclass_are_kept() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FrozenSlots(1).a = 2  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    assert FrozenSlots(1) < FrozenSlots(2)
    assert repr(FrozenSlots(1)) == "FrozenSlots(a=1, b=[], child=None)"
    assert dataclasses.replace(Plain(1), a=2) == Plain(2)
    assert Plain.__doc__ == "A dataclass."


def test_the_users_post_init_still_runs() -> None:
    seen: list[str] = []

    @with_schema(URI)
    class AStruct(msgspec.Struct):
        a: int

        def __post_init__(self) -> None:
            seen.append("struct")

    @with_schema(URI)
    @dataclasses.dataclass
    class ADataclass:
        a: int
        start: dataclasses.InitVar[int] = 7

        def __post_init__(self, start: int) -> None:
            if self.a < 0:
                raise ValueError("a is negative")
            seen.append(f"dataclass {start}")

    request_decoder(AStruct)(b'{"a": 1}')
    ADataclass(1, 8)
    request_decoder(ADataclass)(b'{"a": 1}')
    assert seen == ["struct", "dataclass 8", "dataclass 7"]
    assert "a is negative" in refusal(ADataclass, b'{"a": -1}').errors[0]["msg"]


def test_a_model_or_struct_derived_from_a_decorated_one_may_have_a_schema_of_its_own() -> None:
    @with_schema(OTHER)
    class Second(Struct):
        c: int = 0

    assert encoded(Second(1, [2], 3)) == {"a": 1, "b": [2], "c": 3, "$schema": OTHER}
    error = refusal(Second, json.dumps({"a": 1, "$schema": URI}).encode())
    assert error.errors[0]["loc"] == ["body", "$schema"]


def test_what_cannot_have_a_schema_is_refused_with_the_remedy() -> None:
    class NoModel:
        a: int

    class AsArray(msgspec.Struct, array_like=True):
        a: int

    class Taken(msgspec.Struct):
        mine: str = msgspec.field(name="$schema", default="x")

    class TakenTag(msgspec.Struct, tag_field="$schema", tag="x"):
        a: int

    @dataclasses.dataclass
    class TakenAttribute:
        schema_: str

    expected: dict[type, str] = {
        NoModel: "above @dataclass",
        AsArray: "Remove array_like",
        Taken: "'mine'.*Rename or remove",
        TakenTag: "Rename or remove",
        TakenAttribute: "'schema_'.*Rename or remove",
    }
    for tp, message in expected.items():
        with pytest.raises(TypeError, match=f"{tp.__qualname__.split('.')[-1]}.*{message}"):
            with_schema(URI)(tp)
    with pytest.raises(TypeError, match="decorates a class"):
        with_schema(URI)(cast("Any", NoModel()))
    with pytest.raises(TypeError, match=r"Derived can't be derived.*decorate each"):

        class Derived(Plain):
            pass


# JSON Schemas


class Nested(BaseModel):
    x: int


class Holder(msgspec.Struct):
    nested: Nested
    leaf: Struct | None = None


class Typed(TypedDict):
    a: int


def test_a_pydantic_model_gives_its_own_schema() -> None:
    class Parent(BaseModel):
        child: Nested
        more: "Parent | None" = None

    for model in (Model, Nested, Parent):
        assert json_schema(model) == model.model_json_schema()


def test_a_model_with_a_field_json_schema_has_no_words_for_is_described_without_it() -> None:
    class Odd(BaseModel):
        a: int
        call: Callable[[], int] | None = None

    assert json_schema(Odd)["properties"]["a"]["type"] == "integer"


@pytest.mark.parametrize("tp", [*DECORATED[1:], Holder])
def test_structs_and_dataclasses_have_their_properties_at_the_top_and_every_reference_resolves(
    tp: Any,
) -> None:
    schema = json_schema(tp)
    assert schema["type"] == "object"
    assert schema["properties"]
    text = json.dumps(schema)
    for reference in {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}:
        assert reference in schema["$defs"]
    assert ("$defs" in schema) == ('"$ref"' in text)


@pytest.mark.parametrize(
    ("tp", "schema"),
    [
        (str, {"type": "string"}),
        (None, {"type": "null"}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Any, {}),
        (object, {}),
        (ivcap_service.BinaryResult, {}),
        (ivcap_service.IvcapResult, {}),
    ],
    ids=str,
)
def test_other_annotations_have_a_schema_too(tp: Any, schema: dict[str, Any]) -> None:
    assert json_schema(tp) == schema


def test_collections_of_models_refer_to_their_definitions() -> None:
    for tp in (list[Model], list[Struct], list[Plain]):
        schema = json_schema(tp)
        name = schema["items"]["$ref"].removeprefix("#/$defs/")
        assert "$schema" in schema["$defs"][name]["properties"]
    assert json_schema(bytes)["type"] == "string"
    assert json_schema(Typed)["required"] == ["a"]


# Requests


def test_models_structs_and_dataclasses_are_requests_and_nothing_else_is() -> None:
    for tp in DECORATED:
        assert is_request_model(tp)
    framework = (ivcap_service.JobContext, ivcap_service.BinaryResult, ivcap_service.Service, Service)
    bases = (BaseModel, msgspec.Struct)
    for other in (*framework, *bases, int, list[Model], Model | None, Plain(1), Model(a=1), None, "Model"):
        assert not is_request_model(other)


@pytest.mark.parametrize("tp", DECORATED)
def test_a_body_that_fits_becomes_an_instance(tp: Any) -> None:
    assert request_decoder(tp)(b' {"b": [1, 2], "a": 1} ') == tp(a=1, b=[1, 2])


@pytest.mark.parametrize("tp", DECORATED)
@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_an_empty_body_is_missing(tp: Any, body: bytes) -> None:
    assert refusal(tp, body).errors == [{"loc": ["body"], "msg": "Field required", "type": "missing"}]


@pytest.mark.parametrize("tp", DECORATED)
@pytest.mark.parametrize(
    "body", [b"{", b'{"a": 1}x', b"\xff", b'{"a": nan}', b'{"a": "\xff"}', b'{"x":' * 100_000, b"'a'"]
)
def test_a_body_that_is_not_json_is_refused(tp: Any, body: bytes) -> None:
    [fault] = refusal(tp, body).errors
    assert fault["loc"][0] == "body"
    # msgspec stops at the first fault of either kind, and skips what it has no field for.
    assert fault["type"] in {"json_invalid", "type_error", "missing", "extra_forbidden"}
    if body in {b"{", b"\xff", b'{"a": 1}x'}:
        assert fault["type"] == "json_invalid"


@pytest.mark.parametrize("tp", DECORATED)
def test_a_fault_is_located(tp: Any) -> None:
    assert refusal(tp, b'{"a": 1, "b": [1, 2, "x"]}').errors[0]["loc"] == ["body", "b", 2]
    [fault] = refusal(tp, b"{}").errors
    assert fault == {"loc": ["body", "a"], "msg": "Field required", "type": "missing"}
    assert refusal(tp, b"[]").errors[0]["loc"] == ["body"]
    assert "body.a: Field required" in str(refusal(tp, b"{}"))


class Colour(enum.Enum):
    RED = "red"


class Secrets(msgspec.Struct):
    number: int = 0
    colour: Colour = Colour.RED
    word: Literal["a", "b"] = "a"
    short: Annotated[str, msgspec.Meta(max_length=3)] = ""
    table: dict[str, int] = {}
    keys: dict[int, int] = {}
    nested: Nested | None = None


class SecretsModel(BaseModel):
    number: int = 0
    colour: Colour = Colour.RED
    word: Literal["a", "b"] = "a"
    short: str = Field("", max_length=3)
    table: dict[str, int] = {}
    nested: Nested | None = None


@pytest.mark.parametrize("tp", [Secrets, SecretsModel])
@pytest.mark.parametrize(
    ("member", "value", "loc"),
    [
        ("number", "s3cret", ["number"]),
        ("colour", "s3cret", ["colour"]),
        ("word", "s3cret", ["word"]),
        ("short", "s3cret", ["short"]),
        ("table", {"k": "s3cret"}, ["table"]),
        ("nested", {"x": "s3cret"}, ["nested"]),
        ("nested", "s3cret", ["nested"]),
    ],
)
def test_a_refused_value_is_repeated_nowhere(tp: Any, member: str, value: Any, loc: list[str]) -> None:
    error = refusal(tp, json.dumps({member: value}).encode())
    assert error.errors[0]["loc"][:2] == ["body", *loc]
    assert set(error.errors[0]) == {"loc", "msg", "type"}
    told = "".join(traceback.format_exception(error)) + json.dumps(error.errors)
    assert "s3cret" not in told


def test_a_key_that_does_not_fit_is_located_at_its_table() -> None:
    assert refusal(Secrets, b'{"keys": {"s3cret": 1}}').errors[0]["loc"] == ["body", "keys"]


def test_only_the_first_hundred_faults_are_listed() -> None:
    error = refusal(Model, json.dumps({"a": 1, "b": ["x"] * 1000}).encode())
    assert len(error.errors) == 100
    assert "999 more" in str(error)


def test_pydantic_constraints_in_a_dataclass_are_kept() -> None:
    @dataclasses.dataclass
    class InAnnotation:
        a: Annotated[int, Field(ge=5)]

    @dataclasses.dataclass
    class InDefault:
        a: int = Field(7, ge=5)

    @dataclasses.dataclass
    class Deep:
        a: list[InAnnotation]

    assert request_decoder(InAnnotation)(b'{"a": 5}') == InAnnotation(5)
    assert request_decoder(InDefault)(b"{}").a == 7
    for tp, body in ((InAnnotation, b'{"a": 1}'), (InDefault, b'{"a": 1}'), (Deep, b'{"a": [{"a": 1}]}')):
        assert refusal(tp, body).errors[0]["type"] == "greater_than_equal"


DECODERS: dict[Any, Callable[[bytes], Any]] = {
    tp: request_decoder(tp) for tp in (Model, OddStruct, FrozenSlots, WithPydantic)
}


@given(body=st.binary(max_size=40) | st.text('{}[]",:$abxschema123 \\').map(str.encode))
def test_no_body_gets_anything_but_an_instance_or_a_refusal(body: bytes) -> None:
    for tp, decode in DECODERS.items():
        error = None
        try:
            assert isinstance(decode(body), tp)
        except RequestValidationError as raised:
            error = raised
        if error is not None:
            assert error.errors[0]["loc"][0] == "body"
            assert json.loads(json.dumps(error.errors)) == error.errors
