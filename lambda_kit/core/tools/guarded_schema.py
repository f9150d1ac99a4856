"""Pydantic's schema of a request, made ready for bodies of strangers.

What pydantic does for data that one has made oneself is not always right for what a stranger sends: it reports every
fault of a body, takes ``1e999`` for infinity, and puts whatever fits into a set. The schema of a tool's request is
rewritten once, when the tool is defined, so that a request that is right costs nothing more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from pydantic_core import CoreSchema

from lambda_kit.core.tools.value_checks import counter, finite

__all__ = ["Guards", "SchemaTraits", "guarded", "traits_of"]

_KEY_CHARACTERS = 65536
"""The longest key of a dict whose values are models: each fault in such a value repeats its key."""

_LISTS = {"list", "deque", "tuple", "set", "frozenset"}
_SETS = {"set", "frozenset"}
_DICTS = {"dict", "frozendict", "ordered-dict", "counter"}
_FIELDS = {"model-fields", "typed-dict", "dataclass-args"}
# Their hashes are keyed, or there are few of them.
_SAFE_KEYS = {"str", "bytes", "bool", "none", "literal", "enum", "date", "datetime", "time", "url", "multi-host-url"}
_SCALARS = _SAFE_KEYS | {"int", "float", "decimal", "uuid", "timedelta", "any"}
_WRAPPERS = ("function-after", "function-before", "function-wrap", "nullable", "default")
# Members of a schema that hold no schemas, or such as validation does not use.
_OPAQUE = {"metadata", "serialization", "computed_fields", "json_schema_input_schema"} | {
    *("config", "default", "expected", "members", "function", "cls"),
}


class Guards(NamedTuple):
    """Which guards a schema gets. Floats must always be finite unless the model allows others."""

    fail_fast: bool = False
    """Stop at the first fault of each container, count keys by their hash, and bound keys in length."""
    finite_anything: bool = False
    """Look through what is annotated with `Any` for numbers that are not finite."""


@dataclass(slots=True)
class SchemaTraits:
    """What is to be known of a schema to choose the guards for a body."""

    parts: int = 1
    """Fields and members of unions: how many faults one element can have."""
    has_any: bool = False
    has_unkeyed_hashes: bool = False
    has_union: bool = False


def traits_of(schema: CoreSchema) -> SchemaTraits:
    """Look through a schema."""
    traits = SchemaTraits()
    _Rewriter(Guards(finite_anything=True, fail_fast=True), traits).rewrite(cast("dict[str, Any]", schema), False)
    return traits


def guarded(schema: CoreSchema, guards: Guards, traits: SchemaTraits) -> CoreSchema:
    """The schema with these guards. The one that was given stays as it is.

    Args:
        schema: Of a model, or of whatever `TypeAdapter` takes.
        guards: Which.
        traits: Those of the schema.
    """
    rewriter = _Rewriter(guards, SchemaTraits(has_union=traits.has_union))
    return cast("CoreSchema", rewriter.rewrite(cast("dict[str, Any]", schema), False))


class _Rewriter:
    def __init__(self, guards: Guards, traits: SchemaTraits) -> None:
        self._guards = guards
        self._traits = traits

    def rewrite(self, schema: Mapping[str, Any], allows: bool) -> dict[str, Any]:
        """A copy of a schema with the guards; `allows`: whether the model around it allows infinities."""
        config = schema.get("config") or {}
        allows = bool(config.get("allow_inf_nan", False if schema["type"] == "model" else allows))
        made = {key: value if key in _OPAQUE else self._member(value, allows) for key, value in schema.items()}
        kind = made["type"]
        if kind == "float":
            made.setdefault("allow_inf_nan", allows)
        elif kind == "complex":
            return made if allows else _after(made, finite)
        elif kind in {"any", "json"}:
            return self._finite_any(made, allows)
        elif kind in _LISTS | _DICTS:
            self._guard_container(made, allows)
        elif kind in _FIELDS:
            self._guard_fields(made, config, allows)
        elif kind in {"union", "tagged-union"}:
            self._traits.parts += len(made["choices"])
            self._traits.has_union = True
        elif kind == "model":
            inner = cast("dict[str, Any]", made["schema"])
            while inner["type"] not in _FIELDS and "schema" in inner:
                inner = inner["schema"]
            behaviour = config.get("extra_fields_behavior")
            if inner["type"] in _FIELDS and self._guard_extras(inner, behaviour, allows):
                return _after(made, _without_extra)
        return made

    def _member(self, value: Any, allows: bool) -> Any:
        """What stands in a schema: another one, a list or mapping of such, or anything else."""
        if type(value) is dict:
            if isinstance(value.get("type"), str):
                return self.rewrite(value, allows)
            return {key: self._member(item, allows) for key, item in value.items()}
        if type(value) is list:
            return [self._member(item, allows) for item in value]
        if type(value) is tuple:
            return tuple(self._member(item, allows) for item in value)
        return value

    def _finite_any(self, schema: dict[str, Any], allows: bool) -> dict[str, Any]:
        if schema["type"] == "json":
            # Its text is parsed later, and may be escaped: no look at the body tells what is in it.
            return schema if allows or "schema" in schema else _after(schema, finite)
        self._traits.has_any = self._traits.has_any or not allows
        return _after(schema, finite) if self._guards.finite_anything and not allows else schema

    def _guard_container(self, schema: dict[str, Any], allows: bool) -> None:
        kind = schema["type"]
        names = ("keys_schema", "values_schema") if kind in _DICTS else ("items_schema",)
        if kind == "counter":
            names = ("keys_schema",)
        for name in names:
            if name not in schema:
                schema[name] = self._finite_any({"type": "any"}, allows or name == "keys_schema")
        is_safe = True
        if kind in _SETS or kind in _DICTS:
            key = _core(schema[names[0]])["type"]
            is_safe = key in _SAFE_KEYS or (key == "any" and kind in _DICTS)  # in JSON they are texts
            self._traits.has_unkeyed_hashes = self._traits.has_unkeyed_hashes or not is_safe
        if not self._guards.fail_fast:
            return
        schema["fail_fast"] = True
        if not is_safe:
            schema[names[0]] = _after(schema[names[0]], counter.key)
        elif "values_schema" in names and _core(schema["values_schema"])["type"] not in _SCALARS:
            schema["keys_schema"] = _shorter(schema["keys_schema"])

    def _guard_fields(self, schema: dict[str, Any], config: Mapping[str, Any], allows: bool) -> None:
        self._traits.parts += len(schema["fields"])
        if schema["type"] == "typed-dict":
            self._guard_extras(schema, config.get("extra_fields_behavior"), allows)

    def _guard_extras(self, schema: dict[str, Any], behaviour: str | None, allows: bool) -> bool:
        behaviour = schema.get("extra_behavior") or behaviour
        if behaviour == "allow" and "extras_schema" not in schema and schema["type"] != "dataclass-args":
            schema["extras_schema"] = self._finite_any({"type": "any"}, allows)
        # Not in a union, where another member may still take what this one does not know.
        can_end = self._guards.fail_fast and schema["type"] == "model-fields" and not self._traits.has_union
        if behaviour == "forbid" and can_end:
            schema["extra_behavior"] = "allow"
            check = {"type": "no-info", "function": counter.unknown}
            schema["extras_keys_schema"] = {"type": "function-plain", "function": check}
            return True
        return False


def _without_extra(model: Any) -> Any:
    # as it is where the model forbids others; an empty dict would make it unequal to one of the same values
    object.__setattr__(model, "__pydantic_extra__", None)
    return model


def _after(schema: dict[str, Any], function: Callable[[Any], Any]) -> dict[str, Any]:
    wrapped = {"type": "function-after", "function": {"type": "no-info", "function": function}, "schema": schema}
    if "ref" in schema:
        wrapped["ref"] = schema.pop("ref")
    return wrapped


def _shorter(key: dict[str, Any]) -> dict[str, Any]:
    return {"max_length": _KEY_CHARACTERS, **key} if key["type"] == "str" else key


def _core(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema inside of validators, defaults and what makes it nullable."""
    while schema["type"] in _WRAPPERS and "schema" in schema:
        schema = schema["schema"]
    return schema
