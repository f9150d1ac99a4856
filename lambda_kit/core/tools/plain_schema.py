"""A JSON Schema in fewer words, for clients that know less of JSON Schema."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from lambda_kit.core.tools.schema_references import BY_NAME, OF_ONE, OF_SEVERAL, References

__all__ = ["PROPERTY_NAME", "plain_schema"]

PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
"""The names of properties that all clients take."""

_ANNOTATIONS = frozenset(
    ["title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"]
)
_LEFT_OUT = frozenset(["$defs", "definitions", "discriminator", "$ref"])
_OWN_TITLES = frozenset(["BinaryRequest", "UploadedFile"])
_LONGEST_NAME = 60
_NULL = {"type": "null"}
_TYPES = {str: "string", int: "integer", bool: "boolean"}


def plain_schema(root: dict[str, Any], *, is_sent: bool, names: Collection[str] = ()) -> dict[str, Any]:
    """Rewrite a schema, so that it says the same with less.

    References are replaced by what they mean; the definitions of those that can't be (`References.stays`) are at the
    root. Titles that were made of names are dropped, and so are ``discriminator`` and the property ``$schema``.
    ``oneOf`` becomes ``anyOf``: the tool tells the members of a union apart. What goes without saying is said.

    Args:
        root: The schema. It is not changed.
        is_sent: Whether it describes what is sent. Then values that would not fit do: null, which stands for NaN and
            infinities, and properties that are not described: those of a subclass, and those whose names clients don't
            take.
        names: What its own title can be, if it was generated.
    """
    return _PlainSchema(root, is_sent, names).schema


class _PlainSchema:
    def __init__(self, root: dict[str, Any], is_sent: bool, names: Collection[str]) -> None:
        self._references = References(root)
        self._is_sent = is_sent
        self._names: dict[str, str] = {}
        self._definitions: dict[str, Any] = {}
        self.schema = self._made(self._references.top(), names)
        if self._definitions:
            self.schema["$defs"] = self._definitions

    def _made(self, schema: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        dropped: set[str] = set()
        for keyword, value in schema.items():
            if keyword in _LEFT_OUT or (keyword == "title" and _is_generated(value, names)):
                continue
            if keyword in BY_NAME and isinstance(value, dict):
                if keyword == "properties":
                    dropped = {name for name in value if self._is_dropped(name)}
                made[keyword] = {
                    name: self._member(member, (_title_of(name),))
                    for name, member in value.items()
                    if name not in dropped
                }
            elif keyword in OF_SEVERAL and isinstance(value, list):
                known = "anyOf" if keyword == "oneOf" and "anyOf" not in schema else keyword
                members = [self._member(member) for member in value]
                made[known] = _flat(members) if known == "anyOf" else members
            else:
                made[keyword] = self._member(value) if keyword in OF_ONE else value
        if dropped and "required" in made:
            made["required"] = [name for name in made["required"] if name not in dropped]
        _complete(made)
        if self._is_sent:
            made = _widened(made)
        return self._with_target(schema["$ref"], made) if isinstance(schema.get("$ref"), str) else made

    def _member(self, schema: Any, names: Collection[str] = ()) -> Any:
        return self._made(schema, names) if isinstance(schema, dict) else schema

    def _is_dropped(self, name: str) -> bool:
        return name == "$schema" or (self._is_sent and PROPERTY_NAME.fullmatch(name) is None)

    def _with_target(self, ref: str, beside: dict[str, Any]) -> dict[str, Any]:
        """What a reference means, together with what stands beside it."""
        target = self._references.target(ref)
        if target is None:
            return {"$ref": ref, **beside}
        if self._references.stays(ref):
            return {"$ref": f"#/$defs/{self._defined(ref, target)}", **beside}
        made = self._made(target, [_last(ref)])
        return {**made, **beside} if beside.keys() <= _ANNOTATIONS else {"allOf": [made], **beside}

    def _defined(self, ref: str, target: Mapping[str, Any]) -> str:
        """The name of the definition that a reference leads to."""
        if ref not in self._names:
            name = short = re.sub(r"[^a-zA-Z0-9_.-]", "_", _last(ref))[:_LONGEST_NAME] or "root"
            while name in self._definitions:
                name = f"{short}{len(self._definitions)}"
            self._names[ref] = name
            self._definitions[name] = {}  # its place
            self._definitions[name] = self._made(target, [_last(ref)])
        return self._names[ref]


def _flat(members: Iterable[Any]) -> list[Any]:
    """The members of a union, and of the unions in it that say nothing else."""
    flat: list[Any] = []
    for member in members:
        inner = member["anyOf"] if isinstance(member, dict) and member.keys() == {"anyOf"} else [member]
        flat.extend(one for one in inner if one != _NULL or one not in flat)
    return flat


def _complete(made: dict[str, Any]) -> None:
    """Add what goes without saying, but not for VS Code [microsoft/vscode#246119] and Gemini, which refuse a schema."""
    if made.get("type") == "array":
        made.setdefault("items", {})
    if "enum" in made and "type" not in made:
        kinds = {type(value) for value in made["enum"]}
        if len(kinds) == 1 and (kind := _TYPES.get(kinds.pop())) is not None:
            made["type"] = kind


def _widened(made: dict[str, Any]) -> dict[str, Any]:
    """Let a value fit that has more properties, as those of a subclass, and null in place of a number JSON lacks."""
    for keyword in ("additionalProperties", "unevaluatedProperties"):
        if made.get(keyword) is False:
            del made[keyword]
    is_bounded = ("minimum" in made or "exclusiveMinimum" in made) and ("maximum" in made or "exclusiveMaximum" in made)
    if made.get("type") != "number" or is_bounded or not made.keys().isdisjoint({"enum", "const", "anyOf"}):
        return made
    number = {keyword: value for keyword, value in made.items() if keyword not in _ANNOTATIONS}
    said = {keyword: value for keyword, value in made.items() if keyword in _ANNOTATIONS}
    return {"anyOf": [number, dict(_NULL)], **said}


def _last(ref: str) -> str:
    return unquote(ref.rpartition("/")[2]).lstrip("#")


def _title_of(name: str) -> str:
    """What pydantic makes of the name of a property."""
    return name.title().replace("_", " ").strip()


def _is_generated(title: object, names: Collection[str]) -> bool:
    if not isinstance(title, str):
        return False
    name = re.sub(r"[^a-zA-Z0-9.\-_]", "_", title)
    return title in _OWN_TITLES or any(
        known in (title, name) or known.endswith((f".{name}", f"__{name}")) for known in names
    )
