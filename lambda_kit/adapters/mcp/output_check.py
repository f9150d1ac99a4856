"""`OutputCheck`: whether a result fits the output schema of its tool, as clients find out too.

Pydantic and msgspec send what a tool has put into a model, a Struct or a dict, whatever is annotated. Clients drop a
result that does not fit.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union

import msgspec

from lambda_kit.core.model.bounds import bounded_text
from lambda_kit.core.runtime.threads import off_loop

__all__ = ["OutputCheck"]

logger = logging.getLogger("lambda_kit.mcp")

_MOST_BYTES = 256 * 1024
"""Larger results are not checked: it would take the event loop more than some 5 ms."""
_LONGEST_FAULT_BYTES = 300

_STRING_BOUNDS = {"minLength": "min_length", "maxLength": "max_length", "pattern": "pattern"}
_NUMBER_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
_LIST_BOUNDS = {"minItems": "min_length", "maxItems": "max_length"}


class OutputCheck:
    """Checks the results of one tool.

    All are decoded by msgspec into a type made of the schema, which takes some microseconds where they are small.
    It knows less of JSON Schema than there is: what it can't express fits. What it refuses is looked at again by
    `jsonschema`, as the official client does, and off the event loop: that decides, and has the words for it.

    Args:
        tool: The name of the tool.
        schema: The output schema.
    """

    def __init__(self, tool: str, schema: Mapping[str, Any]) -> None:
        self._tool = tool
        self._schema = schema
        self._decoder = msgspec.json.Decoder(_type_of(schema))
        self._is_said = False

    async def fault(self, data: bytes) -> str | None:
        """What does not fit. None: all does, or it is not known. The first fault is logged.

        Args:
            data: The structured content: valid JSON.
        """
        if len(data) > _MOST_BYTES or self._is_quickly_fine(data):
            return None
        fault = await off_loop(_find_fault, self._schema, data)
        if fault is None:
            return None
        if not self._is_said:
            self._is_said = True
            logger.warning(
                "tool '%s': a result does not fit the output schema: %s. Clients would drop it, so that agents get it "
                "as a text, and are told. This is not said again",
                self._tool,
                fault.rule,
            )
        return fault.text

    def _is_quickly_fine(self, data: bytes) -> bool:
        try:
            self._decoder.decode(data)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class _Fault(NamedTuple):
    text: str
    rule: str
    """The same without the value: what a tool returns is nothing for a log."""


def _find_fault(schema: Mapping[str, Any], data: bytes) -> _Fault | None:
    # it comes with the SDK, takes long to import, and most services never need it
    import jsonschema.exceptions  # type: ignore[import-untyped]  # noqa: PLC0415
    import jsonschema.validators  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        validator = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)(schema)
        error = jsonschema.exceptions.best_match(validator.iter_errors(msgspec.json.decode(data)))
    except Exception:  # noqa: BLE001 - such as a reference or a pattern that nobody can read: there is no telling
        return None
    if error is None:
        return None
    texts = (f"{error.json_path}: {error.message}", f"{error.json_path}: {error.validator}: {error.validator_value}")
    return _Fault(*(bounded_text(text, _LONGEST_FAULT_BYTES) for text in texts))


# --- from a schema to a type ---


def _type_of(schema: Any) -> Any:
    """A type that takes at least all that fits, and of what does not fit as little as msgspec can express."""
    try:
        tp = _made_of(schema)
        msgspec.json.Decoder(tp)
    except Exception:  # noqa: BLE001 - such as a union of two objects, a pattern that is none, or a schema that is none
        return Any
    return tp


def _made_of(schema: Any) -> Any:
    if not isinstance(schema, Mapping) or "$ref" in schema or "allOf" in schema:
        return Any
    if "anyOf" in schema:
        return _union(map(_type_of, schema["anyOf"]))
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        return Literal[tuple(values)] if all(type(value) in (str, int) for value in values) else Any
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return _union(_type_of({**schema, "type": kind}) for kind in kinds)
    return _TYPES[kinds](schema) if kinds in _TYPES else Any


def _union(members: Iterable[Any]) -> Any:
    return Union[tuple(members)]  # noqa: UP007 - they are not known before


def _bounded(tp: Any, schema: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    bounds = {known: schema[name] for name, known in names.items() if name in schema}
    return Annotated[tp, msgspec.Meta(**bounds)] if bounds else tp


def _object(schema: Mapping[str, Any]) -> Any:
    properties = schema.get("properties")
    if not properties:
        return dict[str, _type_of(schema.get("additionalProperties"))]  # type: ignore[misc]
    required = schema.get("required", ())
    fields: list[Any] = []
    names: dict[str, str] = {}
    for index, (name, member) in enumerate(properties.items()):
        names[field := f"f{index}"] = name
        tp = _type_of(member)
        fields.append((field, tp) if name in required else (field, tp, None))
    return msgspec.defstruct("Object", fields, rename=names, kw_only=True, gc=False)


def _array(schema: Mapping[str, Any]) -> Any:
    first = schema.get("prefixItems")
    if first and schema.get("minItems") == schema.get("maxItems") == len(first):
        return tuple[tuple(map(_type_of, first))]  # type: ignore[misc]
    item = Any if first else _type_of(schema.get("items"))
    return _bounded(list[item], schema, _LIST_BOUNDS)  # type: ignore[valid-type]


_TYPES: Mapping[Any, Any] = {
    "object": _object,
    "array": _array,
    "string": lambda schema: _bounded(str, schema, _STRING_BOUNDS),
    "integer": lambda schema: _bounded(int, schema, _NUMBER_BOUNDS),
    "number": lambda schema: _bounded(float, schema, _NUMBER_BOUNDS),
    "boolean": lambda _: bool,
    "null": lambda _: None,
}
