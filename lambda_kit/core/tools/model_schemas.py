"""The schemas of a type and of all models in it, each with the identity of its class.

`json_schema` is for a single reader, who gets one self-contained schema. A document that describes many tools shares
their models: it needs to know which of them are the same, and names of its own for those that only look alike.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from sys import modules
from typing import Any, get_args, get_origin

import ivcap_service
import msgspec
from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import CoreModeRef, DefsRef, JsonSchemaValue
from pydantic_core import core_schema

from lambda_kit.core.tools.decoding import is_class, needs_pydantic
from lambda_kit.core.tools.schema import LenientSchema, SchemaMode, is_model
from lambda_kit.core.tools.schema_field import SCHEMA_MEMBER, schema_uri_of
from lambda_kit.core.tools.uploaded_file import UploadedFile

__all__ = ["ModelIdentity", "ModelSchemas", "SchemaMode", "model_schemas"]

_REF_TEMPLATE = "#/$defs/{model}"
_CLASS = re.compile(r"([^\[\],]+):(\d+)")
"""In a key: the name of a class and its address."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which class a schema is of, for as long as this process lives."""

    key: str
    """Equal for schemas of one class only; it has addresses of this process in it."""
    words: tuple[tuple[str, ...], ...]
    """Of the class, and of its type arguments: the names of module, enclosing classes and class, outermost first."""


@dataclass(frozen=True, slots=True)
class ModelSchemas:
    """The schema of a type, with references ``#/$defs/<key>`` to the models in it."""

    schema: dict[str, Any]
    definitions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The schema of each model, by key; they have references likewise."""
    identities: dict[str, ModelIdentity] = field(default_factory=dict)
    """Whose schemas these are, by key."""


def model_schemas(tp: Any, mode: SchemaMode) -> ModelSchemas:
    """Describe a type that a tool takes or returns; no model is inlined, not even at the top.

    A `BinaryResult`, and whatever has no schema, gives ``{}``: any value.

    Args:
        tp: A model, or any other annotation.
        mode: Whether the type is taken or sent.
    """
    if is_class(tp, ivcap_service.BinaryResult):
        return ModelSchemas({})
    if is_model(tp) and not is_class(tp, BaseModel) and not needs_pydantic(tp):
        return _of_msgspec(tp, mode)
    try:
        return _of_pydantic(tp, mode)
    except (PydanticUserError, PydanticUndefinedAnnotation):
        # Structs, and TypedDicts before Python 3.12, are unknown to pydantic, not to msgspec
        return _of_msgspec(tp, mode)


class _IdentifyingSchema(LenientSchema):
    """Pydantic's generator, with a definition for each class, even where some are described alike."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.class_keys: dict[str, str] = {}

    def get_defs_ref(self, core_mode_ref: CoreModeRef) -> DefsRef:
        """The key of a class's definition."""
        key = super().get_defs_ref(core_mode_ref)
        self._prioritized_defsref_choices[key] = [key]
        self.class_keys[key], _ = core_mode_ref
        return key

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """The schema of a model."""
        return _with_only_uri(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        """The schema of a dataclass."""
        return _with_only_uri(super().dataclass_schema(schema), schema["cls"])


def _of_pydantic(tp: Any, mode: SchemaMode) -> ModelSchemas:
    generator = _IdentifyingSchema(ref_template=_REF_TEMPLATE)
    schemas, definitions = generator.generate_definitions([(0, mode, TypeAdapter(tp).core_schema)])
    named = {str(key): dict(schema) for key, schema in definitions.items()}
    return ModelSchemas(dict(schemas[0, mode]), named, _identities(generator.class_keys))


def _of_msgspec(tp: Any, mode: SchemaMode) -> ModelSchemas:
    foreign_definitions: dict[str, dict[str, Any]] = {}
    class_keys: dict[str, str] = {}
    identities: dict[str, ModelIdentity] = {}

    def foreign(nested: Any) -> dict[str, Any]:
        if nested is not UploadedFile and not is_class(nested, BaseModel):
            return {}
        found = _of_pydantic(nested, mode)
        foreign_definitions.update(found.definitions)
        identities.update(found.identities)
        return found.schema

    try:
        (schema,), definitions = msgspec.json.schema_components((tp,), schema_hook=foreign)
        for cls in _named_classes(msgspec.inspect.type_info(tp), set()):
            class_keys |= dict.fromkeys(_msgspec_keys(cls), _class_key(cls))
            for key in definitions.keys() & _msgspec_keys(cls):
                definitions[key] = _with_only_uri(definitions[key], get_origin(cls) or cls)
            if is_class(cls, Enum):  # described by both in the same way, and by pydantic with the type of its values
                definitions |= dict.fromkeys(definitions.keys() & _msgspec_keys(cls), _enum_schema(cls, mode))
    except (TypeError, NotImplementedError, NameError):
        return ModelSchemas({})
    return ModelSchemas(schema, foreign_definitions | definitions, _identities(class_keys) | identities)


def _with_only_uri(schema: dict[str, Any], cls: type) -> dict[str, Any]:
    """Say of the `$schema` member that it has one value, which neither library knows."""
    properties: dict[str, Any] = schema.get("properties", {})
    uri = schema_uri_of(cls) if SCHEMA_MEMBER in properties else None
    if uri is None:
        return schema
    return schema | {"properties": properties | {SCHEMA_MEMBER: {**properties[SCHEMA_MEMBER], "const": uri}}}


def _enum_schema(cls: type[Enum], mode: SchemaMode) -> dict[str, Any]:
    (schema,) = _of_pydantic(cls, mode).definitions.values()
    return schema


def _named_classes(node: Any, seen: set[int]) -> Iterator[Any]:
    """The classes of all types in what `msgspec.inspect` says of a type."""
    if isinstance(node, (tuple, list)):
        for item in node:
            yield from _named_classes(item, seen)
    elif isinstance(node, msgspec.Struct) and id(node) not in seen:
        seen.add(id(node))
        cls = getattr(node, "cls", None)
        if cls is not None:
            yield cls
        for name in node.__struct_fields__:
            yield from _named_classes(getattr(node, name), seen)


def _msgspec_keys(cls: Any) -> tuple[str, str]:
    """The two names that msgspec may give a class in a schema: the long one where two have the same short one."""
    origin = get_origin(cls) or cls
    arguments = ", ".join(_shown(argument) for argument in get_args(cls))
    short = f"{origin.__name__}[{arguments}]" if arguments else origin.__name__
    long = f"{origin.__module__}.{origin.__qualname__}"
    return re.sub(r"[^a-zA-Z0-9.\-_]", "_", short), re.sub(r"[^a-zA-Z0-9.\-_]", "_", long)


def _shown(argument: Any) -> str:
    return argument.__name__ if isinstance(argument, type) else repr(argument)


def _class_key(cls: Any) -> str:
    """A key of the form that pydantic gives a class: ``module.Class:address[Argument:address,…]``."""
    origin, arguments = get_origin(cls) or cls, get_args(cls)
    key = f"{origin.__module__}.{origin.__qualname__}:{id(origin)}"
    if arguments:
        key += f"[{','.join(f'{_shown(argument)}:{id(argument)}' for argument in arguments)}]"
    return key


def _identities(class_keys: Mapping[str, str]) -> dict[str, ModelIdentity]:
    # an argument may be there by its class's name alone, but has its own key where it is a model
    full_names = {found[2]: found[1] for key in class_keys.values() if (found := _CLASS.match(key)) is not None}
    return {key: ModelIdentity(class_key, _words(class_key, full_names)) for key, class_key in class_keys.items()}


def _words(class_key: str, full_names: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    # a class made with a name of its own can be called anything
    found = _CLASS.findall(class_key) or [(class_key.partition(":")[0], "")]
    names = (full_names.get(address, name) for name, address in found)
    return tuple(tuple(word for word in _without_main(name).split(".") if word != "<locals>") for name in names)


def _without_main(name: str) -> str:
    """Call the module that is run as a program by the name under which it would be imported."""
    first, _, rest = name.partition(".")
    if first not in ("__main__", "__mp_main__"):
        return name
    main = modules[first]
    spec = getattr(main, "__spec__", None)
    module = spec.name.removesuffix(".__main__") if spec is not None else PurePath(getattr(main, "__file__", "")).stem
    return f"{module}.{rest}"
