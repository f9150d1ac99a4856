"""What the operations of all routes share, and how it gets into the OpenAPI document: once."""

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components
from msgspec.json import encode

from lambda_kit.adapters.http.component_names import NamedModel, component_names, fold
from lambda_kit.adapters.http.problems import PROBLEM_SCHEMA
from lambda_kit.adapters.http.references import referring
from lambda_kit.core.tools.model_schemas import ModelSchemas, SchemaMode

__all__ = ["JOB_RECORD", "PROBLEM", "TOOL_DESCRIPTION", "TRY_LATER", "Models", "with_components"]

_PREFIX = "#/components/schemas/"
_LOCAL = "#/$defs/"

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}

_JOB_RECORD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "JobRecord",
    "description": "What there is to know of a job.",
    "required": ["id", "tool", "status", "requested-at", "links"],
    "properties": {
        **dict.fromkeys(("id", "tool", "status", "request-content-type", "result-content-type"), _STRING),
        **{
            name: {"type": "string", "format": "date-time"}
            for name in ("requested-at", "started-at", "finished-at", "expires-at")
        },
        "error-message": _STRING,
        "attempt": _INTEGER,
        "queue-position": _INTEGER,
        "progress": {
            "type": "object",
            "required": ["done"],
            "properties": {"done": {"type": "number"}, "total": {"type": "number"}, "message": _STRING},
        },
        "links": {"type": "object", "additionalProperties": _STRING},
    },
}

_TRY_LATER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "TryLater",
    "description": "Where, and when, to collect the result of a job that has not ended.",
    "required": ["job-id", "status", "location", "retry-later"],
    "properties": {"job-id": _STRING, "status": _STRING, "location": _STRING, "retry-later": _INTEGER},
}

_TOOL_DESCRIPTION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "ToolDescription",
    "description": "What an agent needs to know of a tool.",
    "required": ["$schema", "id", "name", "service-id", "description", "fn_signature", "fn_schema"],
    "properties": {
        **dict.fromkeys(("$schema", "id", "name", "service-id", "description", "fn_signature"), _STRING),
        "fn_schema": {"type": "object", "description": "The JSON Schema of the request.", "additionalProperties": True},
    },
}

# the names are ours alone: the document may be that of another app, with schemas of its own
_SHARED = {
    f"LambdaKit{schema['title']}": schema
    for schema in (PROBLEM_SCHEMA, _JOB_RECORD_SCHEMA, _TRY_LATER_SCHEMA, _TOOL_DESCRIPTION_SCHEMA)
}

PROBLEM = {"$ref": f"{_PREFIX}LambdaKitProblem"}
"""The schema of every error body, which `with_components` puts into the document."""

JOB_RECORD = {"$ref": f"{_PREFIX}LambdaKitJobRecord"}
"""The schema of a job's record, likewise."""

TRY_LATER = {"$ref": f"{_PREFIX}LambdaKitTryLater"}
"""The schema of "try later" with a body."""

TOOL_DESCRIPTION = {"$ref": f"{_PREFIX}LambdaKitToolDescription"}
"""The schema of a tool description."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One of the definitions: of a use (what a tool takes, or sends), and in there its key."""

    use: tuple[str, SchemaMode]
    key: str


class Models:
    """The models of a server's tools, as components of the document.

    Nothing is looked at before the document is asked for, as that takes longer than making the routes.

    Args:
        uses: Describes what each tool takes (``"validation"``) and sends (``"serialization"``), by the tool's name.
    """

    def __init__(self, uses: Mapping[tuple[str, SchemaMode], Callable[[], ModelSchemas]]) -> None:
        self._uses = uses
        self._taken: frozenset[str] = frozenset(_SHARED)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # Litestar copies the components of its configuration for each document

    def avoid(self, names: Iterable[str]) -> None:
        """Take none of these names, which are those of other schemas in the document."""
        self._taken |= frozenset(names)
        self.__dict__.pop("_names", None)

    def schema(self, tool: str, mode: SchemaMode) -> dict[str, Any]:
        """What a tool takes or sends, with references to components."""
        use = (tool, mode)
        return self._placed(use, self._described[use].schema)

    def components(self) -> dict[str, dict[str, Any]]:
        """The schemas of all models, by name."""
        places = sorted(self._names.items(), key=lambda item: item[1])
        return {name: self._placed(place.use, self._definition(place)) for place, name in places}

    @cached_property
    def _described(self) -> dict[tuple[str, SchemaMode], ModelSchemas]:
        return {use: self._uses[use]() for use in sorted(self._uses, key=lambda use: (use[0], use[1] != "validation"))}

    @cached_property
    def _names(self) -> dict[_Place, str]:
        places = [_Place(use, key) for use, described in self._described.items() for key in _reachable(described)]
        kinds = self._kinds(places)
        first: dict[int, _Place] = {}
        modes: dict[int, set[SchemaMode]] = {}
        for place in places:
            first.setdefault(kinds[place], place)
            modes.setdefault(kinds[place], set()).add(place.use[1])
        models = [NamedModel(self._described[p.use].identities[p.key], frozenset(modes[k])) for k, p in first.items()]
        names = dict(zip(first, component_names(models, self._taken), strict=True))
        return {place: names[kinds[place]] for place in places}

    def _kinds(self, places: list[_Place]) -> dict[_Place, int]:
        """Number the definitions: of one class, and alike down to the last of what they refer to, is the same number.

        They begin as one kind for each class, which is split until all of a kind refer to the same kinds.
        """
        classes = [self._described[place.use].identities[place.key].key for place in places]
        kinds = _numbered(places, classes)
        count = 0
        while count != len(set(kinds.values())):
            count = len(set(kinds.values()))
            shapes = [
                (cls, encode(referring(self._definition(place), self._kind_of(place, kinds)), order="sorted"))
                for place, cls in zip(places, classes, strict=True)
            ]
            kinds = _numbered(places, shapes)
        return kinds

    def _definition(self, place: _Place) -> dict[str, Any]:
        return self._described[place.use].definitions[place.key]

    def _kind_of(self, place: _Place, kinds: Mapping[_Place, int]) -> Callable[[str], str]:
        def kind(reference: str) -> str:
            other = _Place(place.use, reference.removeprefix(_LOCAL))
            return f"kind {kinds[other]}" if other in kinds else reference

        return kind

    def _placed(self, use: tuple[str, SchemaMode], schema: Mapping[str, Any]) -> dict[str, Any]:
        def name(reference: str) -> str:
            place = _Place(use, reference.removeprefix(_LOCAL))
            return _PREFIX + self._names[place] if place in self._names else reference

        return referring(schema, name)


def _reachable(described: ModelSchemas) -> Iterator[str]:
    """The keys of the definitions that the schema leads to, in the order in which they stand there."""
    seen: dict[str, None] = {}

    def visit(reference: str) -> str:
        key = reference.removeprefix(_LOCAL)
        if key in described.definitions and key in described.identities and key not in seen:
            seen[key] = None
            referring(described.definitions[key], visit)
        return reference

    referring(described.schema, visit)
    yield from seen


def _numbered(places: list[_Place], values: list[Any]) -> dict[_Place, int]:
    numbers = {value: n for n, value in enumerate(dict.fromkeys(values))}
    return {place: numbers[value] for place, value in zip(places, values, strict=True)}


def _with_titles(schemas: Mapping[str, dict[str, Any]], taken: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Call those by their name whose title is another's, or another's name: generators make class names of titles."""
    folded = {name: fold(str(schema.get("title", name))) for name, schema in schemas.items()}
    titles = Counter(folded.values())
    names = {fold(name) for name in (*schemas, *taken)}

    def is_own(name: str) -> bool:
        return titles[folded[name]] == 1 and (folded[name] == fold(name) or folded[name] not in names)

    return {name: schema if is_own(name) else {**schema, "title": name} for name, schema in schemas.items()}


class _Components(Components):
    """Litestar's components, and our own beside them."""

    models: Sequence[Models] = ()
    schemes: "Sequence[Callable[[], Mapping[str, Any]]]" = ()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "schemas":  # Litestar has seen the app's own handlers
            names = set(value)
            for models in self.models:
                models.avoid(names)
                names |= set(models.components())

    def to_schema(self) -> dict[str, Any]:
        schema = super().to_schema()
        theirs = schema.get("schemas", {})
        ours = dict(_SHARED)
        for models in self.models:
            ours |= models.components()
        schema |= {"schemas": {**theirs, **_with_titles(ours, theirs)}}
        schemes = {name: dict(scheme) for make in self.schemes for name, scheme in make().items()}
        if schemes:
            schema["securitySchemes"] = {**schemes, **schema.get("securitySchemes", {})}
        return schema


def with_components(config: OpenAPIConfig, models: Models, schemes: Callable[[], Mapping[str, Any]]) -> OpenAPIConfig:
    """The same configuration, for a document that has our components beside what it has anyway.

    Args:
        config: The configuration.
        models: Of our tools.
        schemes: Makes the security schemes, when the document is asked for.
    """
    changed = copy.copy(config)
    there = changed.to_openapi_schema().components  # which makes one of several
    components = _Components(**{f.name: getattr(there, f.name) for f in fields(Components)})
    components.models = (*getattr(there, "models", ()), models)
    components.schemes = (*getattr(there, "schemes", ()), schemes)
    changed.components = components
    return changed
