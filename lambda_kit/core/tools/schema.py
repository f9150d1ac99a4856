"""JSON Schemas of requests and results, whatever library describes them (JSON Schema 2020-12)."""

import copy
import dataclasses
from typing import Any, Literal, TypeAlias

import ivcap_service
import msgspec
from ivcap_service.types import ExecutionContext
from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import to_json

from lambda_kit.core.tools.binary_request import BINARY_SCHEMA, is_binary_request
from lambda_kit.core.tools.decoding import is_class, needs_pydantic, request_decoder
from lambda_kit.core.tools.schema_field import with_schema
from lambda_kit.core.tools.uploaded_file import FILE_SCHEMA, UploadedFile

__all__ = [
    "LenientSchema",
    "SchemaMode",
    "is_model",
    "is_request_model",
    "json_schema",
    "request_decoder",
    "request_schema",
    "with_schema",
]

SchemaMode: TypeAlias = Literal["validation", "serialization"]
"""Whether a schema says what is taken, or what is sent."""

_FRAMEWORK_TYPES = (
    ivcap_service.BinaryResult,
    ivcap_service.EventReporter,
    ivcap_service.JobContext,
    ivcap_service.Service,
    ExecutionContext,
)
_DEFINITIONS = "#/$defs/"


def is_request_model(tp: Any) -> bool:
    """Whether a parameter annotated with `tp` is a tool's request: a pydantic model, a Struct or a dataclass.

    Instances, generic aliases, `BaseModel` and `Struct` themselves, and the framework's own types (job
    context, request information, …) are not.
    """
    if tp is BaseModel or tp is msgspec.Struct or any(is_class(tp, framework) for framework in _FRAMEWORK_TYPES):
        return False
    if is_class(tp) and tp.__module__.startswith("lambda_kit.core."):
        return False
    return is_model(tp)


def json_schema(
    tp: Any, mode: SchemaMode = "validation", generator: type[GenerateJsonSchema] | None = None
) -> dict[str, Any]:
    """The JSON Schema of anything that a tool takes or returns.

    A pydantic model gives exactly its `model_json_schema()`. A Struct or dataclass gives an object schema
    whose top level has the properties, with `$defs` for what is nested. A `BinaryResult`, and whatever has no
    schema, gives `{}`: any value.

    Args:
        tp: A model, or any other annotation.
        mode: Whether it says what is taken, or what is sent: with computed fields, and defaults always there.
        generator: Describes what pydantic knows. None: pydantic's own.
    """
    if is_class(tp, ivcap_service.BinaryResult):
        return {}
    if is_class(tp, BaseModel):
        return _model_schema(tp, mode, generator)
    if is_model(tp) and not needs_pydantic(tp):
        return _msgspec_schema(tp, mode, generator)
    try:
        return _lenient_schema(tp, mode, generator)
    except (PydanticUserError, PydanticUndefinedAnnotation):
        # Structs, and TypedDicts before Python 3.12, are unknown to pydantic, not to msgspec.
        return _msgspec_schema(tp, mode, generator)


def request_schema(tp: Any) -> dict[str, Any]:
    """The JSON Schema of a tool's request, as callers send it in JSON: for a file the object that stands for it."""
    return copy.deepcopy(BINARY_SCHEMA) if is_binary_request(tp) else json_schema(tp)


class LenientSchema(GenerateJsonSchema):
    """Pydantic's generator, with `{}` for a field that JSON Schema has no words for, such as a callable."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """Any value."""
        return {}


def is_model(tp: Any) -> bool:
    """Whether it is a class whose JSON is an object with the class's fields."""
    return is_class(tp, BaseModel) or is_class(tp, msgspec.Struct) or _is_dataclass(tp)


def _is_dataclass(tp: Any) -> bool:
    return is_class(tp) and dataclasses.is_dataclass(tp)


def _model_schema(
    tp: type[BaseModel], mode: SchemaMode, generator: type[GenerateJsonSchema] | None = None
) -> dict[str, Any]:
    try:
        if generator is None:
            return tp.model_json_schema(mode=mode)
        return tp.model_json_schema(mode=mode, schema_generator=generator)
    except (PydanticInvalidForJsonSchema, KeyError):  # of data that looks like a reference
        return _lenient_schema(tp, mode, generator)


def _lenient_schema(tp: Any, mode: SchemaMode, generator: type[GenerateJsonSchema] | None = None) -> dict[str, Any]:
    maker = (generator or LenientSchema)()
    schemas, definitions = maker.generate_definitions([(0, mode, TypeAdapter(tp).core_schema)])
    schema = dict(schemas[0, mode])
    return _top_level_inlined(schema | {"$defs": definitions} if definitions else schema)


def _msgspec_schema(tp: Any, mode: SchemaMode, generator: type[GenerateJsonSchema] | None = None) -> dict[str, Any]:
    definitions: dict[str, Any] = {}

    def foreign(nested: Any) -> dict[str, Any]:
        if nested is UploadedFile:
            return copy.deepcopy(FILE_SCHEMA)
        if not is_class(nested, BaseModel):
            return {}
        schema = dict(_model_schema(nested, mode, generator))
        definitions.update(schema.pop("$defs", {}))
        return schema

    try:
        schema = msgspec.json.schema(tp, schema_hook=foreign)
    except (TypeError, NotImplementedError, NameError, KeyError):  # KeyError: of two classes with one name
        return {}
    if definitions:
        schema["$defs"] = {**definitions, **schema.get("$defs", {})}
    return _top_level_inlined(schema)


def _top_level_inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the properties where agents look for them, in place of a reference to `$defs`."""
    reference = schema.get("$ref", "")
    if not reference.startswith(_DEFINITIONS):
        return schema
    name = reference.removeprefix(_DEFINITIONS)
    definitions = dict(schema["$defs"])
    top = dict(definitions[name])
    if f'"$ref":"{reference}"'.encode() not in to_json(definitions):
        del definitions[name]
    if definitions:
        top["$defs"] = definitions
    return top
