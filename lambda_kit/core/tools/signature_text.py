"""A request's fields as the text of a Python signature and of an argument list, for agents to read.

For pydantic models the text is, letter by letter, that of `ivcap_service.create_tool_definition` (0.7), since
agents and the platform compare descriptions; its oddities are kept and marked below. Unlike it, nothing here
fails on a model without properties, a recursive one, or an annotation without a name.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType
from typing import Any, Union, cast, get_type_hints

from pydantic import BaseModel

from lambda_kit.core.tools.media_types import declared_media_types
from lambda_kit.core.tools.schema import request_schema
from lambda_kit.core.tools.type_names import type_name

__all__ = ["SignatureText", "signature_text"]

_TYPE_NAMES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
_DEFINITIONS = "#/$defs/"


@dataclass(frozen=True, kw_only=True)
class SignatureText:
    """The two texts of one tool."""

    signature: str
    """For example ``greet(name: str, count: Optional[int]) -> GreetResult``."""
    arguments: str
    """One line per field: name, type, description, default."""
    returns: str
    """The result type's name, with the media types that are declared of it."""


@dataclass(frozen=True)
class _Field:
    name: str
    info: Mapping[str, Any]
    required: bool


# Type text of a field, and whether it is optional. The flag given is the one left over from the field before.
_Render = Callable[[_Field, bool], tuple[str, bool]]


def signature_text(name: str, request_type: Any, result_type: Any) -> SignatureText:
    """Render the fields of `request_type` as if they were the arguments of a function called `name`."""
    schema = request_schema(request_type)
    definitions = schema.get("$defs", {})
    whole = _resolved(schema, definitions)
    fields = _fields(whole)
    if "properties" not in whole:
        # a list, a dict, a union: there is no field to name, only the request as a whole
        fields = [_Field("request", schema, True)]

        def render(field: _Field, optional: bool) -> tuple[str, bool]:
            return type_name(request_type), False
    elif isinstance(request_type, type) and issubclass(request_type, BaseModel):
        annotations = _own_annotations(request_type)

        def render(field: _Field, optional: bool) -> tuple[str, bool]:
            return _as_ivcap_service(field, annotations, optional)
    else:

        def render(field: _Field, optional: bool) -> tuple[str, bool]:
            return _from_schema(field, definitions)

    returns = _result_name(result_type)
    media_types = declared_media_types(result_type)
    parameters: list[str] = []
    optional = False
    for field in fields:
        text, optional = render(field, False)
        parameters.append(f"{field.name}: {_optional(text, optional)}")
    return SignatureText(
        signature=f"{name}({', '.join(parameters)}) -> {returns}",
        arguments=_argument_lines(fields, render, optional),
        returns=f"{returns} ({', '.join(media_types)})" if media_types else returns,
    )


def _argument_lines(fields: list[_Field], render: _Render, optional: bool) -> str:
    lines: list[str] = []
    for field in fields:
        # The original forgets to reset the flag here, so a field whose JSON Schema has no `type` is called
        # optional when the field before it was; the first one looks back at the last one of the signature.
        text, optional = render(field, optional)
        line = f"  {field.name}: {_optional(text, optional)}"
        if "description" in field.info:
            line += f" - {field.info['description']}"
        if "default" in field.info:
            line += f" (Defaults to {field.info['default']})"
        lines.append(f"{line}\n")
    return "".join(lines)


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The object schema itself, where a recursive model's is a reference."""
    reference = str(schema.get("$ref", ""))
    return _object(definitions.get(reference.removeprefix(_DEFINITIONS), schema))


def _object(schema: Any) -> dict[str, Any]:
    """A schema's members; the schemas `true` and `false`, and an absent one, have none."""
    return cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}


def _fields(schema: dict[str, Any]) -> list[_Field]:
    required = schema.get("required", [])
    return [
        _Field(name, _object(info), name in required)
        for name, info in schema.get("properties", {}).items()
        if name != "$schema"
    ]


def _optional(text: str, optional: bool) -> str:
    return f"Optional[{text}]" if optional and not text.startswith("Optional[") else text


def _as_ivcap_service(field: _Field, annotations: Mapping[str, Any], optional_before: bool) -> tuple[str, bool]:
    kind = field.info.get("type")
    if kind is not None:
        return _kind_text(kind, field.info), "default" in field.info or not field.required
    # A union, an enum or a nested model. Only the class's own annotations count, by JSON name: none of those
    # of a model under `with_schema`, which is a subclass of the one that was written.
    annotation = annotations.get(field.name)
    if annotation is None:
        return "Any", optional_before
    if getattr(annotation, "__origin__", None) is Union:
        members = annotation.__args__
        if len(members) == 2 and members[1] is NoneType:
            return _name(members[0]), True
        return str(annotation).replace("typing.", ""), optional_before
    return _name(annotation), optional_before


def _kind_text(kind: Any, info: Mapping[str, Any]) -> str:
    if kind == "array":
        item = _object(info.get("items")).get("type", "Any")
        return f"array[{_TYPE_NAMES.get(item, item) if isinstance(item, str) else 'Any'}]"
    return _TYPE_NAMES.get(kind, kind) if isinstance(kind, str) else "Any"


def _name(tp: Any) -> str:
    return str(getattr(tp, "__name__", tp))


def _own_annotations(tp: type) -> Mapping[str, Any]:
    try:
        return tp.__annotations__
    except NameError:  # from Python 3.14 on they are evaluated only now
        return {}


def _from_schema(field: _Field, definitions: Mapping[str, Any]) -> tuple[str, bool]:
    text, nullable = _schema_text(field.info, definitions)
    return text, nullable or "default" in field.info or not field.required


def _schema_text(schema: Any, definitions: Mapping[str, Any]) -> tuple[str, bool]:
    """What a msgspec schema says, as a Python type, and whether it takes null."""
    schema = _object(schema)
    choices = schema.get("anyOf", schema.get("oneOf"))
    if choices is not None:
        members = [_schema_text(member, definitions)[0] for member in choices if not _is_null(member)]
        return " | ".join(dict.fromkeys(members)) or "None", any(map(_is_null, choices))
    reference = str(schema.get("$ref", ""))
    if reference.startswith(_DEFINITIONS):
        name = reference.removeprefix(_DEFINITIONS)
        return str(definitions.get(name, {}).get("title", name)), False
    if "enum" in schema:
        values = ", ".join(repr(value) for value in schema["enum"] if value is not None)
        return f"Literal[{values}]", None in schema["enum"]
    if schema.get("type") == "array":
        return f"array[{_schema_text(schema.get('items'), definitions)[0]}]", False
    return _kind_text(schema.get("type", "Any"), schema), _is_null(schema)


def _is_null(schema: Any) -> bool:
    return _object(schema).get("type") == "null"


def _result_name(result_type: Any) -> str:
    def annotated() -> None: ...

    # As in a real function's hints: None is NoneType, and what `Annotated` adds is gone.
    annotated.__annotations__ = {"return": result_type}
    # What can't be resolved is named as it is written.
    with suppress(NameError, SyntaxError, TypeError):
        result_type = get_type_hints(annotated)["return"]
    return _name(result_type)
