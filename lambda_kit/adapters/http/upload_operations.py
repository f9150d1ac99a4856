"""What a tool's POST takes, as OpenAPI says it."""

from collections.abc import Mapping
from typing import Any

from lambda_kit.adapters.http.components import Models
from lambda_kit.core.model.form import FORM
from lambda_kit.core.model.media_type import JSON, OCTET_STREAM
from lambda_kit.core.tools.form_fields import FieldKind, FormField
from lambda_kit.core.tools.tool import BoundTool

__all__ = ["request_content"]

_FILE = {"type": "string", "format": "binary", "contentMediaType": OCTET_STREAM}
"""A file: `format` is what user interfaces and generators look at, `contentMediaType` what OpenAPI 3.1 says."""
_SAID = ("title", "description", "examples", "deprecated")


def request_content(tool: BoundTool, models: Models) -> dict[str, dict[str, Any]]:
    """The bodies that a tool takes, by media type: of each the schema, and of a form how parts are encoded."""
    if tool.read.is_binary:
        # not */*, which generators of clients don't know
        return {OCTET_STREAM: {"schema": {**_FILE, "description": "The file: the body as it is, of any media type."}}}
    schema = models.schema(tool.name, "validation")
    as_json = {JSON: {"schema": schema}}
    if tool.read.form is None:
        return as_json
    whole = models.components().get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
    # the form first: user interfaces show the first one, with a file chooser
    return {FORM: _form(whole, tool.read.form.fields), **as_json}


def _form(schema: Mapping[str, Any], fields: Mapping[str, FormField]) -> dict[str, Any]:
    """The same object as a form. It has no title: generators would take it for the name of the same class."""
    properties = {name: _part(member, fields[name]) for name, member in schema["properties"].items()}
    lists = {name for name, field in fields.items() if field.kind is FieldKind.FILES}
    required = [name for name in schema.get("required", []) if name not in lists]
    form = {key: value for key, value in schema.items() if key not in ("title", "required")}
    form |= {"properties": properties, **({"required": required} if required else {})}
    encoding = {name: said for name, field in fields.items() if (said := _encoding(field)) is not None}
    return {"schema": form, **({"encoding": encoding} if encoding else {})}


def _part(member: Any, field: FormField) -> Any:
    said = {key: member[key] for key in _SAID if key in member} if isinstance(member, Mapping) else {}
    if field.kind is FieldKind.FILE:
        return {**said, **_FILE}
    if field.kind is FieldKind.FILES:
        limits = {key: member[key] for key in ("minItems", "maxItems") if key in member}
        return {**said, **limits, "type": "array", "items": dict(_FILE)}
    return _without_null(member)


def _without_null(member: Any) -> Any:
    """What a part can be: null it can't, it is left out then."""
    if not isinstance(member, Mapping) or "anyOf" not in member:
        return member
    choices = [choice for choice in member["anyOf"] if choice != {"type": "null"}]
    rest = {key: value for key, value in member.items() if key != "anyOf" and not (key == "default" and value is None)}
    return {**rest, **choices[0]} if len(choices) == 1 else {**rest, "anyOf": choices}


def _encoding(field: FormField) -> dict[str, Any] | None:
    of = field.item or field
    if of.kind is FieldKind.JSON and of.takes_only_json:
        return {"contentType": JSON}
    # each item a part; without this the form of /api joins them by commas
    return {"style": "form", "explode": True} if field.item is not None else None
