"""The references in a JSON Schema: what each means, and which can be replaced by that."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

__all__ = ["BY_NAME", "OF_ONE", "OF_SEVERAL", "References", "subschemas"]

OF_ONE = frozenset(
    [
        *("additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"),
        *("propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
    ]
)
"""The keywords whose value is a schema; that of ``items`` can be several."""
OF_SEVERAL = frozenset(["allOf", "anyOf", "items", "oneOf", "prefixItems"])
"""Those whose value is a list of schemas."""
BY_NAME = frozenset(["dependentSchemas", "patternProperties", "properties"])
"""Those whose value is schemas by name."""

_MOST_NODES = 4000


def subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas that stand in a schema, but its definitions, each with the way to it."""
    for keyword, value in schema.items():
        if keyword in BY_NAME and isinstance(value, dict):
            yield from ((f"{keyword}/{name}", member) for name, member in value.items())
        elif keyword in OF_SEVERAL and isinstance(value, list):
            yield from ((f"{keyword}/{index}", member) for index, member in enumerate(value))
        elif keyword in OF_ONE:
            yield keyword, value


class _Target(NamedTuple):
    schema: dict[str, Any]
    nodes: int
    """How many schemas there are in it."""
    uses: list[str]
    """The references in it."""


class References:
    """The references in a schema.

    Args:
        root: The schema.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._targets: dict[str, _Target] = {}
        top = self._look_into(root)
        self._staying = {ref for ref in self._targets if self._leads_to_itself(ref)}
        if self._size(top) > _MOST_NODES:
            self._staying = set(self._targets)

    def target(self, ref: object) -> dict[str, Any] | None:
        """The schema that a reference means. None: there is none in this document."""
        found = self._targets.get(ref) if isinstance(ref, str) else None
        return None if found is None else found.schema

    def stays(self, ref: str) -> bool:
        """Whether it can't be replaced: it leads to itself, or the schema would become huge without its references."""
        return ref in self._staying

    def top(self) -> dict[str, Any]:
        """The root, with what a reference in its place means."""
        top, seen = dict(self._root), set[str]()
        while (target := self.target(top.get("$ref"))) is not None and top["$ref"] not in seen:
            seen.add(top.pop("$ref"))
            top = {**target, **top}
        return top

    def _look_into(self, schema: dict[str, Any]) -> _Target:
        nodes, uses = 0, list[str]()
        waiting: list[Any] = [schema]
        for node in waiting:  # which grows meanwhile
            if isinstance(node, dict):
                nodes += 1
                if isinstance(node.get("$ref"), str):
                    uses.append(node["$ref"])
                waiting.extend(member for _, member in subschemas(node))
        for ref in uses:
            target = None if ref in self._targets else self._found(ref)
            if target is not None:
                self._targets[ref] = _Target(target, 0, [])  # its place
                self._targets[ref] = self._look_into(target)
        return _Target(schema, nodes, [ref for ref in uses if ref in self._targets])

    def _found(self, ref: str) -> dict[str, Any] | None:
        if not ref.startswith("#"):
            return None
        found: Any = self._root
        for step in ref[1:].split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, dict) and name in found:
                found = found[name]
            else:
                return None
        return found if isinstance(found, dict) else None

    def _leads_to_itself(self, ref: str) -> bool:
        waiting, seen = list(self._targets[ref].uses), set[str]()
        while waiting:
            reached = waiting.pop()
            if reached == ref:
                return True
            if reached not in seen:
                seen.add(reached)
                waiting.extend(self._targets[reached].uses)
        return False

    def _size(self, top: _Target) -> int:
        """How many schemas there would be without references."""
        known: dict[str, int] = {}

        def of_all(refs: Iterable[str]) -> int:
            return sum(map(of, refs))

        def of(ref: str) -> int:
            if ref in self._staying:
                return 1
            if ref not in known:
                known[ref] = self._targets[ref].nodes + of_all(self._targets[ref].uses)
            return known[ref]

        return top.nodes + of_all(top.uses)
