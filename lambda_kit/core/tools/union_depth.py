"""How much work a request may be where unions of models contain each other.

Pydantic tries every member of a union that has no discriminator. Where two members lead back to the union by the same
field, each level of nesting doubles the work, also for what fits: 30 levels, in a body of 200 bytes, take minutes.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import CoreSchema

__all__ = ["UnionDepth"]

_ATTEMPTS = 2**14
_ATTEMPTS_PER_VALUE = 16
_ARRAYS = {"list", "tuple", "set", "frozenset", "deque"}
_OBJECTS = {"dict", "frozendict", "ordered-dict"}
_FIELDS = {"model-fields", "typed-dict", "dataclass-args"}
_ARRAY, _OBJECT = "[", "{"
_SKIPPED = {"metadata", "serialization", "default", "config", "function", "computed_fields"}
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY = b"{}["
_DEEP = 64
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


class UnionDepth:
    """Estimates how often pydantic would validate the values of a body: the deeper, the more often.

    Args:
        schema: Pydantic's schema of the type.
    """

    def __init__(self, schema: CoreSchema) -> None:
        self._definitions = {node["ref"]: node for node in _nodes(schema) if "ref" in node}
        self._reached: dict[str, set[str]] = {}
        self._of_objects, self._of_arrays = 1, 1
        for ref, definition in self._definitions.items():
            for node in _nodes(definition):
                if node["type"] == "union":
                    of_objects, of_arrays = self._ways_back(node, ref)
                    self._of_objects = max(self._of_objects, of_objects)
                    self._of_arrays = max(self._of_arrays, of_arrays)
        self._branches = max(self._of_objects, self._of_arrays) > 1

    def is_too_deep(self, body: bytes) -> bool:
        """Whether a body is nested so deep that it would take far longer than others of its size."""
        return self._branches and self._is_too_much(body)

    def _is_too_much(self, body: bytes) -> bool:
        objects = arrays = attempts = values = 0
        for bracket in _STRINGS.sub(b"", body).translate(None, _OTHERS):
            if bracket == _OPEN_OBJECT:
                attempts += self._of_objects ** min(objects, _DEEP)
                objects, values = objects + 1, values + 1
            elif bracket == _OPEN_ARRAY:
                attempts += self._of_arrays ** min(arrays, _DEEP)
                arrays, values = arrays + 1, values + 1
            elif bracket == _CLOSE_OBJECT:
                objects = max(objects - 1, 0)
            else:
                arrays = max(arrays - 1, 0)
        return attempts > _ATTEMPTS + _ATTEMPTS_PER_VALUE * values

    def _ways_back(self, union: Mapping[str, Any], ref: str) -> tuple[int, int]:
        """How many members of a union lead back to its definition by one field, and by the items of an array."""
        ways: Counter[str] = Counter()
        for choice in union["choices"]:
            ways.update(self._fields_back(choice[0] if isinstance(choice, tuple) else choice, ref))
        arrays, every_field = ways.pop(_ARRAY, 0), ways.pop(_OBJECT, 0)
        return max(ways.values(), default=0) + every_field, arrays

    def _fields_back(self, schema: Any, ref: str) -> set[str]:
        kind = schema["type"]
        if kind == "definition-ref":
            target = self._definitions.get(schema["schema_ref"])
            return self._fields_back(target, ref) if target is not None else set()
        if kind in _FIELDS:
            fields = schema["fields"]
            named = fields.items() if isinstance(fields, dict) else ((field["name"], field) for field in fields)
            return {_name(name, field) for name, field in named if self._leads_to(field, ref)}
        if kind in _ARRAYS or kind in _OBJECTS:
            return {_ARRAY if kind in _ARRAYS else _OBJECT} if self._leads_to(schema, ref) else set()
        return self._fields_back(schema["schema"], ref) if isinstance(schema.get("schema"), dict) else set()

    def _leads_to(self, schema: Any, ref: str) -> bool:
        return any(ref == found or ref in self._reachable(found) for found in _references(schema))

    def _reachable(self, ref: str) -> set[str]:
        if ref not in self._reached:
            seen: set[str] = set()
            waiting = [ref]
            for found in waiting:  # which grows meanwhile
                fresh = set(_references(self._definitions.get(found, {}))) - seen
                seen |= fresh
                waiting.extend(fresh)
            self._reached[ref] = seen
        return self._reached[ref]


def _name(name: str, field: Mapping[str, Any]) -> str:
    alias = field.get("validation_alias")
    return alias if isinstance(alias, str) else name


def _references(schema: Any) -> Iterator[str]:
    return (node["schema_ref"] for node in _nodes(schema) if node["type"] == "definition-ref")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """All schemas in a schema, itself first."""
    waiting = [value]
    for item in waiting:  # which grows meanwhile
        if isinstance(item, dict):
            is_schema = isinstance(item.get("type"), str)
            if is_schema:
                yield item
            waiting.extend(member for key, member in item.items() if not (is_schema and key in _SKIPPED))
        elif type(item) in (list, tuple):
            waiting.extend(item)
