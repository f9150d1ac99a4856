"""The JSON Schemas of requests and results as agents see them: each is an object at its root, and has no references."""

import enum
import types
from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import ivcap_service
from pydantic.json_schema import JsonSchemaValue

from lambda_kit.core.tools.binary_request import is_binary_request
from lambda_kit.core.tools.decoding import is_class
from lambda_kit.core.tools.plain_schema import plain_schema
from lambda_kit.core.tools.schema import LenientSchema, json_schema, request_schema
from lambda_kit.core.tools.type_names import type_name

__all__ = ["REQUEST", "RESULT", "AgentSchema", "request_for_agents", "result_for_agents"]

REQUEST = "request"
"""The member of what agents send that is the request, where that is no object by itself."""
RESULT = "result"
"""The member of what agents get that is the result, where that is no object by itself."""

_COMBINED = frozenset(["oneOf", "anyOf", "allOf", "$ref"])
_TEXTS_AND_FILES = (str, bytes, bytearray, memoryview, ivcap_service.BinaryResult)


class AgentSchema(NamedTuple):
    """A schema for agents."""

    schema: dict[str, Any]
    is_wrapped: bool
    """Whether it describes an object that has the value as its only member."""


class _SentSchema(LenientSchema):
    """Describes what is sent: a serializer of the user's that does not say what it returns makes any value."""

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        """The schema of what a serializer makes."""
        made = super().ser_schema(schema)
        return {} if made is None and schema["type"] in ("function-plain", "function-wrap") else made

    def enum_schema(self, schema: Any) -> JsonSchemaValue:
        """The schema of an enum. Members of a `Flag` can be combined, which pydantic's own leaves out."""
        made = super().enum_schema(schema)
        if issubclass(schema["cls"], enum.Flag):
            made = {name: value for name, value in made.items() if name not in ("enum", "const")}
        return made


def request_for_agents(tp: Any) -> AgentSchema:
    """The schema of a request. What fits it is understood by the tool.

    Args:
        tp: What the tool takes.
    """
    raw = request_schema(tp)
    if _names_its_dialect(raw):
        return AgentSchema(raw, is_wrapped=False)
    schema = plain_schema(raw, is_sent=False, names=_names_of(tp))
    if is_binary_request(tp):
        schema["description"] = "A file."
    return _as_object(schema, REQUEST)


def result_for_agents(tp: Any, opaque: Collection[type] = ()) -> AgentSchema | None:
    """The schema of a result. What the tool returns fits it.

    Args:
        tp: The annotation of what the tool returns.
        opaque: Classes whose instances are not described.

    Returns:
        None if it has no structure that could be described: it is, or may be, a text, a file, or anything.
    """
    members = [member for member in _members(tp) if not is_class(member, ivcap_service.ExecutionError)]
    classes = (*_TEXTS_AND_FILES, *opaque)
    if all(member is type(None) for member in members) or any(_is_one_of(member, classes) for member in members):
        return None
    described = tp if len(members) == len(list(_members(tp))) else Union[tuple(members)]  # noqa: UP007
    raw = json_schema(described, "serialization", _SentSchema)
    if _names_its_dialect(raw):
        return AgentSchema(raw, is_wrapped=False)
    schema = plain_schema(raw, is_sent=True, names=_names_of(tp))
    return _as_object(schema, RESULT) if schema else None


def _names_its_dialect(schema: dict[str, Any]) -> bool:
    """Whether its author has written it for those who know what it says."""
    return isinstance(schema.get("$schema"), str)


def _as_object(schema: dict[str, Any], member: str) -> AgentSchema:
    if schema.get("type") == "object" and schema.keys().isdisjoint(_COMBINED):
        # some clients want the properties even where there are none
        return AgentSchema({"type": "object", "properties": {}} | schema, is_wrapped=False)
    definitions = schema.pop("$defs", None)
    wrapped = {"type": "object", "properties": {member: schema}, "required": [member]}
    return AgentSchema(wrapped if definitions is None else wrapped | {"$defs": definitions}, is_wrapped=True)


def _names_of(tp: Any) -> tuple[str, ...]:
    return (type_name(tp), str(getattr(tp, "__name__", "")))


def _members(tp: Any) -> Iterator[Any]:
    """The members of a union, or the type itself, without what is written around them."""
    origin = get_origin(tp)
    named = getattr(tp, "__value__", None) or getattr(tp, "__supertype__", None)
    if origin is Annotated:
        yield from _members(get_args(tp)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(tp):
            yield from _members(member)
    elif named is not None and not isinstance(tp, type):  # `type X = ...` and NewType
        yield from _members(named)
    elif origin is Literal:
        yield from (type(value) for value in get_args(tp))
    else:
        yield type(None) if tp is None else tp


def _is_one_of(tp: Any, classes: tuple[type, ...]) -> bool:
    cls = get_origin(tp) or tp
    return isinstance(cls, type) and issubclass(cls, classes)
