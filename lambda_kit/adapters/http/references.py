"""The references in a JSON Schema: found where JSON Schema has them, and nowhere else."""

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["referring"]

_SCHEMA: Final = frozenset({
    "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip
_SCHEMAS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMAS_BY_NAME: Final = frozenset({"$defs", "dependentSchemas", "patternProperties", "properties"})


def referring(schema: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The schema with each of its references changed: ``$ref``, and those in the mapping of a discriminator.

    What stands in an example, a default, an enum, a const or an extension is data, and left alone.

    Args:
        schema: A schema of JSON Schema 2020-12, or the discriminated union of OpenAPI.
        change: Gives the new reference for an old one.
    """
    return {keyword: _changed(keyword, value, change) for keyword, value in schema.items()}


def _changed(keyword: str, value: Any, change: Callable[[str], str]) -> Any:
    if keyword == "$ref" and isinstance(value, str):
        return change(value)
    if keyword in _SCHEMA:
        return _schema(value, change)
    if keyword in _SCHEMAS and isinstance(value, list):
        return [_schema(item, change) for item in value]
    if keyword in _SCHEMAS_BY_NAME and isinstance(value, Mapping):
        return {name: _schema(item, change) for name, item in value.items()}
    if keyword == "discriminator" and isinstance(value, Mapping) and isinstance(value.get("mapping"), Mapping):
        mapping = {name: _mapped(target, change) for name, target in value["mapping"].items()}
        return {**value, "mapping": mapping}
    return value


def _schema(value: Any, change: Callable[[str], str]) -> Any:
    return referring(value, change) if isinstance(value, Mapping) else value  # true and false are schemas too


def _mapped(target: Any, change: Callable[[str], str]) -> Any:
    return change(target) if isinstance(target, str) and target.startswith("#") else target
