"""Bodies made to do harm: each is refused for no more than one that fits costs, or taken."""

import dataclasses
import json
import subprocess
import sys
import textwrap
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pydantic
import pytest
from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, Json, JsonValue, RootModel
from typing_extensions import TypedDict

from lambda_kit.core.errors import RequestValidationError
from lambda_kit.core.tools.schema import request_decoder, with_schema

MODULUS = 2**61 - 1


def refusal(tp: Any, body: bytes | str) -> RequestValidationError:
    with pytest.raises(RequestValidationError) as caught:
        request_decoder(tp)(body.encode() if isinstance(body, str) else body)
    assert len(json.dumps(caught.value.errors)) < 65536
    assert len(str(caught.value)) < 65536
    assert len(caught.value.errors) <= 100
    return caught.value


# a million faults


class Wide(BaseModel):
    a: int
    b: int
    c: int
    d: int


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    known: int = 0


class Faults(BaseModel):
    numbers: list[int | float | bool | None] = []
    table: dict[str, Wide] = {}
    models: tuple[Wide, ...] = ()
    names: set[Literal["a", "b"]] = set()
    queue: deque[Wide] = deque()


MANY = 400_000
HUGE: dict[str, bytes] = {
    "members of a union": b'{"numbers": [' + b'"x",' * MANY + b'"x"]}',
    "models in a dict": b'{"table": {' + b",".join(b'"%d":{}' % i for i in range(MANY)) + b"}}",
    "models in a tuple": b'{"models": [' + b"{}," * MANY + b"{}]}",
    "models in a deque": b'{"queue": [' + b"{}," * MANY + b"{}]}",
    "members of a set": b'{"names": [' + b'"x",' * MANY + b'"x"]}',
}


@pytest.mark.processes
@pytest.mark.parametrize("kind", HUGE)
def test_a_body_with_faults_without_number_needs_no_memory_for_them(kind: str) -> None:
    script = textwrap.dedent(f"""
        import resource, sys
        from {__name__} import HUGE, Faults
        from lambda_kit.core.errors import RequestValidationError
        from lambda_kit.core.tools.schema import request_decoder
        decode = request_decoder(Faults)
        decode(b'{{"numbers": [' + b'1,' * {MANY} + b'1]}}')  # a body that fits
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            decode(HUGE[{kind!r}])
        except RequestValidationError as error:
            print(error.errors)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    errors, grown_kib = done.stdout.splitlines()
    assert "'loc': ['body'" in errors
    assert int(grown_kib) < 100 * 1024


@pytest.mark.parametrize("kind", HUGE)
def test_of_faults_without_number_the_first_ones_are_told(kind: str) -> None:
    assert refusal(Faults, HUGE[kind]).errors[0]["loc"][2] in (0, "0")


def test_a_small_body_is_told_all_its_faults() -> None:
    body = {"numbers": [1, "x", 2, "x"], "table": {"k": {"a": 1}}}
    places = {tuple(error["loc"][:3]) for error in refusal(Faults, json.dumps(body)).errors}
    assert places == {("body", "numbers", 1), ("body", "numbers", 3), ("body", "table", "k")}


def test_members_without_number_that_a_model_does_not_know_are_refused() -> None:
    body = b"{" + b",".join(b'"k%d":1' % i for i in range(MANY)) + b"}"
    assert "More than 100 members are not known" in str(refusal(Strict, body))
    assert [error["loc"] for error in refusal(Strict, b'{"a": 1, "b": 2}').errors] == [["body", "a"], ["body", "b"]]
    [fault] = refusal(Strict, b'{"known": 1, "b": "' + b"x" * 100_000 + b'"}').errors
    assert (fault["loc"], fault["type"]) == (["body", "b"], "extra_forbidden")


def test_a_large_body_makes_the_same_model_as_a_small_one() -> None:
    large = request_decoder(Strict)(b'{"known": 3' + b" " * 100_000 + b"}")
    assert large == Strict(known=3)
    assert large.model_extra is None


def test_a_member_of_a_union_may_not_know_what_another_one_takes() -> None:
    class Either(BaseModel):
        value: Strict | dict[str, int]

    members = {f"k{i}": i for i in range(20_000)}
    assert request_decoder(Either)(json.dumps({"value": members}).encode()).value == members


def test_a_huge_key_is_told_in_short() -> None:
    key = "k" * 1_000_000
    bodies: list[Any] = [{"table": {key: {}}}, {"table": {key: 1}}, {key: {}}]
    for body in bodies:
        assert len(json.dumps(refusal(RootModel[dict[str, dict[str, Wide]]], json.dumps(body)).errors)) < 5000
    assert len(refusal(Strict, json.dumps({key: 1})).errors[0]["loc"][1]) < 300
    assert request_decoder(RootModel[dict[str, int]])(json.dumps({key: 1}).encode()).root == {key: 1}


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def test_the_tag_of_a_union_is_not_repeated() -> None:
    class Owner(BaseModel):
        pet: Annotated[Cat | Dog, Field(discriminator="kind")]

    error = refusal(Owner, json.dumps({"pet": {"kind": "s3cret" * 10_000}}))
    assert "s3cret" not in json.dumps(error.errors)
    assert "'cat', 'dog'" in error.errors[0]["msg"]


# integers with one hash


class SetStruct(msgspec.Struct):
    numbers: set[int] = set()
    table: dict[int, str] = {}
    pairs: frozenset[tuple[int, int]] = frozenset()
    amounts: set[Decimal] = set()


class SetModel(BaseModel):
    numbers: set[int] = set()
    table: dict[int, str] = {}
    pairs: frozenset[tuple[int, int]] = frozenset()
    amounts: set[Decimal] = set()
    anything: set[Any] = set()
    ids: set[UUID] = set()
    counts: Counter[int] = Counter()
    ordered: OrderedDict[int, int] = OrderedDict()
    grouped: defaultdict[int, list[int]] = defaultdict(list)
    nested: dict[str, set[int | str]] = {}


COLLIDING = [index * MODULUS for index in range(1, 50_001)]
FLOODS: dict[str, Any] = {
    "numbers": COLLIDING,
    "table": {str(number): "" for number in COLLIDING},
    "pairs": [[1, number] for number in COLLIDING],
    "amounts": [str(number) for number in COLLIDING],
    "anything": COLLIDING,
    "ids": [str(UUID(int=number)) for number in COLLIDING],
    "counts": {str(number): 1 for number in COLLIDING},
    "ordered": {str(number): 1 for number in COLLIDING},
    "grouped": {str(number): [1] for number in COLLIDING},
    "nested": {"k": COLLIDING},
}


@pytest.mark.parametrize(
    ("tp", "member"),
    [*((SetStruct, name) for name in SetStruct.__struct_fields__), *((SetModel, name) for name in FLOODS)],
)
def test_numbers_made_to_share_one_hash_are_refused(tp: Any, member: str) -> None:
    # unguarded they take minutes
    assert "have the same hash" in str(refusal(tp, json.dumps({member: FLOODS[member]})))


@pytest.mark.parametrize("tp", [SetStruct, SetModel])
def test_many_numbers_of_any_other_kind_are_taken(tp: Any) -> None:
    decode = request_decoder(tp)
    for numbers in (range(100_000), [0] * 100_000, [2**61 * 1000 + i for i in range(50_000)], [MODULUS] * 50_000):
        assert decode(json.dumps({"numbers": list(numbers)}).encode()).numbers == set(numbers)
    few = [index * MODULUS for index in range(1, 900)]
    assert decode(json.dumps({"numbers": few + [1] * 50_000}).encode()).numbers == {*few, 1}
    table = {str(index): "x" for index in range(20_000)}
    assert len(decode(json.dumps({"table": table}).encode()).table) == 20_000


# infinities

INFINITE = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E+400", "9" * 308 + "e2"]
AS_TEXT = ['"NaN"', '"nan"', '"inf"', '"-Infinity"', '"1e999"', '"\\u006ean"']


class Inner(BaseModel):
    number: float = 0


class AnyModel(BaseModel):
    model_config = ConfigDict(extra="allow")

    number: float = 0
    maybe: float | None = None
    either: int | float | str = 0
    amount: Decimal = Decimal(0)
    inner: Inner | None = None
    listed: list[float] = []
    keyed: dict[float, int] = {}
    anything: Any = None
    plain: dict = {}  # type: ignore[type-arg]
    value: JsonValue = None
    text: Json[Any] = None
    number_text: Json[float] = 0


class AnyTyped(TypedDict, total=False):
    number: float
    anything: Any


@with_schema("urn:test:any.1")
@pydantic.dataclasses.dataclass
class AnyPydanticData:
    number: float = 0
    anything: Any = None


@dataclasses.dataclass
class AnyData:
    number: float = 0
    anything: Any = None
    amount: Decimal = Decimal(0)


class AnyStruct(msgspec.Struct):
    number: float = 0
    anything: Any = None
    amount: Decimal = Decimal(0)
    keyed: dict[float, int] = {}
    inner: Inner | None = None


TYPES: list[Any] = [AnyModel, RootModel[AnyTyped], AnyPydanticData, AnyData, AnyStruct]


@pytest.mark.parametrize("tp", TYPES)
@pytest.mark.parametrize("number", INFINITE)
def test_numbers_that_are_not_finite_are_refused(tp: Any, number: str) -> None:
    for body in (f'{{"number": {number}}}', f'{{"anything": {number}}}', f'{{"anything": {{"x": [{number}]}}}}'):
        assert refusal(tp, body).errors
        assert refusal(tp, body + " " * 100_000).errors


@pytest.mark.parametrize("number", INFINITE)
def test_numbers_that_are_not_finite_are_refused_anywhere_in_a_model(number: str) -> None:
    for body in (
        *(f'{{"maybe": {number}}}', f'{{"inner": {{"number": {number}}}}}', f'{{"listed": [1, {number}]}}'),
        *(f'{{"plain": {{"x": {number}}}}}', f'{{"value": [{number}]}}', f'{{"extra": {number}}}'),
        f'{{"either": {number}}}',
    ):
        assert refusal(AnyModel, body).errors
        assert refusal(AnyModel, body + " " * 100_000).errors


def test_a_large_integer_is_no_infinity_but_does_not_fit_a_float() -> None:
    integer = "9" * 400
    assert refusal(AnyModel, f'{{"number": {integer}}}').errors
    for tp in (AnyModel, AnyStruct):
        assert request_decoder(tp)(f'{{"anything": {integer}}}'.encode()).anything == int(integer)


@pytest.mark.parametrize("tp", TYPES)
@pytest.mark.parametrize("text", AS_TEXT)
def test_infinities_as_text_for_a_number_are_refused(tp: Any, text: str) -> None:
    assert refusal(tp, f'{{"number": {text}}}').errors


@pytest.mark.parametrize("tp", [AnyModel, AnyStruct])
@pytest.mark.parametrize("text", AS_TEXT)
def test_infinities_as_text_are_refused_as_keys_and_in_nested_models(tp: Any, text: str) -> None:
    assert refusal(tp, f'{{"keyed": {{{text}: 1}}}}').errors
    assert refusal(tp, f'{{"inner": {{"number": {text}}}}}').errors


@pytest.mark.parametrize("tp", [AnyModel, AnyData, AnyStruct])
@pytest.mark.parametrize("text", ['"NaN"', '"Infinity"', '"-inf"', '"sNaN"'])
def test_a_decimal_is_finite(tp: Any, text: str) -> None:
    assert refusal(tp, f'{{"amount": {text}}}').errors
    assert request_decoder(tp)(b'{"amount": "1e999"}').amount == Decimal("1e999")


@pytest.mark.parametrize("body", ['{"text": "NaN"}', '{"text": "[1e999]"}', '{"number_text": "\\u004eaN"}'])
def test_json_in_a_text_is_finite(body: str) -> None:
    assert refusal(AnyModel, body).errors


@pytest.mark.parametrize("tp", TYPES)
def test_the_words_are_words_where_a_text_stands(tp: Any) -> None:
    value = {"say": ["NaN", "Infinity", "inf", "1e999", "9" * 400], "n": [1e300, 10**400]}
    decoded = request_decoder(tp)(json.dumps({"anything": value}).encode())
    data = decoded.root if isinstance(decoded, RootModel) else decoded
    assert (data["anything"] if isinstance(data, dict) else data.anything) == value


def test_a_model_may_allow_what_is_not_finite() -> None:
    class ByConfig(BaseModel):
        model_config = ConfigDict(allow_inf_nan=True)

        number: float = 0
        anything: Any = None
        inner: Inner | None = None

    class ByField(BaseModel):
        number: Annotated[float, AllowInfNan(True)] = 0
        other: float = 0
        anything: Any = None

    infinity = float("inf")
    for number in ("Infinity", "1e999", '"inf"'):
        assert request_decoder(ByConfig)(f'{{"number": {number}}}'.encode()).number == infinity
        assert request_decoder(ByField)(f'{{"number": {number}}}'.encode()).number == infinity
    assert request_decoder(ByConfig)(b'{"anything": [1e999]}').anything == [infinity]
    assert refusal(ByConfig, '{"inner": {"number": 1e999}}').errors[0]["loc"] == ["body", "inner", "number"]
    assert refusal(ByField, '{"other": 1e999, "number": NaN}').errors[0]["loc"] == ["body", "other"]
    assert refusal(ByField, '{"anything": 1e999, "number": NaN}').errors[0]["loc"] == ["body", "anything"]


def test_fractions_and_complex_numbers_are_bounded() -> None:
    class Numbers(BaseModel):
        ratio: Fraction = Fraction(0)
        point: complex = 0

    assert request_decoder(Numbers)(b'{"ratio": "1/3", "point": "1+2j"}') == Numbers(ratio=Fraction(1, 3), point=1 + 2j)
    for text in ("nan+1j", "inf", "1e999j"):
        assert refusal(Numbers, json.dumps({"point": text})).errors


# unions that contain each other


class Plus(BaseModel):
    left: "Term | None" = None
    right: "Term | None" = None


class Times(BaseModel):
    left: "Term | None" = None
    right: "Term | None" = None
    by: int


class Minus(BaseModel):
    operand: "Term | None" = None


Term = Plus | Times | Minus
for model in (Plus, Times, Minus):
    model.model_rebuild()


class AddTagged(BaseModel):
    kind: Literal["add"]
    left: "Annotated[AddTagged | SubTagged, Field(discriminator='kind')] | None" = None


class SubTagged(BaseModel):
    kind: Literal["sub"]
    left: "Annotated[AddTagged | SubTagged, Field(discriminator='kind')] | None" = None


AddTagged.model_rebuild()


class Tree(BaseModel):
    children: "list[Tree]" = []
    note: str = ""


def nested(depth: int, start: str, end: str = "}") -> bytes:
    return (start * depth + "{}" + end * depth).encode()


@pytest.mark.parametrize("tp", [Plus, Term, list[Plus | Times]])
def test_unions_that_contain_each_other_are_nested_only_so_deep(tp: Any) -> None:
    decode = request_decoder(tp)
    start, end = ("[", "]") if tp not in (Plus, Term) else ("", "")
    shallow = start.encode() + nested(10, '{"left": ') + end.encode()
    assert decode(shallow)
    # unguarded it takes hours
    error = refusal(tp, start.encode() + nested(60, '{"left": ') + end.encode())
    assert "Nested too deeply in a union of models that has no discriminator" in str(error)


def test_many_values_may_not_be_nested_as_deep_as_one() -> None:
    decode = request_decoder(list[Term])
    many = b"[" + nested(12, '{"left": ') + (b"," + nested(12, '{"left": ')) * 2000 + b"]"
    assert "Nested too deeply" in str(refusal(list[Term], many))
    flat = b"[" + nested(2, '{"left": ') + (b"," + nested(2, '{"left": ')) * 2000 + b"]"
    assert len(decode(flat)) == 2001


def test_what_does_not_branch_may_be_nested_deep() -> None:
    tree = b'{"note": "' + b"{" * 100 + b'", "children": [' * 1 + nested(60, '{"children": [', "]}") + b"]}"
    assert request_decoder(Tree)(tree).note == "{" * 100
    tagged = b'{"kind": "add", "left": ' * 60 + b"null" + b"}" * 60
    assert request_decoder(AddTagged)(tagged).kind == "add"
    text = '{"left": {"operand": {}}, "note": "' + "{[" * 50 + '\\" {{{"}'
    assert request_decoder(Plus)(text.encode())
    assert request_decoder(RootModel[JsonValue])(b"[" * 100 + b"]" * 100).root
