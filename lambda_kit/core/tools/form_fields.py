"""What the fields of a form are, by the JSON Schema of the request."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lambda_kit.core.tools.uploaded_file import FILE_SCHEMA

__all__ = ["FieldKind", "FormField", "form_fields"]

_DEFINITIONS = "#/$defs/"
_COMBINED = ("anyOf", "oneOf", "allOf")


class FieldKind(Enum):
    """How the parts of one name are read."""

    FILE = "file"
    """One file."""
    FILES = "files"
    """A list of files."""
    TEXT = "text"
    """Text is taken as it is: the field takes strings, dates, UUIDs, enums of strings, or anything."""
    JSON = "json"
    """Text is JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    is_required: bool
    """Whether the request can't be without it."""
    takes_empty: bool
    """Whether an empty text is a value of it. If not, and it is not required, an empty text is absent."""
    takes_only_json: bool = False
    """Whether text that is no JSON is refused at once: it takes objects or arrays only."""
    item: "FormField | None" = None
    """The items, where it is a list: each part is one."""


@dataclass(frozen=True, slots=True)
class FormField(_Options):
    """One field of a form."""

    kind: FieldKind

    @property
    def takes_files(self) -> bool:
        """Whether its parts are files."""
        return self.kind in (FieldKind.FILE, FieldKind.FILES)


def form_fields(schema: Mapping[str, Any]) -> dict[str, FormField]:
    """The fields of a form that stands for an object.

    Args:
        schema: Of the object, self-contained. One that is no object has no fields.
    """
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    return {
        name: _field(member, definitions, is_required=name in required)
        for name, member in schema.get("properties", {}).items()
    }


def _field(schema: Any, definitions: Mapping[str, Any], *, is_required: bool) -> FormField:
    choices = list(_choices(schema, definitions, set()))
    if any(_is_file(choice) for choice in choices):
        return FormField(FieldKind.FILE, is_required=is_required, takes_empty=True)
    items = [choice["items"] for choice in choices if choice.get("type") == "array" and "items" in choice]
    if any(_is_file(choice) for item in items for choice in _choices(item, definitions, set())):
        return FormField(FieldKind.FILES, is_required=is_required, takes_empty=True)
    takes_text = any(_takes_text(choice) for choice in choices)
    types = {kind for choice in choices for kind in _types(choice)} - {"null"}
    return FormField(
        FieldKind.TEXT if takes_text else FieldKind.JSON,
        is_required=is_required,
        takes_empty=any(_takes_empty_text(choice, is_number="number" in types) for choice in choices),
        takes_only_json=bool(types) and types <= {"object", "array"},
        item=_field(items[0], definitions, is_required=True) if items and not takes_text else None,
    )


def _choices(schema: Any, definitions: Mapping[str, Any], seen: set[str]) -> Iterator[Mapping[str, Any]]:
    """The schemas of which a value may fit one, references and unions looked through; a file's is one of its own."""
    if not isinstance(schema, Mapping):  # `true`: anything
        yield {}
        return
    reference = str(schema.get("$ref", ""))
    if reference.startswith(_DEFINITIONS):
        name = reference.removeprefix(_DEFINITIONS)
        if name not in seen:
            yield from _choices(definitions.get(name, {}), definitions, seen | {name})
        return
    unions = [schema[key] for key in _COMBINED if key in schema]
    if _is_file(schema) or not unions:
        yield schema
        return
    for union in unions:
        for member in union:
            yield from _choices(member, definitions, seen)


def _is_file(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("anyOf") == FILE_SCHEMA["anyOf"])


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type", ())
    return {kind} if isinstance(kind, str) else set(kind)


def _takes_text(schema: Mapping[str, Any]) -> bool:
    if "enum" in schema:
        return any(isinstance(value, str) for value in schema["enum"])
    if "const" in schema:
        return isinstance(schema["const"], str)
    types = _types(schema)
    return "string" in types or not types


def _takes_empty_text(schema: Mapping[str, Any], *, is_number: bool) -> bool:
    other = {"enum", "const", "format"} | ({"pattern"} if is_number else set())  # a decimal number is a text too
    return _takes_text(schema) and not other & schema.keys()
