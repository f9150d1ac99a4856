"""What must hold for every schema that agents get."""

from collections.abc import Iterator
from typing import Any

import msgspec
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from lambda_kit.core.model.job import Failure, Payload
from lambda_kit.core.tools.agent_schema import AgentSchema
from lambda_kit.core.tools.plain_schema import PROPERTY_NAME
from lambda_kit.core.tools.results import encode_result

_DATA = {"default", "const", "enum", "examples"}


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """All objects in a schema that are schemas, found without the code that is tested."""
    if isinstance(schema, list):
        for item in schema:
            yield from nodes(item)
    elif isinstance(schema, dict):
        yield schema
        for keyword, value in schema.items():
            if keyword in ("properties", "$defs", "patternProperties", "dependentSchemas"):
                for member in value.values():
                    yield from nodes(member)
            elif keyword not in _DATA:
                yield from nodes(value)


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether a JSON value fits a schema."""
    return bool(Draft202012Validator(schema).is_valid(value))


def check_schema(schema: dict[str, Any]) -> None:
    """Refuse what some client would refuse, or choke on."""
    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert isinstance(schema["properties"], dict)
    assert schema.keys().isdisjoint({"oneOf", "anyOf", "allOf", "$ref"})
    definitions = schema.get("$defs", {})
    assert all(PROPERTY_NAME.fullmatch(name) for name in definitions)
    for node in nodes(schema):
        assert all(PROPERTY_NAME.fullmatch(name) for name in node.get("properties", {}))
        assert "properties" not in node or set(node.get("required", ())) <= set(node["properties"])
        assert node.keys().isdisjoint({"discriminator", "definitions", "oneOf"})
        assert "$defs" not in node or node is schema
        assert node.get("type") != "array" or "items" in node
        assert "type" in node or len({type(value) for value in node.get("enum", ())}) != 1
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in definitions


def check_result(described: AgentSchema | None, value: object) -> None:
    """See whether what a tool returned fits what is said of its result."""
    payload = encode_result(value, allows_none=True)
    assert not isinstance(payload, Failure), payload
    if described is not None:
        content = plain(payload)
        Draft202012Validator(described.schema).validate({"result": content} if described.is_wrapped else content)


def plain(payload: Payload) -> Any:
    """The JSON of a result, which is no text and no file."""
    assert payload.content_type == "application/json"
    return msgspec.json.decode(payload.content)
